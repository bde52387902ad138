"""Charts of random changes: how far rays go, and what pixels do together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from diagnostics.report.formatting import rate
from diagnostics.report.perturbation.tables import FLAT_RHO
from diagnostics.text import number

Entry = Mapping[str, Any]

GREY = "#808080"  # stands apart from light and dark alike
STEP, SPREAD = 0.6180339887498949, 0.5  # the golden ratio keeps the points of a row apart
RAYS, NOISE, SMALLEST = "random rays", "noise predicts", "smallest change"
ROOM = 1.25
DECADES = 2.5  # from which on only powers of ten are written


def distances(found: Entry) -> go.Figure:
    """Draw how far each random ray goes, beside the smallest change and what noise predicts.

    Args:
        found: The image's entry.
    """
    rays, noise, known = found["rays"], found["gaussian"], found["directions"]
    n, radii = rays["n"], rays["radii"]
    up = [SPREAD * ((place * STEP) % 1 - 0.5) for place in range(1, n + 1)]
    crossed = [(one, y) for one, y in zip(radii, up, strict=True) if one is not None]
    never = [y for one, y in zip(radii, up, strict=True) if one is None]
    made = go.Figure()
    made.add_scatter(
        x=[one for one, _ in crossed],
        y=[y for _, y in crossed],
        mode="markers",
        marker={"size": 8, "symbol": "circle-open"},
        hovertemplate="a ray crosses at L2 %{x:.3g}<extra></extra>",
    )
    made.add_scatter(
        x=[rays["followed_to"]] * len(never),
        y=never,
        mode="markers",
        marker={"size": 9, "symbol": "triangle-right-open", "color": GREY},
        hovertemplate="a ray never crosses, followed to L2 %{x:.3g}<extra></extra>",
        cliponaxis=False,
    )
    if rays["median"] is not None:
        made.add_scatter(
            x=[rays["median"]],
            y=[0],
            mode="markers",
            marker={"symbol": "line-ns", "size": 44, "line": {"width": 3, "color": GREY}},
            hovertemplate="median of all rays: L2 %{x:.3g}<extra></extra>",
        )
    rows = [f"<b>{RAYS}</b><br>{rays['crossed']} of {n} cross"]
    if noise and noise["distance"] is not None:
        made.add_scatter(
            x=[noise["distance"]],
            y=[len(rows)],
            error_x={
                "type": "data",
                "array": [noise["farthest"] - noise["distance"]],
                "arrayminus": [noise["distance"] - noise["nearest"]],
            },
            mode="markers",
            marker={"size": 11, "symbol": "diamond-open"},
            hovertemplate="noise predicts L2 %{x:.3g}<extra></extra>",
        )
        rows.append(f"<b>{NOISE}</b><br>{noise['n']} draws")
    if known:
        made.add_scatter(
            x=[known["length"]],
            y=[len(rows)],
            mode="markers",
            marker={"size": 13, "symbol": "star"},
            hovertemplate="smallest change found: L2 %{x:.3g}<extra></extra>",
        )
        rows.append(f"<b>{SMALLEST}</b><br>found by search")
        flat = FLAT_RHO * math.sqrt(found["values"]) * known["length"]
        made.add_scatter(
            x=[flat, flat],
            y=[-0.42, 0.42],
            mode="lines",
            line={"color": GREY, "dash": "dash", "width": 1.5},
            hovertemplate="a flat boundary's median: L2 %{x:.3g}<extra></extra>",
        )
    made.update_layout(
        title=f"Distance to another answer, {n} rays",
        height=150 + 70 * len(rows),
        margin={"t": 60, "b": 56, "r": 24},
        showlegend=False,
    )
    made.update_yaxes(
        title="kind of change",
        tickvals=list(range(len(rows))),
        ticktext=rows,
        range=[len(rows) - 0.45, -0.6],
        zeroline=False,
    )
    drawn = [one for trace in made.data for one in trace.x]
    low, high = min(drawn) / ROOM, max(drawn) * ROOM
    ticks = _ticks(low, high)
    made.update_xaxes(
        title="L2 distance (value range 0 to 1), logarithmic",
        type="log",
        range=[math.log10(low), math.log10(high)],
        tickvals=ticks,
        ticktext=[f"{one:g}" for one in ticks],
        zeroline=False,
    )
    return made


def together(found: Entry) -> go.Figure:
    """Draw how often the answer is kept as more pixels are redrawn together.

    Args:
        found: The image's entry.
    """
    steps = found["redrawn"]
    counts = [one["count"] for one in steps]
    made = go.Figure()
    made.add_scatter(
        x=counts,
        y=[100 * one["predicted"] for one in steps],
        name="predicted, if each pixel acted alone",
        mode="lines+markers",
        line={"dash": "dash", "width": 2, "color": GREY},
        marker={"symbol": "square-open", "size": 7},
        hovertemplate="%{x} pixels: predicted %{y:.3g} %<extra></extra>",
    )
    seen = [one for one in steps if one["n"]]
    shares = [100 * one["stable"] / one["n"] for one in seen]
    pairs = list(zip(seen, shares, strict=True))
    made.add_scatter(
        x=[one["count"] for one in seen],
        y=shares,
        name="observed, with 95 % interval",
        mode="lines+markers",
        marker={"size": 9},
        error_y={
            "type": "data",
            "array": [100 * one["high"] - share for one, share in pairs],
            "arrayminus": [share - 100 * one["low"] for one, share in pairs],
        },
        hovertext=[f"{one['count']} pixels: {rate(one['stable'], one['n'])}" for one in seen],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    made.update_layout(
        title=f"Answer kept by random pixels, {steps[-1]['n']} draws each",
        height=380,
        margin={"t": 120, "b": 56},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    made.update_xaxes(
        title="pixels redrawn together, logarithmic",
        type="log",
        tickvals=counts,
        ticktext=[f"{one:,}" for one in counts],
        zeroline=False,
    )
    made.update_yaxes(title="answer kept (%)", range=[-3, 103], zeroline=False)
    return made


def so_far(found: Entry) -> str:
    """Say in a line what is known while the work goes on."""
    rays = found.get("rays")
    if not rays:
        return "Nothing is known yet."
    median = "none yet" if rays["median"] is None else f"L2 {number(rays['median'])}"
    return f"{rays['crossed']} of {rays['n']} rays cross so far; median {median}."


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers of an axis: 1, 2 and 5 of each decade, or 1 alone of many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if math.log10(high / low) < DECADES else (1,)
    found = [float(f"{step}e{decade}") for decade in decades for step in steps]
    return [one for one in found if low <= one <= high]
