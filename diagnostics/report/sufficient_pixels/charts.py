"""The pixels that suffice, as pictures and curves: what is removed, and how sure it stays."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from diagnostics import text
from diagnostics.metrics.predictions import confidence
from diagnostics.report import chart, render
from diagnostics.report.formatting import escaped
from diagnostics.report.pictures import stem
from diagnostics.report.render import Picture
from diagnostics.schema.results.sufficient_pixels import SufficientPixels

Arrays = Mapping[str, NDArray[Any]]
Values = NDArray[np.float64]

HATCH = ((52, 98, 124), (94, 146, 172))  # no grey: grey could be the image
SHOWN_PX, LINES_PX = 224, 4
CURVE_PX = 320
ROOM = 0.04
AXIS_X = "pixels kept (logarithmic)"
LEGEND = (
    "Vertical: confidence (%), stretched at its ends. Dashed: the threshold. Dotted: the smallest "
    "subset that reaches it."
)


class Tick(TypedDict):
    """A number beside an axis; it stands at a share of the axis, 0 to 1."""

    at: float
    name: str


class Point(TypedDict):
    """A point of the search: shares of both axes, pixels kept, and what is read there.

    `y` is None where the confidence is no number.
    """

    x: float
    y: float | None
    kept: int
    text: str


class PlayerData(TypedDict):
    """What the player shows of one image, without the image itself.

    `ranks` is each pixel's rank in the order, −1 where it was never removed: little-endian int32
    as base64, row by row. `threshold` and `subset` are shares of the axes.
    """

    name: str
    height: int
    width: int
    ranks: str
    total: int
    hatch: Sequence[Sequence[int]]
    title: str
    legend: str
    axis_x: str
    threshold: float
    subset: float | None
    start: int
    ticks_x: list[Tick]
    ticks_y: list[Tick]
    points: list[Point]


def received_picture(pixels: NDArray[np.uint8], name: str, alt: str) -> Picture:
    """Return a picture of what the network received."""
    return Picture(render.photo(pixels / 255), alt, "", stem(name))


def kept_picture(
    pixels: NDArray[np.uint8], mask: NDArray[np.bool_], name: str, alt: str
) -> Picture:
    """Draw the kept pixels on slanted lines, which stand for all that were removed.

    Args:
        pixels: What the network received, shape (h, w, c).
        mask: Which pixels are kept, shape (h, w).
        name: Of the picture, for its file.
        alt: What it shows.
    """
    factor = max(1, SHOWN_PX // max(mask.shape))
    shown = render.enlarge(render.photo(pixels / 255), factor)
    rows, columns = np.indices(shown.shape[:2])
    slanted = ((rows + columns) // LINES_PX % 2 == 0)[..., None]
    lines = np.where(slanted, *np.array(HATCH, np.uint8)[:, None, None])
    visible = mask.repeat(factor, 0).repeat(factor, 1)[..., None]
    caption = f"lines: removed; each pixel {factor} × {factor}" if factor > 1 else "lines: removed"
    return Picture(np.where(visible, shown, lines).astype(np.uint8), alt, caption, stem(name))


def player_data(image: SufficientPixels, arrays: Arrays) -> PlayerData:
    """Return what the player shows of one image, without the image itself.

    Args:
        image: The image's part of the answer.
        arrays: The image's arrays.
    """
    counts, margins = arrays["kept_counts/0"], arrays["margins/0"]
    order = arrays["selection_order/0"]
    total, size, name = image["pixels"], image["size"], image["target_name"]
    odds, low, high = _axis(margins, image["tau"])
    ticks, names = chart.log_odds_ticks(low, high)
    ranks = np.where(np.isinf(order), -1, order).astype("<i4")
    at_size = np.flatnonzero(counts == size)
    return {
        "name": image["file"],
        "height": order.shape[0],
        "width": order.shape[1],
        "ranks": base64.b64encode(ranks.tobytes()).decode(),
        "total": total,
        "hatch": HATCH,
        "title": f"Confidence in {text.shortened(name)} while pixels are removed (n = 1)",
        "legend": LEGEND,
        "axis_x": AXIS_X,
        "threshold": (_log10_odds(image["tau"]) - low) / (high - low),
        "subset": None if size is None else _share_of_axis(size, total),
        "start": int(at_size[-1]) if len(at_size) else 0,
        "ticks_x": [
            {"at": _share_of_axis(count, total), "name": f"{count}"} for count in _ticks_x(total)
        ],
        "ticks_y": [
            {"at": (value - low) / (high - low), "name": written}
            for value, written in zip(ticks, names, strict=True)
            if low <= value <= high
        ],
        "points": [
            {
                "x": _share_of_axis(int(count), total),
                "y": None if np.isnan(value) else (float(value) - low) / (high - low),
                "kept": int(count),
                "text": _point_text(int(count), total, float(margin), name),
            }
            for count, value, margin in zip(counts, odds, margins, strict=True)
        ],
    }


def partial_curve(image: SufficientPixels, arrays: Arrays) -> go.Figure:
    """Draw how sure the model is while pixels are removed, as far as the search is.

    Args:
        image: The image's part of the answer.
        arrays: The image's arrays.
    """
    counts, margins, total = arrays["kept_counts/0"], arrays["margins/0"], image["pixels"]
    odds, low, high = _axis(margins, image["tau"])
    name = escaped(image["target_name"])
    curve = chart.figure(f"Confidence in {name} so far (n = 1)", CURVE_PX, bottom=60)
    curve.add_scatter(
        x=[_share_of_axis(int(count), total) for count in counts],
        y=odds,
        hovertext=[
            _point_text(int(count), total, float(margin), "")
            for count, margin in zip(counts, margins, strict=True)
        ],
        hovertemplate=chart.HOVER,
        mode="lines",
    )
    chart.reference_line(curve, y=_log10_odds(image["tau"]))
    curve.update_yaxes(chart.log_odds_axis(low, high, range=[low, high]))
    ticks = [count for count in _ticks_x(total) if str(count)[0] != "3" or count == total]
    curve.update_xaxes(
        title=AXIS_X,
        tickvals=[_share_of_axis(count, total) for count in ticks],
        ticktext=[str(count) for count in ticks],
        tickangle=0,
        range=[-ROOM, 1 + ROOM],
        zeroline=False,
    )
    return curve


def margin_text(margin: float) -> str:
    """Return a margin's probability as people read it."""
    return text.probability(*confidence(margin))


def _axis(margins: Values, tau: float) -> tuple[Values, float, float]:
    """Return log10 odds, cut off where no axis can show them, and the ends of the axis."""
    decades = np.asarray(margins, np.float64) / np.log(10)
    odds = np.clip(decades, -chart.MAX_DECADES, chart.MAX_DECADES)
    every = np.append(odds[np.isfinite(odds)], _log10_odds(tau))
    low, high = float(every.min()), float(every.max())
    room = ROOM * (high - low) + 0.1
    return odds, low - room, high + room


def _log10_odds(probability: float) -> float:
    return float(chart.log_odds(np.array(probability), np.array(1 - probability)))


def _share_of_axis(kept: int, total: int) -> float:
    """Return where a number of kept pixels stands: 0 for all of them, 1 for none."""
    return float(1 - np.log1p(kept) / np.log1p(total))


def _ticks_x(total: int) -> list[int]:
    """Return numbers of pixels to write on the axis: all, 1, 3, 10 and so on, and none."""
    round_counts = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
    return [*(count for count in round_counts if count <= total / 3), total]


def _point_text(kept: int, pixels: int, margin: float, name: str) -> str:
    of_class = f"{text.shortened(name)} " if name else ""
    share = f"{100 * kept / pixels:.2g} %"
    return f"{kept} of {pixels} pixels kept ({share}): {of_class}{margin_text(margin)}"
