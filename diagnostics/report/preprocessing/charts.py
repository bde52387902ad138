"""Every preprocessing that was tried, at how well it fits."""

from __future__ import annotations

import plotly.graph_objects as go

from diagnostics.report import chart
from diagnostics.report.formatting import escaped
from diagnostics.report.preprocessing.tables import (
    MEASURES,
    MISTAKE,
    NOW,
    TIED,
    WORSE,
    lane,
    title,
)
from diagnostics.schema.results.preprocessing import PreprocessingCheck

LANES = (NOW, TIED, WORSE, MISTAKE)
TICKS = [float(f"{digit}e{power}") for power in range(-2, 5) for digit in (1, 2, 5)]


def candidates(check: PreprocessingCheck) -> go.Figure:
    """Draw every way that was tried at its measure, in lanes: set now, ties, worse, mistakes."""
    in_percent = check["evidence"] != "batchnorm"
    figure = chart.figure(title(check), 270, top=48, bottom=48)
    for name in LANES:
        drawn = [one for one in check["candidates"] if lane(one) == name]
        ways = ["<br>".join(escaped(way, len(way)) for way in one["names"]) for one in drawn]
        figure.add_scatter(
            x=[100 * one["measure"] if in_percent else one["measure"] for one in drawn],
            y=[name] * len(drawn),
            mode="markers",
            name=name,
            marker={"size": 13, "symbol": "diamond" if name == NOW else "circle", "opacity": 0.75},
            hovertext=ways,
            hovertemplate="%{hovertext}<br>%{x:.3g}<extra></extra>",
        )
    figure.update_yaxes(categoryarray=LANES[::-1], categoryorder="array", title=None)
    figure.update_xaxes(title=MEASURES[check["evidence"]] + (", %" if in_percent else ""))
    if not in_percent:
        figure.update_xaxes(type="log", tickvals=TICKS, ticktext=[f"{tick:g}" for tick in TICKS])
    return figure
