"""Maps of two axes together: the prediction for one image at every pair of steps, and how sure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from diagnostics.report import chart
from diagnostics.report.chart import FAINT
from diagnostics.report.corruption.charts import axis_title, class_colours, runs, ticks
from diagnostics.report.corruption.tables import (
    at,
    class_name,
    clean_class,
    confidence,
    ranked_class,
)
from diagnostics.report.formatting import escaped
from diagnostics.report.table import Table
from diagnostics.schema.results.corruption import (
    NOT_FINITE,
    AxisEntry,
    RankedClass,
    SweepAnswer,
    SweptImage,
)

MAP_PX, MAX_TICKS = 470, 5
NOT_ASKED = NOT_FINITE - 1
NO_ANSWER_COLOUR = "#ff00a0"
MIN_RUN = 2  # steps of one class in a row that are named
HOVER_OF_CELL = "%{text}<extra></extra>"


def maps(row: int, answer: SweepAnswer, like: SweepAnswer) -> go.Figure:
    """Draw one image's predicted class, and its confidence in the target, at every pair of steps.

    Args:
        row: Of the image.
        answer: Of a sweep along two axes.
        like: Another answer, whose classes have the same colours here.
    """
    first, second = answer["axes"]
    image = answer["images"][row]
    name = escaped(class_name(answer, image["target"]), 16)
    figure = chart.figure(f"First class; confidence in {name} (n = 1)", MAP_PX, bottom=72, right=16)
    hover = _pair_hover(answer, image)
    _add_classes(figure, answer, image, hover, class_colours(answer, like))
    figure.add_heatmap(
        z=_target_percent(image, hover),
        xaxis="x2",
        yaxis="y2",
        colorscale=chart.SEQUENTIAL,
        zmin=0,
        zmax=100,
        xgap=1,
        ygap=1,
        hoverongaps=False,
        text=hover,
        colorbar={"title": {"text": "%"}, "thickness": 10},
        hovertemplate=HOVER_OF_CELL,
    )
    across, up = _cell_axis(second), _cell_axis(first)
    figure.update_layout(
        xaxis=across | {"domain": [0, 0.46], "title": None},
        yaxis=up,
        xaxis2=across | {"domain": [0.54, 1], "anchor": "y2", "title": None},
        yaxis2=up | {"anchor": "x2", "title": None, "showticklabels": False},
    )
    figure.add_annotation(
        text=axis_title(second),
        x=0.5,
        y=-0.1,
        xref="paper",
        yref="paper",
        yanchor="top",
        showarrow=False,
    )
    return figure


def pair_table(row: int, answer: SweepAnswer) -> Table:
    """Return the prediction for one image at every pair of steps, a row a step of the first axis.

    Args:
        row: Of the image.
        answer: Of a sweep along two axes.
    """
    (first, second), image = answer["axes"], answer["images"][row]
    wide = len(second["values"])
    rows = []
    for y in range(len(first["values"])):
        cells = {first["title"]: at(first, y)}
        for x in range(wide):
            top = image["top"][y * wide + x]
            cells[at(second, x)] = ranked_class(answer, top[0]) if top else ""
        rows.append(cells)
    clean = clean_class(image)
    unchanged = sum(index == clean for index in image["predicted"])
    evaluated = sum(index is not None for index in image["predicted"])
    caption = (
        f"The image is altered along {first['title'].lower()} first, then along "
        f"{second['title'].lower()}. The answer stays {class_name(answer, clean)} at {unchanged} "
        f"of {evaluated} pairs of steps."
    )
    return Table(tuple(rows), title=f"{first['title']} and {second['title']}", caption=caption)


def _cell_axis(axis: AxisEntry) -> dict[str, Any]:
    steps, names = ticks(axis, MAX_TICKS)
    return {
        "title": axis_title(axis),
        "tickvals": steps,
        "ticktext": names,
        "tickangle": 0,
        "range": [-0.5, len(axis["values"]) - 0.5],
        "showgrid": False,
        "zeroline": False,
    }


def _target_percent(image: SweptImage, hover: list[list[str]]) -> NDArray[np.float64]:
    """Return the confidence in the target at every pair of steps, NaN where there is none."""
    shape = len(hover), len(hover[0])
    curve = image["curves"].get(str(image["target"]))
    if curve is None:
        return np.full(shape, np.nan)
    return 100 * np.array(curve["probability"], np.float64).reshape(shape)


def _add_classes(
    figure: go.Figure,
    answer: SweepAnswer,
    image: SweptImage,
    hover: list[list[str]],
    colours: Mapping[int, str],
) -> None:
    """Draw the predicted class at every pair of steps, a colour a class, each named once."""
    indices = [NOT_ASKED if index is None else index for index in image["predicted"]]
    predicted = np.array(indices).reshape(len(hover), len(hover[0]))
    order = [NOT_ASKED, NOT_FINITE, *colours]
    paint = [FAINT, NO_ANSWER_COLOUR, *colours.values()]
    figure.add_heatmap(
        z=np.vectorize(order.index)(predicted),
        colorscale=[
            ((number + edge) / len(order), colour)
            for number, colour in enumerate(paint)
            for edge in (0, 1)
        ],
        zmin=-0.5,
        zmax=len(order) - 0.5,
        showscale=False,
        xgap=1,
        ygap=1,
        text=hover,
        hovertemplate=HOVER_OF_CELL,
    )
    written = list(_names_in_map(predicted, answer))
    figure.add_scatter(
        x=[x for _, x, _, _ in written],
        y=[y for y, _, _, _ in written],
        text=[f"<b>{name}</b>" for _, _, _, name in written],
        mode="text",
        textfont={
            "size": 14,
            "color": [chart.text_on(colours[index]) for _, _, index, _ in written],
        },
        hoverinfo="skip",
    )


def _pair_hover(answer: SweepAnswer, image: SweptImage) -> list[list[str]]:
    first, second = answer["axes"]
    wide = len(second["values"])
    return [
        [
            f"{_cell_words(answer, image['top'][y * wide + x])} at {at(first, y)}, {at(second, x)}"
            for x in range(wide)
        ]
        for y in range(len(first["values"]))
    ]


def _cell_words(answer: SweepAnswer, top: list[RankedClass] | None) -> str:
    if not top:
        return class_name(answer, None if top is None else NOT_FINITE)
    return f"{escaped(class_name(answer, top[0]['index']))} {confidence(top[0])}"


def _names_in_map(
    predicted: NDArray[np.intp], answer: SweepAnswer
) -> Iterator[tuple[int, float, int, str]]:
    """Yield where a class's name stands in the map: in the middle of its longest runs."""
    runs_of: dict[int, list[tuple[int, int, float]]] = {}
    for y, line in enumerate(predicted.tolist()):
        for start, end, index in runs(line):
            if index is not None and index >= 0:
                runs_of.setdefault(index, []).append((end - start, y, (start + end - 1) / 2))
    for index, class_runs in runs_of.items():
        longest = [run for run in class_runs if run[0] == max(class_runs)[0]]
        length, y, x = longest[len(longest) // 2]
        name = escaped(class_name(answer, index), 4 * length)
        if length >= MIN_RUN or len(name) == 1:
            yield y, x, index, name
