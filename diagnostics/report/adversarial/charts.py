"""Charts of smallest changes: how near each image is, and what is said along the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from diagnostics.metrics.predictions import probabilities
from diagnostics.report.adversarial import tables
from diagnostics.report.formatting import escaped
from diagnostics.report.table import Table
from diagnostics.text import number, probability

Entry = Mapping[str, Any]
Line = NDArray[np.float32]

GREY = "#808080"  # stands apart from light and dark alike
COLOURS = ("#1f83b8", "#d06a10", "#1a946f")
DASHES, SYMBOLS = ("solid", "dash", "dot"), ("circle", "square", "diamond")
CLASSES = 3  # drawn along the way, at most
ROW_PX, AROUND_PX = 34, 120
AXES = {"l2": "root mean square change", "linf": "largest change of a value"}


def distances(answer: Entry, norm: str) -> go.Figure:
    """Draw how near each image is to another answer, the nearest first.

    Args:
        answer: The JSON of the answer.
        norm: "l2" or "linf".
    """
    images, values = answer["images"], answer["values"]
    places = tables.found(images, norm)
    sizes = [tables.greys(images[place][norm], norm, values) for place in places]
    made = go.Figure()
    for kept, symbol, name in (
        (True, "circle", "a PNG file keeps it"),
        (False, "circle-open", "lost in a PNG file"),
    ):
        mine = [at for at, place in enumerate(places) if images[place][norm]["png_flips"] is kept]
        made.add_scatter(
            x=[sizes[at] for at in mine],
            y=mine,
            mode="markers+text",
            name=name,
            visible=bool(mine),
            marker={"size": 12, "symbol": symbol, "color": COLOURS[0], "line": {"width": 2}},
            text=[f"  {escaped(images[places[at]][norm]['now'][0]['class'], 18)}" for at in mine],
            textposition="middle right",
            hovertext=[_hover(images[places[at]], norm, answer) for at in mine],
            hovertemplate="%{hovertext}<extra></extra>",
            cliponaxis=False,
        )
    made.update_layout(
        title=f"Smallest change found (n = {len(places)} of {len(images)} images)",
        height=AROUND_PX + ROW_PX * max(len(places), 2),
        margin={"t": 72, "b": 56, "r": 90},
        showlegend=True,
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"},
    )
    names = [
        f"<b>{escaped(answer['classes'][images[place]['said']], 14)}</b> "
        f"{escaped(images[place]['file'], 26)}"
        for place in places
    ]
    made.update_yaxes(
        tickvals=list(range(len(places))),
        ticktext=names,
        range=[len(places) - 0.5, -0.5],
        zeroline=False,
    )
    made.update_xaxes(title=f"{AXES[norm]} (grey levels of 255)", rangemode="tozero")
    return made


def _hover(image: Entry, norm: str, answer: Entry) -> str:
    told = image[norm]
    return (
        f"{escaped(image['file'])}: {tables.distance(told, norm, answer['values'])}; "
        f"{escaped(told['now'][0]['class'])} instead of "
        f"{escaped(answer['classes'][image['said']])}"
    )


def shares(line: Line, answer: Entry) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return every class's probability along a way, and its distance from one, shape (m, k)."""
    independent = "independent" in answer["model"]["output"]
    both = [probabilities(row, independent=independent) for row in line]
    return np.stack([one for one, _ in both]), np.stack([far for _, far in both])


def top(line: Line, at: int, answer: Entry, count: int = 3) -> list[dict[str, Any]]:
    """Return what is said at one point of a way, best first, as an inspection ranks it."""
    p, far = shares(line[at : at + 1], answer)
    order = np.argsort(-line[at], kind="stable")[:count]
    return [
        {
            "class": answer["classes"][one],
            "index": int(one),
            "probability": float(p[0, one]),
            "one_minus_p": float(far[0, one]),
            "logit": float(line[at, one]),
        }
        for one in order
    ]


def drawn(line: Line, said: int) -> list[int]:
    """Return which classes are drawn along a way: the one said first, and those that win later."""
    winners = list(dict.fromkeys(line.argmax(1).tolist()))
    return [said, *(one for one in winners if one != said)][:CLASSES]


def along(line: Line, image: Entry, answer: Entry, unit: float, norm: str, at: int) -> go.Figure:
    """Draw the probability of the classes along the way to the changed image and beyond.

    Args:
        line: Logits at each of the multiples, shape (m, k).
        image: The image's entry.
        answer: The JSON of the answer.
        unit: Size of the change in grey levels.
        norm: "l2" or "linf".
        at: Place of the slider among the multiples.
    """
    p, far = shares(line, answer)
    x = [one * unit for one in answer["multiples"]]
    made = go.Figure()
    for colour, dash, symbol, one in zip(
        COLOURS, DASHES, SYMBOLS, drawn(line, image["said"]), strict=False
    ):
        name = escaped(answer["classes"][one], 20)
        said = [
            probability(float(a), float(b)) for a, b in zip(p[:, one], far[:, one], strict=True)
        ]
        made.add_scatter(
            x=x,
            y=100 * p[:, one],
            mode="lines",
            name=name,
            line={"color": colour, "dash": dash, "width": 2.5},
            hovertext=[f"{name}: {text}" for text in said],
            hovertemplate="%{hovertext}<extra></extra>",
        )
        made.add_scatter(
            x=[x[at]],
            y=[100 * p[at, one]],
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 13},
            hoverinfo="skip",
            showlegend=False,
            cliponaxis=False,
        )
    made.add_vline(x=unit, line={"color": GREY, "dash": "dash", "width": 1.5})
    made.add_annotation(
        text="smallest change found", x=unit, y=1.0, yref="paper", yanchor="bottom", showarrow=False
    )
    made.add_vline(x=x[at], line={"color": GREY, "width": 1})
    made.update_layout(
        title=f"Along the change of {escaped(image['file'], 22)}",
        height=340,
        margin={"t": 84, "b": 56, "r": 20},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.08, "yanchor": "bottom"},
        hovermode="x",
    )
    made.update_yaxes(title="probability (%)", range=[-3, 103], zeroline=False)
    made.update_xaxes(title=f"{AXES[norm]} (grey levels of 255)", zeroline=False)
    return made


def along_numbers(line: Line, image: Entry, answer: Entry, unit: float) -> Table:
    """Return the probabilities along the way."""
    p, far = shares(line, answer)
    rows = tuple(
        {
            "multiple of the change": f"{multiple:g} ×",
            "grey levels": number(multiple * unit),
            **{
                answer["classes"][one]: probability(float(p[at, one]), float(far[at, one]))
                for one in drawn(line, image["said"])
            },
        }
        for at, multiple in enumerate(answer["multiples"])
    )
    said = (
        "Values are kept between black and white, so beyond the change some may stop moving. "
        "n = 1 image."
    )
    return Table(rows, title="Probability along the change", said=said)


def pick(images: Sequence[Entry], norm: str) -> int:
    """Return the place of the image that is shown at first: the most fragile one."""
    there = tables.found(images, norm)
    return there[0] if there else 0
