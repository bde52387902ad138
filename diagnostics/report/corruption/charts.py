"""Charts of a sweep along one axis: confidence, the predicted class, the images."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from diagnostics.data.image import encode_png
from diagnostics.report import chart, render
from diagnostics.report.chart import CATEGORICAL, FAINT, GREY, HOVER
from diagnostics.report.corruption.tables import MAX_COLOURS, Arrays, at, class_name, clean_class
from diagnostics.report.formatting import escaped
from diagnostics.schema.results.corruption import (
    NOT_FINITE,
    AxisEntry,
    Curve,
    SweepAnswer,
    SweptImage,
)
from diagnostics.text import number, probability

DASHES = ("solid", "dash", "dot", "dashdot")
MAX_TICKS = 11
STEP_LETTERS = 5.5  # of a name that fit into one step of twenty
STEPS_AT_ONCE = 21
MIN_LETTERS = 4
PICTURE_PX = 112
ROW_PX, STRIPS_PX, CURVES_PX = 34, 120, 560


def class_colours(answer: SweepAnswer, like: SweepAnswer | None = None) -> dict[int, str]:
    """Return a colour for every class that is ever predicted; grey where there are no more.

    Args:
        answer: Of a sweep.
        like: Another answer, whose classes keep the colours that they have there.
    """
    known = class_colours(like) if like else {}
    counts: dict[int, int] = {}
    for image in answer["images"]:
        for index in (clean_class(image), *image["predicted"]):
            if index is not None and index != NOT_FINITE:
                counts[index] = counts.get(index, 0) + 1
    ranked = sorted(counts, key=lambda index: -counts[index])
    used = {known[index] for index in ranked if index in known}
    unused = [colour for colour in CATEGORICAL if colour not in used]
    left = iter(sorted(unused, key=set(known.values()).__contains__))
    return {
        index: known[index] if known.get(index, GREY) != GREY else next(left, GREY)
        for index in ranked
    }


def curves(row: int, answer: SweepAnswer, arrays: Arrays, *, stretch: bool) -> go.Figure:
    """Draw one image's confidence in every class that is ever predicted, the class, and the image.

    Args:
        row: Of the image.
        answer: Of a sweep along one axis.
        arrays: Of that answer, with the pictures.
        stretch: Draw log-odds, so that near 100 % nothing is squashed.
    """
    (axis,), image, colours = answer["axes"], answer["images"][row], class_colours(answer)
    figure = go.Figure()
    drawn: list[float] = []
    followed = _followed(image)
    for rank, index in enumerate(followed):
        curve = image["curves"][str(index)]
        heights = _heights(curve, stretch)
        drawn += [height for height in heights if math.isfinite(height)]
        figure.add_scatter(
            x=list(range(len(heights))),
            y=[height if math.isfinite(height) else None for height in heights],
            name=escaped(class_name(answer, index), 16),
            mode="lines+markers",
            line={"color": colours.get(index, GREY), "dash": DASHES[rank // 2 % 4], "width": 2.5},
            marker={"size": 7},
            customdata=[[row, step] for step in range(len(heights))],
            hovertext=_curve_hover(escaped(class_name(answer, index)), curve, axis),
            hovertemplate=HOVER,
        )
    _add_strip(figure, row, answer, colours, y=0.5, axis="y2")
    steps = image["thumbnails"]  # added one by one, each makes plotly check all before it again
    thumbnails = [_layout_image(arrays[f"image/{row}/step/{step}"], step) for step in steps]
    figure.update_layout(images=thumbnails)
    chart.frame(
        figure,
        f"Confidence, {escaped(image['file'], 28)} (n = 1)",
        CURVES_PX,
        top=84,
        right=16,
        legend=chart.LEGEND_ABOVE if len(followed) > 1 else False,
        barmode="overlay",
        hovermode="closest",
    )
    over_steps(figure, axis)
    figure.update_xaxes(anchor="y3")
    figure.update_layout(
        yaxis=confidence_axis(drawn, stretch=stretch, domain=[0.42, 1]),
        yaxis2=_bare_axis("said", [0.29, 0.37]),
        yaxis3=_bare_axis("image", [0.02, 0.25]),
    )
    return figure


def strips(answer: SweepAnswer) -> go.Figure:
    """Draw the predicted class of every image over the axis, a row an image."""
    (axis,), images, colours = answer["axes"], answer["images"], class_colours(answer)
    figure = chart.figure(
        f"First class of each image (n = {len(images)})",
        STRIPS_PX + ROW_PX * len(images),
        top=48,
        right=16,
        barmode="overlay",
    )
    for row in range(len(images)):
        _add_strip(figure, row, answer, colours, y=row, axis="y")
    over_steps(figure, axis)
    names = [escaped(image["file"], 22) for image in images]
    edges = [len(images) - 0.5, -0.5]
    figure.update_yaxes(**chart.rows_axis(names, range=edges, showgrid=False, title="image"))
    return figure


def runs(predicted: Sequence[int | None]) -> Iterator[tuple[int, int, int | None]]:
    """Yield the first step, the step after the last, and the class of every run of one class."""
    start = 0
    for step in range(1, len(predicted) + 1):
        if step == len(predicted) or predicted[step] != predicted[start]:
            yield start, step, predicted[start]
            start = step


def ticks(axis: AxisEntry, max_ticks: int = MAX_TICKS) -> tuple[list[int], list[str]]:
    """Return which steps of an axis are written, and how; that of the identity is among them."""
    steps = len(axis["values"])
    every = -(-steps // max_ticks)
    first = (axis["identity_step"] or 0) % every
    written = list(range(first, steps, every))
    return written, [number(axis["values"][step]) for step in written]


def axis_title(axis: AxisEntry) -> str:
    """Return what stands at an axis of a chart."""
    return f"{axis['title'].lower()} ({axis['unit']})"


def confidence_axis(drawn: Sequence[float], *, stretch: bool, **more: Any) -> dict[str, Any]:
    """Return the axis of confidence, in percent or in log-odds written as percent.

    Args:
        drawn: Every height on it.
        stretch: Whether they are log-odds.
        **more: Whatever else plotly's axis takes.
    """
    if not stretch:
        return chart.percent_axis(**more)
    if not drawn:
        return {"title": "confidence (%)", "zeroline": False} | more
    return chart.log_odds_axis(min(drawn), max(drawn), **more)


def over_steps(figure: go.Figure, axis: AxisEntry) -> None:
    """Let steps stand evenly, each with its number; the one that changes nothing is marked."""
    steps, names = ticks(axis)
    figure.update_xaxes(
        title=axis_title(axis),
        tickvals=steps,
        ticktext=names,
        range=[-0.55, len(axis["values"]) - 0.45],
        showgrid=False,
        zeroline=False,
    )
    if axis["identity_step"] is not None:
        chart.reference_line(figure, x=axis["identity_step"], dash="dot")


def _followed(image: SweptImage) -> list[int]:
    """Return the classes that have a curve: the target, then those that get most probable."""
    highest = {
        int(index): max((p for p in curve["probability"] if p is not None), default=0.0)
        for index, curve in image["curves"].items()
    }
    first = [index for index in (image["target"], clean_class(image)) if index in highest]
    others = sorted(highest, key=lambda index: -highest[index])
    return list(dict.fromkeys([*first, *others]))[:MAX_COLOURS]


def _curve_hover(name: str, curve: Curve, axis: AxisEntry) -> list[str]:
    return [
        "" if p is None or complement is None else f"{name} {probability(p, complement)} at {step}"
        for p, complement, step in zip(
            curve["probability"],
            curve["one_minus_p"],
            [at(axis, step) for step in range(len(axis["values"]))],
            strict=True,
        )
    ]


def _heights(curve: Curve, stretch: bool) -> list[float]:
    p = np.array(curve["probability"], np.float64)  # None becomes NaN
    heights = chart.log_odds(p, np.array(curve["one_minus_p"], np.float64)) if stretch else 100 * p
    return [float(height) for height in heights]


def _add_strip(
    figure: go.Figure,
    row: int,
    answer: SweepAnswer,
    colours: Mapping[int, str],
    *,
    y: float,
    axis: str,
) -> None:
    """Draw one image's predicted class, a bar a step, the name in the middle of a run."""
    (along,), image = answer["axes"], answer["images"][row]
    predicted = image["predicted"]
    steps = len(predicted)
    figure.add_bar(
        x=list(range(steps)),
        y=[0.9] * steps,
        base=[y - 0.45] * steps,
        width=1,
        yaxis=axis,
        marker={
            "color": [FAINT if index is None else colours.get(index, GREY) for index in predicted],
            "line": {"width": 0},
        },
        customdata=[[row, step] for step in range(steps)],
        hovertext=[
            f"{escaped(image['file'])}: {escaped(class_name(answer, index))} at {at(along, step)}"
            for step, index in enumerate(predicted)
        ],
        hovertemplate=HOVER,
        showlegend=False,
    )
    room = STEP_LETTERS * STEPS_AT_ONCE / max(steps, 1)
    named = [(start, end, index) for start, end, index in runs(predicted) if index is not None]
    names = [
        _fitting(class_name(answer, index), int(room * (end - start)))
        for start, end, index in named
    ]
    figure.add_scatter(
        x=[(start + end - 1) / 2 for start, end, _ in named],
        y=[y] * len(named),
        yaxis=axis,
        text=[f"<b>{name}</b>" if name else "" for name in names],
        mode="text",
        textfont={
            "color": [chart.text_on(colours.get(index, GREY)) for _, _, index in named],
            "size": 13,
        },
        hoverinfo="skip",
        showlegend=False,
    )


def _bare_axis(title: str, domain: list[float]) -> dict[str, Any]:
    return chart.bare_axis(title=title, domain=domain, range=[0, 1], fixedrange=True)


def _fitting(name: str, letters: int) -> str:
    """Return a name shortened to so many letters; empty where these would not tell it."""
    if len(name) <= max(letters, 1):
        return escaped(name)
    return escaped(name, letters) if letters >= MIN_LETTERS else ""


def _layout_image(values: NDArray[Any], step: int) -> dict[str, Any]:
    """Return an image under its step, enlarged by a whole number before it is sent."""
    shown = render.photo(values.astype(np.float64) / 255)
    shown = render.enlarge(shown, max(1, PICTURE_PX // max(shown.shape[:2])))
    return {
        "source": "data:image/png;base64," + base64.b64encode(encode_png(shown)).decode(),
        "xref": "x",
        "yref": "y3",
        "x": step,
        "y": 0.5,
        "sizex": 0.94,
        "sizey": 1,
        "xanchor": "center",
        "yanchor": "middle",
        "sizing": "contain",
    }
