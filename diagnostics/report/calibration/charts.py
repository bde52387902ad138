"""Charts of calibration: confidence against accuracy, classes one by one, and confusions."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from diagnostics.report import chart
from diagnostics.report.chart import GREY, HOVER, SEQUENTIAL
from diagnostics.report.formatting import escaped, rate
from diagnostics.schema.results.calibration import (
    CalibrationAnswer,
    ClassAccuracy,
    ReliabilityBin,
)

MAX_CLASSES = 40  # shown one by one
MAX_CLASSES_WITH_COUNTS = 30  # whose counts are written into the matrix
COLOUR_STEPS = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000)
LINE_PX = 20
NAME_LENGTH = 18
HOVER_LENGTH = 60


def reliability(answer: CalibrationAnswer) -> go.Figure:
    """Draw how often the model is right at each confidence, and below it how many images are there.

    Bins that the answer calls few are hatched. Strokes at the diagonal are the consistency band.
    """
    bins = [row for row in answer["reliability"] if row["n"]]
    middles = [50 * (row["confidence_from"] + row["confidence_to"]) for row in bins]
    widths = [100 * (row["confidence_to"] - row["confidence_from"]) for row in bins]
    hatches = {"shape": ["/" if row["few"] else "" for row in bins], "fillmode": "replace"}
    accuracy = [100 * (row["accuracy"] or 0) for row in bins]
    confidence = [100 * (row["confidence"] or 0) for row in bins]
    drawing = make_subplots(
        rows=2, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.7, 0.3]
    )
    drawing.add_bar(
        x=middles,
        y=accuracy,
        width=widths,
        marker={"pattern": hatches},
        hovertext=[
            f"{_confidence_range(row)}: right in {rate(hits(row), row['n'])}, mean confidence "
            f"{100 * (row['confidence'] or 0):.1f} %"
            for row in bins
        ],
        hovertemplate=HOVER,
        row=1,
        col=1,
    )
    drawing.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        line={"color": GREY, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
        row=1,
        col=1,
    )
    drawing.add_scatter(
        x=confidence,
        y=confidence,
        mode="markers",
        marker={"size": 1, "color": GREY},
        error_y=chart.error_bars(
            confidence,
            [100 * (row["low"] or 0) for row in bins],
            [100 * (row["high"] or 0) for row in bins],
            color=GREY,
        ),
        hoverinfo="skip",
        row=1,
        col=1,
    )
    drawing.add_scatter(
        x=confidence,
        y=accuracy,
        mode="markers",
        marker={"size": 10, "symbol": "diamond"},
        cliponaxis=False,
        hoverinfo="skip",
        row=1,
        col=1,
    )
    drawing.add_bar(
        x=middles,
        y=[row["n"] for row in bins],
        width=widths,
        marker={"pattern": hatches, "color": GREY},
        text=[str(row["n"]) for row in bins],
        textposition="outside",
        cliponaxis=False,
        hovertext=[f"{_confidence_range(row)}: {row['n']} images" for row in bins],
        hovertemplate=HOVER,
        row=2,
        col=1,
    )
    title = f"Accuracy at each confidence (n = {answer['n']})"
    chart.frame(drawing, title, 560, right=20, barmode="overlay")
    largest = max((row["n"] for row in bins), default=1)
    drawing.update_yaxes(title="images right (%)", range=[0, 104], zeroline=False, row=1, col=1)
    drawing.update_yaxes(title="images", range=[0, 1.3 * largest], nticks=4, row=2, col=1)
    drawing.update_xaxes(range=[0, 100], dtick=20, zeroline=False)
    drawing.update_xaxes(title="confidence (%)", row=2, col=1)
    return drawing


def hits(row: ReliabilityBin) -> int:
    """Return how many images of a bin were predicted right."""
    return round((row["accuracy"] or 0) * row["n"])


def per_class(answer: CalibrationAnswer) -> go.Figure:
    """Draw how often each class is recognised, the worst first, with its 95 % interval."""
    classes, names = worst_first(answer), answer["class_names"]
    shown = classes[:MAX_CLASSES]
    accuracy = [100 * (row["hits"] / row["n"]) for row in shown]
    title = f"{len(shown)} worst of {len(classes)} classes"
    if len(shown) == len(classes):
        title = "each class"
    drawing = chart.figure(
        f"Accuracy of {title} (n = {answer['n']})", 120 + LINE_PX * max(len(shown), 3), right=20
    )
    drawing.add_scatter(
        x=accuracy,
        y=list(range(len(shown))),
        mode="markers",
        marker={"size": 9},
        error_x=chart.error_bars(
            accuracy,
            [100 * row["low"] for row in shown],
            [100 * row["high"] for row in shown],
        ),
        hovertext=[
            f"{escaped(names[row['class_index']], HOVER_LENGTH)}: {rate(row['hits'], row['n'])}"
            for row in shown
        ],
        hovertemplate=HOVER,
    )
    chart.reference_line(drawing, x=100 * (answer["accuracy"]["hits"] / answer["n"]))
    shown_names = [names[row["class_index"]] for row in shown]
    drawing.update_yaxes(
        title="true class", **chart.rows_axis(chart.names_on_axis(shown_names, NAME_LENGTH))
    )
    drawing.update_xaxes(title="images right (%)", range=[-2, 102], dtick=20, zeroline=False)
    return drawing


def confusion(answer: CalibrationAnswer) -> go.Figure | None:
    """Draw which class is taken for which; None where there are too many classes."""
    if answer["confusion"] is None:
        return None
    counts = np.asarray(answer["confusion"])
    indices = np.arange(len(counts))
    hover_names = [escaped(name, HOVER_LENGTH) for name in answer["class_names"]]
    largest = max(int(counts.max()), 1)
    steps = [*(step for step in COLOUR_STEPS if step < largest), largest]
    counts_written = counts[counts > 0].size and len(counts) <= MAX_CLASSES_WITH_COUNTS
    drawing = chart.figure(
        f"True class and class said (n = {answer['n']})",
        min(140 + 22 * max(len(counts), 6), 900),
        bottom=60,
    )
    drawing.add_heatmap(
        z=np.log1p(counts),
        x=indices,
        y=indices,
        zmin=0,
        zmax=float(np.log1p(largest)),
        colorscale=SEQUENTIAL,
        xgap=0.5,
        ygap=0.5,
        text=[[str(n) if n and counts_written else "" for n in row] for row in counts.tolist()],
        texttemplate="%{text}",
        hovertext=[
            [
                f"{counts[y, x]} of {counts[y].sum()} images of {hover_names[y]} said to be "
                f"{hover_names[x]}"
                for x in indices
            ]
            for y in indices
        ],
        hovertemplate=HOVER,
        colorbar={
            "tickvals": [float(np.log1p(step)) for step in steps],
            "ticktext": [str(step) for step in steps],
            "title": "images",
            "thickness": 12,
            "outlinewidth": 0,
        },
    )
    drawing.update_xaxes(title="class said", zeroline=False, showgrid=False)
    drawing.update_yaxes(
        title="true class", zeroline=False, showgrid=False, range=[len(counts) - 0.5, -0.5]
    )
    if len(counts) <= MAX_CLASSES:
        names = chart.names_on_axis(answer["class_names"], NAME_LENGTH)
        drawing.update_xaxes(tickvals=indices, ticktext=names)
        drawing.update_yaxes(tickvals=indices, ticktext=names)
    return drawing


def worst_first(answer: CalibrationAnswer) -> list[ClassAccuracy]:
    """Return the classes that have images, the least often recognised first."""
    with_images = [row for row in answer["per_class"] if row["n"]]
    return sorted(with_images, key=lambda row: (row["hits"] / row["n"], -row["n"]))


def _confidence_range(row: ReliabilityBin) -> str:
    return f"confidence {100 * row['confidence_from']:.0f} to {100 * row['confidence_to']:.0f} %"
