"""What many images do along an axis: bands of confidence, and how many keep their answer."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from diagnostics.report.chart import log_odds, log_odds_ticks
from diagnostics.report.corruption.charts import COLOURS, CURVES_PX, over_steps
from diagnostics.report.corruption.tables import Said, at
from diagnostics.report.formatting import rate
from diagnostics.text import probability


def bands(answer: Said, *, stretch: bool) -> go.Figure:
    """Draw what many images do along an axis: the middle of their confidence, and what they keep.

    Args:
        answer: Of a sweep along one axis.
        stretch: As for `curves`, of the confidence.
    """
    (axis,) = answer["axes"]
    places = [place for place, one in enumerate(answer["bands"]) if one["quantiles"]]
    quantiles = np.array([answer["bands"][place]["quantiles"] for place in places]).reshape(-1, 3)
    distances = np.array([answer["bands"][place]["distances"] for place in places]).reshape(-1, 3)
    low, middle, high = (
        log_odds(p, d) if stretch else 100 * p
        for p, d in zip(quantiles.T, distances.T, strict=True)
    )
    said = [
        f"median {probability(p, d)} at {at(axis, place)}"
        for place, p, d in zip(places, quantiles[:, 1], distances[:, 1], strict=True)
    ]
    made = go.Figure()
    made.add_scatter(
        x=[*places, *reversed(places)],
        y=[*high, *reversed(low)],
        fill="toself",
        mode="none",
        fillcolor="rgba(0,114,178,0.25)",
        name="5 to 95 % of images",
        hoverinfo="skip",
    )
    made.add_scatter(
        x=places,
        y=middle,
        name="median confidence",
        mode="lines+markers",
        line={"color": COLOURS[0], "width": 2.5},
        hovertext=said,
        hovertemplate="%{hovertext}<extra></extra>",
    )
    kinds = [("kept", "same answer", COLOURS[4], "solid")]
    if answer["labelled"]:
        kinds.append(("right", "right answer", COLOURS[2], "dash"))
    for kind, name, colour, dash in kinds:
        _rate(made, answer, kind, name, colour, dash)
    n, labelled = answer["n"], answer["labelled"]
    of = f"n = {n}" if labelled in (0, n) else f"n = {n}, {labelled} with a label"
    made.update_layout(
        title=f"Many images ({of})",
        height=CURVES_PX,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        margin={"t": 110, "b": 56, "r": 16},
    )
    over_steps(made, axis)
    made.update_xaxes(anchor="y2")
    title = "confidence (%)"
    made.update_layout(
        yaxis={"domain": [0.54, 1], "title": title, "zeroline": False},
        yaxis2={"domain": [0, 0.46], "title": "images (%)", "range": [-3, 103], "zeroline": False},
    )
    if stretch and len(places):
        at_ticks, names = log_odds_ticks(float(low.min()), float(high.max()))
        title = f"{title}, stretched"
        made.update_layout(yaxis={"title": title, "tickvals": at_ticks, "ticktext": names})
    elif not stretch:
        made.update_layout(yaxis={"range": [-3, 103]})
    return made


def _rate(made: go.Figure, answer: Said, kind: str, name: str, colour: str, dash: str) -> None:
    """Draw a rate in percent with its interval at every step."""
    (axis,) = answer["axes"]
    found = [(place, one) for place, one in enumerate(answer["bands"]) if one["n"]]
    found = [(place, one) for place, one in found if kind == "kept" or one["right"]["n"]]
    counts = [(one[kind]["hits"], one[kind].get("n", one["n"])) for _, one in found]
    rates = [100 * hits / n for hits, n in counts]
    ends = [[100 * end for end in one[kind]["interval"]] for _, one in found]
    made.add_scatter(
        x=[place for place, _ in found],
        y=rates,
        yaxis="y2",
        name=name,
        mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 2.5},
        error_y={
            **{"type": "data", "symmetric": False, "thickness": 1.5, "width": 3},
            "array": [high - one for (_, high), one in zip(ends, rates, strict=True)],
            "arrayminus": [one - low for (low, _), one in zip(ends, rates, strict=True)],
        },
        hovertext=[
            f"{name}: {rate(*count)} at {at(axis, place)}"
            for (place, _), count in zip(found, counts, strict=True)
        ],
        hovertemplate="%{hovertext}<extra></extra>",
    )
