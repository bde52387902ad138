"""Many images along an axis: quantile bands of confidence, and how many keep their prediction."""

from __future__ import annotations

from typing import Literal

import numpy as np
import plotly.graph_objects as go

from diagnostics.report import chart
from diagnostics.report.chart import CATEGORICAL, HOVER
from diagnostics.report.corruption.charts import CURVES_PX, confidence_axis, over_steps
from diagnostics.report.corruption.tables import at
from diagnostics.report.formatting import rate
from diagnostics.schema.results.corruption import SweepAnswer
from diagnostics.text import probability


def bands(answer: SweepAnswer, *, stretch: bool) -> go.Figure:
    """Draw the quantiles of many images' confidence, and how many keep their prediction.

    Args:
        answer: Of a sweep along one axis.
        stretch: As for `curves`, of the confidence.
    """
    (axis,) = answer["axes"]
    n, labelled = answer["n"], answer["labelled"]
    of = f"n = {n}" if labelled in (0, n) else f"n = {n}, {labelled} with a label"
    figure = chart.figure(
        f"Many images ({of})", CURVES_PX, top=110, right=16, legend=chart.LEGEND_ABOVE
    )
    drawn = _add_quantiles(figure, answer, stretch=stretch)
    _add_rate(figure, answer, "unchanged", "same answer", CATEGORICAL[4], "solid")
    if labelled:
        _add_rate(figure, answer, "correct", "right answer", CATEGORICAL[2], "dash")
    over_steps(figure, axis)
    figure.update_xaxes(anchor="y2")
    figure.update_layout(
        yaxis=confidence_axis(drawn, stretch=stretch, domain=[0.54, 1]),
        yaxis2=chart.percent_axis("images (%)", domain=[0, 0.46]),
    )
    return figure


def _add_quantiles(figure: go.Figure, answer: SweepAnswer, *, stretch: bool) -> list[float]:
    """Draw the band and the median of confidence; return every height."""
    (axis,) = answer["axes"]
    steps, quantiles, complements = [], [], []
    for step, band in enumerate(answer["quantile_bands"]):
        if band["probability_quantiles"] and band["one_minus_p_quantiles"]:
            steps.append(step)
            quantiles.append(band["probability_quantiles"])
            complements.append(band["one_minus_p_quantiles"])
    low, median, high = (
        chart.log_odds(p, complement) if stretch else 100 * p
        for p, complement in zip(
            np.reshape(quantiles, (-1, 3)).T, np.reshape(complements, (-1, 3)).T, strict=True
        )
    )
    figure.add_scatter(
        x=[*steps, *reversed(steps)],
        y=[*high, *reversed(low)],
        fill="toself",
        mode="none",
        fillcolor="rgba(0,114,178,0.25)",
        name="5 to 95 % of images",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=steps,
        y=median,
        name="median confidence",
        mode="lines+markers",
        line={"color": CATEGORICAL[0], "width": 2.5},
        hovertext=[
            f"median {probability(p[1], complement[1])} at {at(axis, step)}"
            for step, p, complement in zip(steps, quantiles, complements, strict=True)
        ],
        hovertemplate=HOVER,
    )
    return [*low.tolist(), *high.tolist()]


def _add_rate(
    figure: go.Figure,
    answer: SweepAnswer,
    kind: Literal["unchanged", "correct"],
    name: str,
    colour: str,
    dash: str,
) -> None:
    """Draw a rate in percent with its interval at every step."""
    (axis,) = answer["axes"]
    counts = {
        step: band[kind] for step, band in enumerate(answer["quantile_bands"]) if band[kind]["n"]
    }
    rates = [100 * count["hits"] / count["n"] for count in counts.values()]
    low, high = ([100 * count["interval"][end] for count in counts.values()] for end in (0, 1))
    figure.add_scatter(
        x=list(counts),
        y=rates,
        yaxis="y2",
        name=name,
        mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 2.5},
        error_y=chart.error_bars(rates, low, high, width=3),
        hovertext=[
            f"{name}: {rate(count['hits'], count['n'])} at {at(axis, step)}"
            for step, count in counts.items()
        ],
        hovertemplate=HOVER,
    )
