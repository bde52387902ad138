"""Charts of fooling images: how sure the model gets, how soon, and which score catches them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from diagnostics.metrics.intervals import wilson
from diagnostics.report.chart import MAX_DECADES, log_odds_ticks
from diagnostics.report.fooling.detection import caught
from diagnostics.report.fooling.tables import FEW, NAMES, Arrays, count_at, held
from diagnostics.report.formatting import escaped, rate

Entry = Mapping[str, Any]

# Of guard_charts: they reach 3 : 1 on light and dark alike.
COLOURS = ("#1f83b8", "#d06a10", "#1a946f", "#a05195")
DASHES = ("solid", "dash", "dot", "dashdot")
BAND, FAINT = "rgba(31,131,184,0.22)", "rgba(31,131,184,0.12)"
CHART_PX, LANE_PX, AROUND_PX = 330, 26, 120
LN10 = float(np.log(10))


def trace(answer: Entry, arrays: Arrays) -> go.Figure:
    """Draw how sure the model is of each class's picture, step by step.

    Args:
        answer: The JSON of the answer.
        arrays: Its arrays.
    """
    places = np.clip(held(arrays) / LN10, -MAX_DECADES, MAX_DECADES)
    at, names = answer["trace_at"], {one["index"]: one["class"] for one in answer["classes"]}
    made = go.Figure()
    if places.shape[1] <= FEW:
        for column, index in enumerate(answer["traced"]):
            made.add_scatter(
                x=at,
                y=places[:, column],
                name=escaped(names[index], 18),
                mode="lines",
                line={"dash": DASHES[column // 4 % 4], "color": COLOURS[column % 4]},
            )
    else:
        _banded(made, at, places)
    unit, n = answer["unit"], places.shape[1]
    low, high = float(places.min()), float(places.max())
    ticks, written = log_odds_ticks(low, max(high, low + 0.1))
    made.update_layout(
        title=f"Confidence in the picture of each class (n = {n})",
        height=CHART_PX,
        margin={"t": 60, "b": 52, "r": 12},
        legend={"title": "class"},
    )
    made.update_xaxes(title=unit, zeroline=False, rangemode="tozero")
    made.update_yaxes(
        title="confidence (%), stretched", tickvals=ticks, ticktext=written, zeroline=False
    )
    return made


def milestones(answer: Entry) -> go.Figure:
    """Draw how many classes have reached each milestone by each step."""
    at, n = answer["trace_at"], len(answer["classes"])
    made = go.Figure()
    for place, (name, title) in enumerate(NAMES.items()):
        made.add_scatter(
            x=at,
            y=[count_at(answer, name, step) for step in at],
            name=title,
            mode="lines",
            line={"shape": "hv", "dash": DASHES[place], "color": COLOURS[place]},
        )
    made.update_layout(
        title=f"Classes that have reached so much (n = {n})",
        height=CHART_PX,
        margin={"t": 60, "b": 52, "r": 12},
        legend={"title": "confidence"},
    )
    made.update_xaxes(title=answer["unit"], zeroline=False, rangemode="tozero")
    made.update_yaxes(title="classes", range=[-0.02 * n, 1.05 * n], zeroline=False)
    if n <= FEW:
        made.update_yaxes(dtick=1)
    return made


def caught_by(judged: Entry, alpha: float) -> go.Figure:
    """Draw which share of the pictures each score calls strange.

    Args:
        judged: What was said of the pictures' strangeness.
        alpha: Share of known-good images that may be flagged.
    """
    found = [(title, hits, n) for title, hits, n in caught(judged, alpha) if hits is not None and n]
    shares = [100 * hits / n for _, hits, n in found]
    ends = [[100 * end for end in wilson(hits, n)] for _, hits, n in found]
    made = go.Figure()
    made.add_scatter(
        x=shares,
        y=list(range(len(found))),
        mode="markers",
        marker={"size": 10, "color": COLOURS[0]},
        error_x={
            "array": [high - share for (_, high), share in zip(ends, shares, strict=True)],
            "arrayminus": [share - low for (low, _), share in zip(ends, shares, strict=True)],
            "color": COLOURS[0],
            "symmetric": False,
            "thickness": 1.5,
            "width": 4,
        },
        hovertext=[f"{escaped(title)}: {rate(hits, n)}" for title, hits, n in found],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    made.update_layout(
        title=f"Pictures that each score calls strange (n = {len(judged['images'])})",
        height=AROUND_PX + LANE_PX * len(found),
        margin={"t": 60, "b": 52, "r": 12},
        showlegend=False,
    )
    made.update_xaxes(title="caught (%, more is better)", range=[-2, 102], zeroline=False)
    made.update_yaxes(
        tickvals=list(range(len(found))),
        ticktext=[escaped(title, 30) for title, _, _ in found],
        range=[len(found) - 0.4, -0.6],
        zeroline=False,
    )
    return made


def _banded(made: go.Figure, at: list[int], places: Any) -> None:
    """Draw the median of many classes, half of them around it, and all of them."""
    for name, low, high, colour in (("all", 0, 100, FAINT), ("half of them", 25, 75, BAND)):
        made.add_scatter(
            x=at,
            y=np.percentile(places, high, 1),
            mode="lines",
            line={"width": 0},
            showlegend=False,
            hoverinfo="skip",
        )
        made.add_scatter(
            x=at,
            y=np.percentile(places, low, 1),
            mode="lines",
            line={"width": 0},
            fill="tonexty",
            fillcolor=colour,
            name=name,
            hoverinfo="skip",
        )
    made.add_scatter(
        x=at, y=np.median(places, 1), mode="lines", name="median", line={"color": COLOURS[0]}
    )
