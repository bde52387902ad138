"""At which layer noise turns into a class: the nearest class means over the depth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from diagnostics.report.formatting import escaped, rate
from diagnostics.report.table import Table
from diagnostics.text import counted

Entry = Mapping[str, Any]

GREY = "#808080"  # stands apart from light and dark alike
CLASSES = 3
LAYER_NAME = 18


def nearest(answer: Entry) -> list[str]:
    """Return the ids of the classes that the noise is nearest to, the last layer's first."""
    layers = answer["layers"]
    last = layers[-1]["shares"]
    most = {name: max(layer["shares"][name] for layer in layers) for name in answer["classes"]}
    found = sorted(most, key=lambda name: (-last[name], -most[name]))[:1]
    rest = sorted((name for name in most if name not in found), key=lambda name: -most[name])
    return [name for name in (*found, *rest[: CLASSES - 1]) if most[name] > 0]


def curve(answer: Entry, title: str) -> go.Figure:
    """Draw, layer by layer, which share of the noise is nearest to each class's mean.

    Args:
        answer: The JSON of the answer.
        title: What people call the noise.
    """
    layers, names = answer["layers"], answer["classes"]
    places = list(range(len(layers)))
    hover = [escaped(layer["layer"], 60) for layer in layers]
    made = go.Figure()
    for name, dash in zip(nearest(answer), ("solid", "dash", "dot"), strict=False):
        made.add_scatter(
            x=places,
            y=[100 * layer["shares"][name] for layer in layers],
            name=escaped(names[name], 16),
            mode="lines+markers",
            line={"dash": dash, "width": 2.5},
            hovertext=hover,
            hovertemplate="%{hovertext}: %{y:.0f} %",
        )
    made.add_scatter(
        x=places,
        y=[100 * layer["own_class"] for layer in layers],
        name="labelled images: own class",
        mode="lines",
        line={"color": GREY, "width": 4},
        hovertext=hover,
        hovertemplate="%{hovertext}: %{y:.0f} %",
    )
    made.update_layout(
        title=f"{title}, nearest class mean (n = {answer['draws']})",
        height=460,
        margin={"t": 104, "b": 100},
        legend={
            "title": {"text": "nearest to "},
            "orientation": "h",
            "y": 1.0,
            "yanchor": "bottom",
            "x": 0,
        },
        hovermode="x unified",
    )
    made.update_xaxes(
        title="layer, from the input to the output",
        tickvals=places,
        ticktext=[escaped(layer["layer"], LAYER_NAME) for layer in layers],
        tickangle=-45,
        zeroline=False,
    )
    made.update_yaxes(title="images (%)", range=[-3, 103])
    return made


def numbers(answer: Entry) -> Table:
    """Return every layer's shares, and how far the layer tells the classes apart."""
    names, shown, draws = answer["classes"], nearest(answer), answer["draws"]
    rows = tuple(
        {"layer": layer["layer"]}
        | {
            f"nearest to {names[name]}": rate(round(layer["shares"][name] * draws), draws)
            for name in shown
        }
        | {
            "labelled images nearest to their own class": rate(
                round(layer["own_class"] * answer["n"]), answer["n"]
            )
        }
        for layer in answer["layers"]
    )
    chance = 100 / max(len(names), 1)
    said = (
        f"Means of {counted(len(names), 'class', 'classes')} from {answer['n']} labelled "
        "images. The grey line shows how far a layer tells the classes apart: near chance "
        f"({chance:.0f} %) its shares say little. Nearest is not near: noise may lie far from "
        "every mean."
    )
    return Table(rows, title="The nearest class mean at every layer", said=said)
