"""The uncertainty of several models together, and which part of it is their disagreement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from diagnostics.metrics.agreement import Agreement
from diagnostics.report import chart
from diagnostics.report.formatting import escaped
from diagnostics.report.table import Table
from diagnostics.text import number

ROW_PX, EDGE_PX = 34, 150


def uncertainty(files: Sequence[str], agreement: Agreement) -> go.Figure:
    """Draw the entropy of the mean answer, split into its two parts; an image a bar."""
    drawing = go.Figure()
    names = [f"{number}. {escaped(name)}" for number, name in enumerate(files, 1)]
    for part, title in (
        (agreement.expected, "own doubt"),
        (agreement.disagreement, "disagreement"),
    ):
        drawing.add_bar(x=part, y=names, name=title, orientation="h")
    drawing.update_yaxes(autorange="reversed", title="image")
    drawing.update_xaxes(
        title="entropy of the mean answer (nats, higher is less sure)", rangemode="tozero"
    )
    return chart.frame(
        drawing,
        f"Doubt of the models together (n = {len(files)})",
        EDGE_PX + ROW_PX * len(files),
        top=80,
        bottom=80,
        legend=chart.LEGEND_ABOVE | {"traceorder": "normal"},
        barmode="stack",
    )


def uncertainties(files: Sequence[str], agreement: Agreement, classes: Sequence[str]) -> Table:
    """Return the numbers of the chart."""
    rows = tuple(
        {
            "image": name,
            "together": classes[agreement.ensemble_predicted[index]],
            "same answer": "yes" if agreement.unanimous[index] else "no",
            "entropy of the mean (nats)": number(float(agreement.total[index])),
            "own doubt": number(float(agreement.expected[index])),
            "disagreement": number(float(agreement.disagreement[index])),
        }
        for index, name in enumerate(files)
    )
    highest = max(float(agreement.disagreement.max(initial=0)), 0.0)
    models = len(agreement.predicted)
    said = (
        "Disagreement is doubt that no model has by itself: each may be sure, of another class. It "
        f"reaches {number(highest)} nats here; ln {models} = "
        f"{number(float(np.log(models)))} is the most that so many models can reach."
    )
    return Table(rows, caption=said)
