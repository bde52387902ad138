"""Charts of calibration: confidence against accuracy, classes one by one, and confusions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from diagnostics.metrics.intervals import wilson
from diagnostics.report.formatting import escaped, rate

Entry = Mapping[str, Any]

GREY = "#808080"  # stands apart from light and dark alike
SCALE = "Cividis"
CLASSES_SHOWN = 40
NUMBERED = 30  # classes, up to which counts are written into the matrix
LINE_PX = 20
NAME = 18


def reliability(said: Entry) -> go.Figure:
    """Draw how often the model is right at each confidence, and below it how many images are there.

    Args:
        said: The JSON of the answer. Bins that it calls few are hatched.
    """
    bins = [one for one in said["reliability"] if one["n"]]
    middles = [50 * (one["from"] + one["to"]) for one in bins]
    widths = [100 * (one["to"] - one["from"]) for one in bins]
    hatched = {"shape": ["/" if one["few"] else "" for one in bins], "fillmode": "replace"}
    hits = [round(one["accuracy"] * one["n"]) for one in bins]
    ends = [wilson(hit, one["n"]) for hit, one in zip(hits, bins, strict=True)]
    accuracy = [100 * one["accuracy"] for one in bins]
    made = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.7, 0.3])
    made.add_bar(
        x=middles,
        y=accuracy,
        width=widths,
        marker={"pattern": hatched},
        error_y={
            "symmetric": False,
            "array": [max(100 * high - y, 0) for (_, high), y in zip(ends, accuracy, strict=True)],
            "arrayminus": [
                max(y - 100 * low, 0) for (low, _), y in zip(ends, accuracy, strict=True)
            ],
            "color": GREY,
            "thickness": 1.5,
        },
        hovertext=[
            f"{_range(one)}: right in {rate(hit, one['n'])}, mean confidence "
            f"{100 * one['confidence']:.1f} %"
            for hit, one in zip(hits, bins, strict=True)
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        row=1,
        col=1,
    )
    made.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        line={"color": GREY, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
        row=1,
        col=1,
    )
    made.add_scatter(
        x=[100 * one["confidence"] for one in bins],
        y=accuracy,
        mode="markers",
        marker={"size": 10, "symbol": "diamond"},
        cliponaxis=False,
        hoverinfo="skip",
        row=1,
        col=1,
    )
    made.add_bar(
        x=middles,
        y=[one["n"] for one in bins],
        width=widths,
        marker={"pattern": hatched, "color": GREY},
        text=[str(one["n"]) for one in bins],
        textposition="outside",
        cliponaxis=False,
        hovertext=[f"{_range(one)}: {one['n']} images" for one in bins],
        hovertemplate="%{hovertext}<extra></extra>",
        row=2,
        col=1,
    )
    made.update_layout(
        title=f"Accuracy at each confidence (n = {said['n']})",
        height=560,
        margin={"t": 60, "b": 56, "r": 20},
        showlegend=False,
        barmode="overlay",
    )
    most = max((one["n"] for one in bins), default=1)
    made.update_yaxes(title="images right (%)", range=[0, 104], zeroline=False, row=1, col=1)
    made.update_yaxes(title="images", range=[0, 1.3 * most], nticks=4, row=2, col=1)
    made.update_xaxes(range=[0, 100], dtick=20, zeroline=False)
    made.update_xaxes(title="confidence (%)", row=2, col=1)
    return made


def per_class(said: Entry) -> go.Figure:
    """Draw how often each class is recognised, the worst first, with its 95 % interval.

    Args:
        said: The JSON of the answer.
    """
    rows, names = worst_first(said), said["class_names"]
    shown = rows[:CLASSES_SHOWN]
    values = [100 * one["value"] for one in shown]
    made = go.Figure()
    made.add_scatter(
        x=values,
        y=list(range(len(shown))),
        mode="markers",
        marker={"size": 9},
        error_x={
            "symmetric": False,
            "array": [100 * (one["high"] - one["value"]) for one in shown],
            "arrayminus": [100 * (one["value"] - one["low"]) for one in shown],
            "thickness": 1.5,
        },
        hovertext=[f"{escaped(names[one['class']], 60)}: {_right(one)}" for one in shown],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    made.add_vline(
        x=100 * said["accuracy"]["value"], line={"color": GREY, "dash": "dash", "width": 1.5}
    )
    counted = (
        f"{len(shown)} worst of {len(rows)} classes" if len(shown) < len(rows) else "each class"
    )
    made.update_layout(
        title=f"Accuracy of {counted} (n = {said['n']})",
        height=120 + LINE_PX * max(len(shown), 3),
        margin={"t": 60, "b": 56, "r": 20},
        showlegend=False,
    )
    made.update_yaxes(
        title="true class",
        tickvals=list(range(len(shown))),
        ticktext=[escaped(names[one["class"]], NAME) for one in shown],
        range=[len(shown) - 0.4, -0.6],
        zeroline=False,
    )
    made.update_xaxes(title="images right (%)", range=[-2, 102], dtick=20, zeroline=False)
    return made


def confusion(said: Entry) -> go.Figure | None:
    """Draw which class is taken for which; None where there are too many classes.

    Args:
        said: The JSON of the answer.
    """
    if said["confusion"] is None:
        return None
    counts = np.asarray(said["confusion"])
    places = np.arange(len(counts))
    names = [escaped(name, NAME) for name in said["class_names"]]
    whole = [escaped(name, 60) for name in said["class_names"]]
    most = max(int(counts.max()), 1)
    steps = [step for step in (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000) if step < most]
    written = counts[counts > 0].size and len(counts) <= NUMBERED
    made = go.Figure()
    made.add_heatmap(
        z=np.log1p(counts),
        x=places,
        y=places,
        zmin=0,
        zmax=float(np.log1p(most)),
        colorscale=SCALE,
        xgap=0.5,
        ygap=0.5,
        text=[[str(one) if one and written else "" for one in row] for row in counts.tolist()],
        texttemplate="%{text}",
        hovertext=[
            [
                f"{counts[y, x]} of {counts[y].sum()} images of {whole[y]} said to be {whole[x]}"
                for x in places
            ]
            for y in places
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        colorbar={
            **{"tickvals": [float(np.log1p(step)) for step in [*steps, most]]},
            **{"ticktext": [str(step) for step in [*steps, most]]},
            **{"title": "images", "thickness": 12, "outlinewidth": 0},
        },
    )
    made.update_layout(
        title=f"True class and class said (n = {said['n']})",
        height=min(140 + 22 * max(len(counts), 6), 900),
        margin={"t": 60, "b": 60},
    )
    made.update_xaxes(title="class said", zeroline=False, showgrid=False)
    made.update_yaxes(
        title="true class", zeroline=False, showgrid=False, range=[len(counts) - 0.5, -0.5]
    )
    if len(counts) <= CLASSES_SHOWN:
        made.update_xaxes(tickvals=places, ticktext=names)
        made.update_yaxes(tickvals=places, ticktext=names)
    return made


def worst_first(said: Entry) -> list[Entry]:
    """Return the classes that have images, the least often recognised first."""
    known = [one for one in said["per_class"] if one["n"]]
    return sorted(known, key=lambda one: (one["value"], -one["n"]))


def _range(one: Entry) -> str:
    return f"confidence {100 * one['from']:.0f} to {100 * one['to']:.0f} %"


def _right(one: Entry) -> str:
    return rate(one["hits"], one["n"])
