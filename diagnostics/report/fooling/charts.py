"""Charts of fooling images: how sure the model gets, how soon, and which score catches them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from diagnostics.metrics.intervals import wilson
from diagnostics.report import chart
from diagnostics.report.fooling.detection import detections
from diagnostics.report.fooling.tables import (
    FEW,
    MILESTONES,
    Arrays,
    continued_trace,
    count_reached,
)
from diagnostics.report.formatting import escaped, rate
from diagnostics.schema.results.fooling import FoolingAnswer
from diagnostics.schema.results.ood import DetectionAnswer

DASHES = ("solid", "dash", "dot", "dashdot")
BANDS = {  # of the classes, in percent from the least sure
    "all": (0, 100, "rgba(31,131,184,0.12)"),
    "half of them": (25, 75, "rgba(31,131,184,0.22)"),
}
CHART_PX, ROW_PX, AROUND_PX = 330, 26, 120
BOTTOM_PX, RIGHT_PX = 52, 12


def confidence_chart(answer: FoolingAnswer, arrays: Arrays) -> go.Figure:
    """Draw how sure the model is of each class's picture, iteration by iteration.

    Args:
        answer: The answer.
        arrays: Its arrays.
    """
    decades = continued_trace(arrays) / np.log(10)
    odds = np.clip(decades, -chart.MAX_DECADES, chart.MAX_DECADES)
    n = odds.shape[1]
    figure = chart.figure(
        f"Confidence in the picture of each class (n = {n})",
        CHART_PX,
        bottom=BOTTOM_PX,
        right=RIGHT_PX,
        legend={"title": "class"} if n > 1 else False,
    )
    if n <= FEW:
        _add_lines(figure, answer, odds)
    else:
        _add_bands(figure, answer["trace_iterations"], odds)
    low, high = float(odds.min()), float(odds.max())
    figure.update_xaxes(title=answer["unit"], zeroline=False, rangemode="tozero")
    figure.update_yaxes(chart.log_odds_axis(low, max(high, low + 0.1)))
    return figure


def milestones_chart(answer: FoolingAnswer) -> go.Figure:
    """Draw how many classes have reached each milestone by each iteration."""
    iterations, n = answer["trace_iterations"], len(answer["classes"])
    figure = chart.figure(
        f"Classes that have reached so much (n = {n})",
        CHART_PX,
        bottom=BOTTOM_PX,
        right=RIGHT_PX,
        legend={"title": "confidence"},
    )
    for (name, title), colour, dash in zip(MILESTONES.items(), chart.SERIES, DASHES, strict=True):
        figure.add_scatter(
            x=iterations,
            y=[count_reached(answer, name, iteration) for iteration in iterations],
            name=title,
            mode="lines",
            line={"shape": "hv", "dash": dash, "color": colour},
        )
    figure.update_xaxes(title=answer["unit"], zeroline=False, rangemode="tozero")
    figure.update_yaxes(title="classes", range=[-0.02 * n, 1.05 * n], zeroline=False)
    if n <= FEW:
        figure.update_yaxes(dtick=1)
    return figure


def detection_chart(judged: DetectionAnswer, alpha: float) -> go.Figure:
    """Draw which share of the pictures each score calls strange.

    Args:
        judged: The pictures' OOD scores.
        alpha: Share of in-distribution images that may be flagged.
    """
    known = [(title, hits, n) for title, hits, n in detections(judged, alpha) if hits is not None]
    shares = [100 * hits / n for _, hits, n in known]
    intervals = [wilson(hits, n) for _, hits, n in known]
    figure = chart.figure(
        f"Pictures that each score calls strange (n = {len(judged['images'])})",
        AROUND_PX + ROW_PX * len(known),
        bottom=BOTTOM_PX,
        right=RIGHT_PX,
    )
    figure.add_scatter(
        x=shares,
        y=list(range(len(known))),
        mode="markers",
        marker={"size": 10, "color": chart.SERIES[0]},
        error_x=chart.error_bars(
            shares,
            [100 * low for low, _ in intervals],
            [100 * high for _, high in intervals],
            color=chart.SERIES[0],
            width=4,
        ),
        hovertext=[f"{escaped(title)}: {rate(hits, n)}" for title, hits, n in known],
        hovertemplate=chart.HOVER,
    )
    figure.update_xaxes(chart.percent_axis("caught (%, more is better)", range=[-2, 102]))
    names = chart.names_on_axis([title for title, _, _ in known], 30)
    figure.update_yaxes(chart.rows_axis(names))
    return figure


def _add_lines(figure: go.Figure, answer: FoolingAnswer, odds: NDArray[np.float64]) -> None:
    """Draw a line for each of a few classes."""
    names = {one["index"]: one["name"] for one in answer["classes"]}
    for column, index in enumerate(answer["trace_indices"]):
        colour, dash = chart.SERIES[column % 4], DASHES[column // 4 % 4]
        figure.add_scatter(
            x=answer["trace_iterations"],
            y=odds[:, column],
            name=escaped(names[index], 18),
            mode="lines",
            line={"dash": dash, "color": colour},
        )


def _add_bands(figure: go.Figure, iterations: Sequence[int], odds: NDArray[np.float64]) -> None:
    """Draw the median of many classes, half of them around it, and all of them."""
    for name, (low, high, colour) in BANDS.items():
        figure.add_scatter(
            x=iterations,
            y=np.percentile(odds, high, 1),
            mode="lines",
            line={"width": 0},
            showlegend=False,
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=iterations,
            y=np.percentile(odds, low, 1),
            mode="lines",
            line={"width": 0},
            fill="tonexty",
            fillcolor=colour,
            name=name,
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=iterations,
        y=np.median(odds, 1),
        mode="lines",
        name="median",
        line={"color": chart.SERIES[0]},
    )
