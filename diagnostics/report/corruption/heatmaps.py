"""Maps of two axes together: what is said of one image at every pair of steps, and how surely."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from diagnostics.report.corruption.charts import UNASKED, along, class_name, on, runs, shades, ticks
from diagnostics.report.corruption.tables import NOT_FINITE, Said, at, first_said, named
from diagnostics.report.formatting import escaped
from diagnostics.report.table import Table
from diagnostics.text import probability

MAP_PX, TICKS = 470, 5
NOT_ASKED = NOT_FINITE - 1
NO_ANSWER = "#ff00a0"
LEAST_RUN = 2  # steps of one class in a row that are named


def maps(row: int, answer: Said, alike: Said) -> go.Figure:
    """Draw one image's first class, and its confidence in the class meant, at every pair of steps.

    Args:
        row: Of the image.
        answer: Of a sweep along two axes.
        alike: Another answer, whose classes have the same colours here.
    """
    first, second = answer["axes"]
    image = answer["images"][row]
    tall, wide = len(first["values"]), len(second["values"])
    hover = _pair_hover(answer, image, tall, wide)
    made = go.Figure()
    _labels(made, answer, image, hover, shades(answer, alike))
    curve = image["curves"].get(str(image["meant"]))
    p = curve["probability"] if curve else [None] * (tall * wide)
    values = np.array([math.nan if one is None else 100 * one for one in p]).reshape(tall, wide)
    made.add_heatmap(
        z=values,
        **{"xaxis": "x2", "yaxis": "y2", "colorscale": "Cividis", "zmin": 0, "zmax": 100},
        **{"xgap": 1, "ygap": 1, "hoverongaps": False, "text": hover},
        colorbar={"title": {"text": "%"}, "thickness": 10},
        hovertemplate="%{text}<extra></extra>",
    )
    name = class_name(answer, image["meant"], 16)
    made.update_layout(
        title=f"First class; confidence in {name} (n = 1)",
        height=MAP_PX,
        margin={"t": 60, "b": 72, "r": 16},
        showlegend=False,
    )
    across, up = _framed(second), _framed(first)
    made.update_layout(
        xaxis={**across, "domain": [0, 0.46], "title": None},
        yaxis=up,
        xaxis2={**across, "domain": [0.54, 1], "anchor": "y2", "title": None},
        yaxis2={**up, "anchor": "x2", "title": None, "showticklabels": False},
    )
    under = {"xref": "paper", "yref": "paper", "yanchor": "top", "showarrow": False}
    made.add_annotation(x=0.5, y=-0.1, text=along(second), **under)
    return made


def _framed(axis: Said) -> dict[str, Any]:
    places, written = ticks(axis, TICKS)
    return {
        **{"title": along(axis), "tickvals": places, "ticktext": written, "tickangle": 0},
        **{"range": [-0.5, len(axis["values"]) - 0.5], "showgrid": False, "zeroline": False},
    }


def _labels(
    made: go.Figure,
    answer: Said,
    image: Said,
    hover: list[list[str]],
    colours: Mapping[int, str],
) -> None:
    """Draw the first class at every pair of steps, a colour a class, each named once."""
    shape = len(hover), len(hover[0])
    said = np.array([NOT_ASKED if one is None else one for one in image["said"]]).reshape(shape)
    known = [NOT_ASKED, NOT_FINITE, *colours]
    paint = [UNASKED, NO_ANSWER, *colours.values()]
    made.add_heatmap(
        z=np.vectorize(known.index)(said),
        colorscale=[
            ((place + edge) / len(known), colour)
            for place, colour in enumerate(paint)
            for edge in (0, 1)
        ],
        **{"zmin": -0.5, "zmax": len(known) - 0.5, "showscale": False},
        **{"xgap": 1, "ygap": 1, "text": hover},
        hovertemplate="%{text}<extra></extra>",
    )
    written = list(_written(said, answer))
    made.add_scatter(
        x=[x for _, x, _, _ in written],
        y=[y for y, _, _, _ in written],
        text=[f"<b>{name}</b>" for _, _, _, name in written],
        mode="text",
        textfont={"size": 14, "color": [on(colours[index]) for _, _, index, _ in written]},
        hoverinfo="skip",
    )


def numbers(row: int, answer: Said) -> Table:
    """Return what was said of one image at every pair of steps; a row for each of the first axis.

    Args:
        row: Of the image.
        answer: Of a sweep along two axes.
    """
    (first, second), image = answer["axes"], answer["images"][row]
    wide = len(second["values"])
    rows = []
    for y in range(len(first["values"])):
        line = {first["title"]: at(first, y)}
        for x in range(wide):
            top = image["top"][y * wide + x]
            said = f"{named(answer, top[0][0])} {probability(*top[0][1:])}" if top else ""
            line[at(second, x)] = said
        rows.append(line)
    kept = sum(one == first_said(image) for one in image["said"])
    asked = sum(one is not None for one in image["said"])
    said = (
        f"The image is altered along {first['title'].lower()} first, then along "
        f"{second['title'].lower()}. The answer stays {named(answer, first_said(image))} at {kept} "
        f"of {asked} pairs of steps."
    )
    return Table(tuple(rows), title=f"{first['title']} and {second['title']}", said=said)


def _pair_hover(answer: Said, image: Said, tall: int, wide: int) -> list[list[str]]:
    first, second = answer["axes"]
    return [
        [
            _pair(answer, image["top"][y * wide + x], at(first, y), at(second, x))
            for x in range(wide)
        ]
        for y in range(tall)
    ]


def _pair(answer: Said, top: Any, one: str, other: str) -> str:
    if top is None:
        return f"not asked yet at {one}, {other}"
    if not top:
        return f"no finite answer at {one}, {other}"
    said = f"{class_name(answer, top[0][0])} {probability(*top[0][1:])}"
    return f"{said} at {one}, {other}"


def _written(said: NDArray[Any], answer: Said) -> Iterator[tuple[int, float, int, str]]:
    """Yield where a class's name stands in the map: in the middle of its longest runs."""
    places: dict[int, list[tuple[int, int, float]]] = {}
    for y, line in enumerate(said.tolist()):
        for start, end, index in runs(line):
            if index is not None and index >= 0:
                places.setdefault(index, []).append((end - start, y, (start + end - 1) / 2))
    for index, found in places.items():
        longest = [one for one in found if one[0] == max(found)[0]]
        length, y, x = longest[len(longest) // 2]
        name = escaped(named(answer, index), 4 * length)
        if length >= LEAST_RUN or len(name) == 1:
            yield y, x, index, name
