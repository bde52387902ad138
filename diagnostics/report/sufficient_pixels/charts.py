"""The pixels that suffice, as pictures and curves: what is removed, and how sure it stays."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from diagnostics import text
from diagnostics.report import render
from diagnostics.report.chart import MAX_DECADES, log_odds_ticks
from diagnostics.report.formatting import escaped
from diagnostics.report.pictures import stem
from diagnostics.report.render import Picture, Rgb

Entry = Mapping[str, Any]
Arrays = Mapping[str, NDArray[Any]]
Values = NDArray[np.float64]

HATCH = ((52, 98, 124), (94, 146, 172))  # no grey: grey could be the image
GREY = "#808080"  # stands apart from light and dark alike
SHOWN_PX, LINES = 224, 4
ROOM = 0.04
AXIS_X = "pixels kept (logarithmic)"


def image(pixels: NDArray[np.uint8]) -> Rgb:
    """Return what the network received, shape (h, w, 3)."""
    return np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels


def received(pixels: NDArray[np.uint8], name: str, alt: str) -> Picture:
    """Return a picture of what the network received."""
    return Picture(image(pixels), alt, "", stem(name))


def kept_alone(pixels: NDArray[np.uint8], mask: NDArray[np.bool_], name: str, alt: str) -> Picture:
    """Draw the kept pixels on slanted lines, which stand for all that were removed.

    Args:
        pixels: What the network received, shape (h, w, c).
        mask: Which pixels are kept, shape (h, w).
        name: Of the picture, for its file.
        alt: What it shows.
    """
    factor = max(1, SHOWN_PX // max(mask.shape))
    shown = render.enlarge(image(pixels), factor)
    rows, columns = np.indices(shown.shape[:2])
    slanted = ((rows + columns) // LINES % 2 == 0)[..., None]
    lines = np.where(slanted, *np.array(HATCH, np.uint8)[:, None, None])
    visible = mask.repeat(factor, 0).repeat(factor, 1)[..., None]
    said = f"lines: removed; each pixel {factor} × {factor}" if factor > 1 else "lines: removed"
    return Picture(np.where(visible, shown, lines).astype(np.uint8), alt, said, stem(name))


def player(one: Entry, arrays: Arrays, place: int = 0) -> dict[str, Any]:
    """Return what the player shows of one image, without the image itself.

    Args:
        one: The image's part of the answer.
        arrays: The answer's arrays of this image: "kept", "margins" and "removed" of each subset.
        place: Number of the subset.
    """
    kept, margins = arrays[f"kept/{place}"], arrays[f"margins/{place}"]
    removed = arrays[f"removed/{place}"]
    total = int(kept[0])
    odds, low, high = _limits(margins, one["tau"])
    ticks, names = log_odds_ticks(low, high)
    outside = int(np.isinf(removed).sum()) if int(kept[-1]) == 0 else 0
    ranks = np.where(np.isinf(removed), -1, removed).astype("<i4")
    size = one["subsets"][place]["size"] if place < len(one["subsets"]) else None
    at = np.flatnonzero(kept == size)
    return {
        "name": one["file"],
        "height": removed.shape[0],
        "width": removed.shape[1],
        "ranks": base64.b64encode(ranks.tobytes()).decode(),
        "total": total,
        "hatch": HATCH,
        "title": f"Confidence in {text.shortened(one['name'])} while pixels are removed (n = 1)",
        "legend": "Vertical: confidence (%), stretched at its ends. Dashed: the threshold. Dotted: "
        "the smallest subset that reaches it.",
        "axis_x": AXIS_X,
        "level": (_odds(one["tau"]) - low) / (high - low),
        "size": None if size is None else _across(size, total),
        "start": int(at[-1]) if len(at) else 0,
        "ticks_y": [
            {"at": (where - low) / (high - low), "name": name}
            for where, name in zip(ticks, names, strict=True)
            if low <= where <= high
        ],
        "ticks_x": [{"at": _across(count, total), "name": f"{count}"} for count in _counts(total)],
        "points": [
            {
                "x": _across(int(count), total),
                "y": None if np.isnan(where) else (float(where) - low) / (high - low),
                "kept": int(count),
                "said": _said(int(count), total, outside, float(margin), one["name"]),
            }
            for count, where, margin in zip(kept, odds, margins, strict=True)
        ],
    }


def curve(one: Entry, kept: NDArray[Any], margins: Values) -> go.Figure:
    """Draw how sure the model is while pixels are removed, as far as the search is.

    Args:
        one: The image's part of the answer.
        kept: How many pixels were shown at each point.
        margins: Log-odds of the class at each point.
    """
    total = int(kept[0])
    odds, low, high = _limits(margins, one["tau"])
    places, names = log_odds_ticks(low, high)
    made = go.Figure()
    made.add_scatter(
        x=[_across(int(count), total) for count in kept],
        y=odds,
        text=[_said(int(k), total, 0, float(m), "") for k, m in zip(kept, margins, strict=True)],
        hovertemplate="%{text}<extra></extra>",
        mode="lines",
    )
    made.add_hline(y=_odds(one["tau"]), line={"color": GREY, "dash": "dash", "width": 1.5})
    made.update_layout(
        title=f"Confidence in {escaped(one['name'])} so far (n = 1)",
        height=320,
        showlegend=False,
        margin={"t": 60, "b": 60},
    )
    made.update_yaxes(
        title="confidence (%), stretched",
        tickvals=places,
        ticktext=names,
        range=[low, high],
        zeroline=False,
    )
    counts = [count for count in _counts(total) if str(count)[0] != "3" or count == total]
    made.update_xaxes(
        title=AXIS_X,
        tickvals=[_across(count, total) for count in counts],
        ticktext=[str(count) for count in counts],
        tickangle=0,
        range=[-ROOM, 1 + ROOM],
        zeroline=False,
    )
    return made


def probability(margin: float) -> str:
    """Return a margin's probability as people read it."""
    if np.isnan(margin):
        return "not a number"
    small = float(np.exp(-abs(margin)))
    far, near = small / (1 + small), 1 / (1 + small)
    return text.probability(near, far) if margin >= 0 else text.probability(far, near)


def _limits(margins: Values, tau: float) -> tuple[Values, float, float]:
    """Return log10 odds, cut off where no axis can show them, and the ends of the axis."""
    odds = np.clip(np.asarray(margins, np.float64) / np.log(10), -MAX_DECADES, MAX_DECADES)
    every = np.append(odds[np.isfinite(odds)], _odds(tau))
    low, high = float(every.min()), float(every.max())
    room = ROOM * (high - low) + 0.1
    return odds, low - room, high + room


def _odds(tau: float) -> float:
    return float(np.log10(tau) - np.log10(1 - tau))


def _across(kept: int, total: int) -> float:
    """Return where a number of kept pixels stands: 0 for all of them, 1 for none."""
    return float(1 - np.log1p(kept) / np.log1p(total))


def _counts(total: int) -> list[int]:
    """Return numbers of pixels to write on the axis: all, 1, 3, 10 and so on, and none."""
    usual: Sequence[int] = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
    return [*(count for count in usual if count <= total / 3), total]


def _said(kept: int, total: int, outside: int, margin: float, name: str) -> str:
    of = f"of {total + outside} pixels kept"
    share = 100 * kept / (total + outside)
    sure = probability(margin)
    who = f"{text.shortened(name)} " if name else ""
    return f"{kept} {of} ({share:.2g} %): {who}{sure}"
