"""Charts of a sweep along one axis: confidence, the first class, the images."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from diagnostics.data.image import encode_png
from diagnostics.report import render
from diagnostics.report.chart import Values, log_odds, log_odds_ticks
from diagnostics.report.corruption.tables import (
    COLOURED,
    NOT_FINITE,
    Arrays,
    Said,
    at,
    first_said,
    named,
)
from diagnostics.report.formatting import escaped
from diagnostics.text import number, probability

# Okabe and Ito's colours, which stay apart for colour-blind people, and on light and dark.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C6BB1", "#B3A100")
GREY, UNASKED = "#808080", "rgba(128,128,128,0.15)"
DASHES = ("solid", "dash", "dot", "dashdot")
TICKS = 11
STEP_LETTERS = 5.5  # of a name that fit into one step of twenty
STEPS_AT_ONCE = 21
LEAST_LETTERS = 4
PICTURE_PX = 112
ROW_PX, STRIPS_PX, CURVES_PX = 34, 120, 560
DARK = 0.55  # brightness of a colour, under which white text stands on it


def shades(answer: Said, alike: Said | None = None) -> dict[int, str]:
    """Return a colour for every class that is ever first; grey where there are no more colours.

    Args:
        answer: Of a sweep.
        alike: Another answer, whose classes keep the colours that they have there.
    """
    taken = shades(alike) if alike else {}
    counts: dict[int, int] = {}
    for image in answer["images"]:
        for said in (first_said(image), *image["said"]):
            if said is not None and said != NOT_FINITE:
                counts[said] = counts.get(said, 0) + 1
    ranked = sorted(counts, key=lambda one: -counts[one])
    used = {taken[one] for one in ranked if one in taken}
    left = iter(
        sorted((one for one in COLOURS if one not in used), key=set(taken.values()).__contains__)
    )
    return {one: taken[one] if taken.get(one, GREY) != GREY else next(left, GREY) for one in ranked}


def curves(row: int, answer: Said, arrays: Arrays, *, stretch: bool) -> go.Figure:
    """Draw one image's confidence in every class that is ever first, its first class, and itself.

    Args:
        row: Of the image.
        answer: Of a sweep along one axis.
        arrays: Of that answer, with the pictures.
        stretch: Draw the odds on a logarithmic scale, so that near 100 % nothing is squashed.
    """
    (axis,), image, colours = answer["axes"], answer["images"][row], shades(answer)
    steps = len(axis["values"])
    written = [at(axis, place) for place in range(steps)]
    made = go.Figure()
    every: list[float] = []
    for place, index in enumerate(_followed(image)):
        curve = image["curves"][str(index)]
        heights = _heights(curve["probability"], curve["one_minus_p"], stretch)
        every += [one for one in heights if math.isfinite(one)]
        hover = [
            "" if p is None else f"{class_name(answer, index)} {probability(p, d)} at {step}"
            for p, d, step in zip(curve["probability"], curve["one_minus_p"], written, strict=True)
        ]
        made.add_scatter(
            x=list(range(steps)),
            y=[one if math.isfinite(one) else None for one in heights],
            name=class_name(answer, index, 16),
            mode="lines+markers",
            line={"color": colours.get(index, GREY), "dash": DASHES[place // 2 % 4], "width": 2.5},
            marker={"size": 7},
            customdata=[[row, step] for step in range(steps)],
            hovertext=hover,
            hovertemplate="%{hovertext}<extra></extra>",
        )
    _strip(made, row, answer, colours, y=0.5, axis="y2")
    for place in image["pictures"]:
        made.add_layout_image(_image(arrays[f"image/{row}/step/{place}"], place))
    made.update_layout(
        title=f"Confidence, {escaped(image['file'], 28)} (n = 1)",
        height=CURVES_PX,
        barmode="overlay",
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        margin={"t": 84, "b": 56, "r": 16},
        hovermode="closest",
    )
    over_steps(made, axis)
    made.update_xaxes(anchor="y3")
    made.update_layout(
        yaxis={"domain": [0.42, 1], "title": "confidence (%)", "zeroline": False},
        yaxis2=_bare([0.29, 0.37], "said"),
        yaxis3=_bare([0.02, 0.25], "image"),
    )
    if not stretch:
        made.update_layout(yaxis={"range": [-3, 103]})
    elif every:
        low, high = min(every), max(every)
        places, names = log_odds_ticks(low, high)
        title = "confidence (%), stretched"
        made.update_layout(yaxis={"title": title, "tickvals": places, "ticktext": names})
    return made


def strips(answer: Said) -> go.Figure:
    """Draw the first class of every image over the axis, a row an image."""
    (axis,), images, colours = answer["axes"], answer["images"], shades(answer)
    made = go.Figure()
    for row in range(len(images)):
        _strip(made, row, answer, colours, y=row, axis="y")
    made.update_layout(
        title=f"First class of each image (n = {len(images)})",
        height=STRIPS_PX + ROW_PX * len(images),
        barmode="overlay",
        showlegend=False,
        margin={"t": 48, "b": 56, "r": 16},
    )
    over_steps(made, axis)
    made.update_yaxes(
        tickvals=list(range(len(images))),
        ticktext=[escaped(image["file"], 22) for image in images],
        range=[len(images) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
        title="image",
    )
    return made


def class_name(answer: Said, index: int, length: int = 24) -> str:
    """Return the name of a class as plotly shows it."""
    return escaped(named(answer, index), length)


def on(colour: str) -> str:
    """Return the colour of text that can be read on a colour."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return "#ffffff" if 0.299 * red + 0.587 * green + 0.114 * blue < DARK else "#000000"


def runs(said: Sequence[int | None]) -> Iterator[tuple[int, int, int | None]]:
    """Yield the first place, the place after the last, and the class of every run of one class."""
    start = 0
    for place in range(1, len(said) + 1):
        if place == len(said) or said[place] != said[start]:
            yield start, place, said[start]
            start = place


def ticks(axis: Said, most: int = TICKS) -> tuple[list[int], list[str]]:
    """Return which steps of an axis are written, and how; the neutral one is among them."""
    steps = len(axis["values"])
    every = -(-steps // most)
    first = (axis["neutral"] or 0) % every
    places = list(range(first, steps, every))
    return places, [number(axis["values"][place]) for place in places]


def along(axis: Said) -> str:
    """Return what stands at an axis of a chart."""
    return f"{axis['title'].lower()} ({axis['unit']})"


def over_steps(made: go.Figure, axis: Said) -> None:
    """Let steps stand evenly, each with its number; the one that changes nothing is marked."""
    places, named_ticks = ticks(axis)
    steps = len(axis["values"])
    made.update_xaxes(
        title=along(axis),
        tickvals=places,
        ticktext=named_ticks,
        range=[-0.55, steps - 0.45],
        showgrid=False,
        zeroline=False,
    )
    if axis["neutral"] is not None:
        made.add_vline(x=axis["neutral"], line={"color": GREY, "dash": "dot", "width": 1.5})


def _followed(image: Said) -> list[int]:
    """Return the classes that have a curve: the first one, then those that get surest."""
    reached = {
        int(index): max((one for one in curve["probability"] if one is not None), default=0.0)
        for index, curve in image["curves"].items()
    }
    first = [one for one in (image["meant"], first_said(image)) if one in reached]
    rest = sorted(reached, key=lambda one: -reached[one])
    return list(dict.fromkeys([*first, *rest]))[:COLOURED]


def _heights(p: Sequence[float | None], d: Sequence[float | None], stretch: bool) -> list[float]:
    share, distance = (
        np.array([math.nan if one is None else one for one in values]) for values in (p, d)
    )
    heights: Values = log_odds(share, distance) if stretch else 100 * share
    return [float(one) for one in heights]


def _strip(
    made: go.Figure, row: int, answer: Said, colours: Mapping[int, str], *, y: float, axis: str
) -> None:
    """Draw one image's first class at every step, a bar a step, the name in the middle of a run."""
    (along_axis,), image = answer["axes"], answer["images"][row]
    said = image["said"]
    paint = [UNASKED if one is None else colours.get(one, GREY) for one in said]
    made.add_bar(
        x=list(range(len(said))),
        y=[0.9] * len(said),
        base=[y - 0.45] * len(said),
        width=1,
        yaxis=axis,
        marker={"color": paint, "line": {"width": 0}},
        customdata=[[row, place] for place in range(len(said))],
        hovertext=[
            f"{escaped(image['file'])}: {escaped(named(answer, one))} at {at(along_axis, place)}"
            for place, one in enumerate(said)
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
    )
    room = STEP_LETTERS * STEPS_AT_ONCE / max(len(said), 1)
    found = [one for one in runs(said) if one[2] is not None]
    names = [_fitting(named(answer, one), int(room * (end - start))) for start, end, one in found]
    made.add_scatter(
        x=[(start + end - 1) / 2 for start, end, _ in found],
        y=[y] * len(found),
        yaxis=axis,
        text=[f"<b>{name}</b>" if name else "" for name in names],
        mode="text",
        textfont={"color": [on(colours.get(one[2] or 0, GREY)) for one in found], "size": 13},
        hoverinfo="skip",
        showlegend=False,
    )


def _bare(domain: list[float], title: str) -> dict[str, Any]:
    return {
        **{"domain": domain, "title": title, "range": [0, 1], "fixedrange": True},
        **{"showticklabels": False, "showgrid": False, "zeroline": False},
    }


def _fitting(name: str, letters: int) -> str:
    """Return a name shortened to so many letters; empty where these would not tell it."""
    if len(name) <= max(letters, 1):
        return escaped(name)
    return escaped(name, letters) if letters >= LEAST_LETTERS else ""


def _image(values: NDArray[Any], place: int) -> dict[str, Any]:
    """Return an image under its step, enlarged by a whole number before it is sent."""
    shown = render.photo(values.astype(np.float64) / 255)
    shown = render.enlarge(shown, max(1, PICTURE_PX // max(shown.shape[:2])))
    return {
        "source": "data:image/png;base64," + base64.b64encode(encode_png(shown)).decode(),
        **{"xref": "x", "yref": "y3", "x": place, "y": 0.5, "sizex": 0.94, "sizey": 1},
        **{"xanchor": "center", "yanchor": "middle", "sizing": "contain"},
    }
