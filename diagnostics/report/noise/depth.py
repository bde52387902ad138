"""At which layer noise turns into a class: the nearest class means over the depth."""

from __future__ import annotations

import plotly.graph_objects as go

from diagnostics.report import chart
from diagnostics.report.chart import GREY
from diagnostics.report.formatting import escaped, rate
from diagnostics.report.table import Table
from diagnostics.schema.results.noise import DepthAnswer
from diagnostics.text import counted

MAX_CLASSES = 3
DASHES = ("solid", "dash", "dot")
LAYER_NAME_LENGTH = 18
HOVER = "%{hovertext}: %{y:.0f} %"


def nearest(answer: DepthAnswer) -> list[str]:
    """Return the ids of the classes that the noise is nearest to, the last layer's first."""
    layers = answer["layers"]
    last = layers[-1]["shares"]
    peak = {name: max(layer["shares"][name] for layer in layers) for name in answer["classes"]}
    first = min(peak, key=lambda name: (-last[name], -peak[name]))
    others = sorted((name for name in peak if name != first), key=lambda name: -peak[name])
    return [name for name in (first, *others[: MAX_CLASSES - 1]) if peak[name] > 0]


def curve(answer: DepthAnswer, title: str) -> go.Figure:
    """Draw, layer by layer, which share of the noise is nearest to each class's mean.

    Args:
        answer: The answer.
        title: What people call the noise.
    """
    layers, names = answer["layers"], answer["classes"]
    layer_names = [layer["layer"] for layer in layers]
    indices, hover = list(range(len(layers))), chart.names_on_axis(layer_names, 60)
    drawing = chart.figure(
        f"{title}, nearest class mean (n = {answer['draws']})",
        460,
        top=104,
        bottom=100,
        legend=chart.LEGEND_ABOVE | {"title": {"text": "nearest to "}},
        hovermode="x unified",
    )
    for name, dash in zip(nearest(answer), DASHES, strict=False):
        drawing.add_scatter(
            x=indices,
            y=[100 * layer["shares"][name] for layer in layers],
            name=escaped(names[name], 16),
            mode="lines+markers",
            line={"dash": dash, "width": 2.5},
            hovertext=hover,
            hovertemplate=HOVER,
        )
    drawing.add_scatter(
        x=indices,
        y=[100 * layer["accuracy"] for layer in layers],
        name="labelled images: own class",
        mode="lines",
        line={"color": GREY, "width": 4},
        hovertext=hover,
        hovertemplate=HOVER,
    )
    drawing.update_xaxes(
        title="layer, from the input to the output",
        tickvals=indices,
        ticktext=chart.names_on_axis(layer_names, LAYER_NAME_LENGTH),
        tickangle=-45,
        zeroline=False,
    )
    drawing.update_yaxes(title="images (%)", range=[-3, 103])
    return drawing


def numbers(answer: DepthAnswer) -> Table:
    """Return every layer's shares, and how far the layer tells the classes apart."""
    names, draws, n = answer["classes"], answer["draws"], answer["n"]
    rows = []
    for layer in answer["layers"]:
        row = {"layer": layer["layer"]}
        for name in nearest(answer):
            row[f"nearest to {names[name]}"] = rate(round(layer["shares"][name] * draws), draws)
        row["labelled images nearest to their own class"] = rate(round(layer["accuracy"] * n), n)
        rows.append(row)
    chance = 100 / max(len(names), 1)
    note = (
        f"Means of {counted(len(names), 'class', 'classes')} from {n} labelled "
        "images. The grey line shows how far a layer tells the classes apart: near chance "
        f"({chance:.0f} %) its shares say little. Nearest is not near: noise may lie far from "
        "every mean."
    )
    return Table(tuple(rows), title="The nearest class mean at every layer", caption=note)
