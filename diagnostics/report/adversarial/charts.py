"""Charts of smallest changes: how near each image is, and what is predicted along the change."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from diagnostics.metrics.predictions import probabilities
from diagnostics.report import chart
from diagnostics.report.adversarial import tables
from diagnostics.report.formatting import escaped
from diagnostics.report.table import Table
from diagnostics.schema.results.adversarial import AdversarialAnswer, AdversarialImage, Norm
from diagnostics.text import number, probability

Logits: TypeAlias = NDArray[np.float32]
Values: TypeAlias = NDArray[np.float64]

STYLES = tuple(
    zip(chart.SERIES, ("solid", "dash", "dot"), ("circle", "square", "diamond"), strict=False)
)
ROW_PX, AROUND_PX = 34, 120
AXES: dict[Norm, str] = {"l2": "root mean square change", "linf": "largest change of a value"}


def distances(answer: AdversarialAnswer, norm: Norm) -> go.Figure:
    """Draw how near each image is to another answer, the nearest first.

    Args:
        answer: The answer.
        norm: Under which changes are smallest.
    """
    changed = tables.most_fragile(answer["images"], norm)
    figure = chart.figure(
        f"Smallest change found (n = {len(changed)} of {len(answer['images'])} images)",
        AROUND_PX + ROW_PX * max(len(changed), 2),
        top=72,
        right=90,
        legend=chart.LEGEND_ABOVE_RIGHT,
    )
    for survives, symbol, name in (
        (True, "circle", "a PNG file keeps it"),
        (False, "circle-open", "lost in a PNG file"),
    ):
        points = [
            (row, image, perturbation)
            for row, (_, image, perturbation) in enumerate(changed)
            if perturbation["png_is_adversarial"] is survives
        ]
        figure.add_scatter(
            x=[
                tables.grey_levels(perturbation, norm, answer["values"])
                for _, _, perturbation in points
            ],
            y=[row for row, _, _ in points],
            mode="markers+text",
            name=name,
            visible=bool(points),
            marker={
                "size": 12,
                "symbol": symbol,
                "color": chart.SERIES[0],
                "line": {"width": 2},
            },
            text=[
                f"  {escaped(tables.becomes(perturbation), 18)}" for _, _, perturbation in points
            ],
            textposition="middle right",
            hovertext=[
                f"{escaped(image['file'])}: "
                f"{tables.distance(perturbation, norm, answer['values'])}; "
                f"{escaped(tables.becomes(perturbation))} instead of "
                f"{escaped(tables.predicted(image, answer))}"
                for _, image, perturbation in points
            ],
            hovertemplate=chart.HOVER,
            cliponaxis=False,
        )
    names = [
        f"<b>{escaped(tables.predicted(image, answer), 14)}</b> {escaped(image['file'], 26)}"
        for _, image, _ in changed
    ]
    figure.update_yaxes(**chart.rows_axis(names, range=[len(names) - 0.5, -0.5]))
    figure.update_xaxes(title=f"{AXES[norm]} (grey levels of 255)", rangemode="tozero")
    return figure


def class_probabilities(logits: Logits, *, independent: bool) -> tuple[Values, Values]:
    """Return every class's probability along a change, and one minus it, shape (m, k).

    Args:
        logits: At each of the multiples, shape (m, k).
        independent: Whether each class is a yes or no of its own.
    """
    both = [probabilities(row, independent=independent) for row in logits]
    return np.stack([p for p, _ in both]), np.stack([one_minus_p for _, one_minus_p in both])


def classes_along(logits: Logits, predicted: int) -> list[int]:
    """Return which classes are drawn along a change: the one predicted first, and later winners."""
    winners = list(dict.fromkeys(logits.argmax(1).tolist()))
    return [predicted, *(index for index in winners if index != predicted)][: len(STYLES)]


def along(
    logits: Logits,
    image: AdversarialImage,
    answer: AdversarialAnswer,
    unit: float,
    norm: Norm,
    position: int,
    *,
    independent: bool,
) -> go.Figure:
    """Draw the probability of the classes along the change and beyond.

    Args:
        logits: At each of the multiples, shape (m, k).
        image: The image's entry.
        answer: The answer.
        unit: Size of the change in grey levels.
        norm: Under which the change is smallest.
        position: Of the slider among the multiples.
        independent: Whether each class is a yes or no of its own.
    """
    p, one_minus_p = class_probabilities(logits, independent=independent)
    x = [multiple * unit for multiple in answer["multiples"]]
    figure = chart.figure(
        f"Along the change of {escaped(image['file'], 22)}",
        340,
        top=84,
        right=20,
        legend=chart.LEGEND_ABOVE_RIGHT | {"y": 1.08},
        hovermode="x",
    )
    classes = classes_along(logits, image["predicted"] or 0)
    for (colour, dash, symbol), index in zip(STYLES, classes, strict=False):
        name = escaped(answer["classes"][index], 20)
        shares = zip(p[:, index], one_minus_p[:, index], strict=True)
        figure.add_scatter(
            x=x,
            y=100 * p[:, index],
            mode="lines",
            name=name,
            line={"color": colour, "dash": dash, "width": 2.5},
            hovertext=[f"{name}: {probability(float(a), float(b))}" for a, b in shares],
            hovertemplate=chart.HOVER,
        )
        figure.add_scatter(
            x=[x[position]],
            y=[100 * p[position, index]],
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 13},
            hoverinfo="skip",
            showlegend=False,
            cliponaxis=False,
        )
    chart.reference_line(figure, x=unit)
    figure.add_annotation(
        text="smallest change found", x=unit, y=1.0, yref="paper", yanchor="bottom", showarrow=False
    )
    chart.reference_line(figure, x=x[position], dash="solid", width=1)
    figure.update_yaxes(**chart.percent_axis("probability (%)"))
    figure.update_xaxes(title=f"{AXES[norm]} (grey levels of 255)", zeroline=False)
    return figure


def along_numbers(
    logits: Logits,
    image: AdversarialImage,
    answer: AdversarialAnswer,
    unit: float,
    *,
    independent: bool,
) -> Table:
    """Return the probabilities along the change.

    Args:
        logits: At each of the multiples, shape (m, k).
        image: The image's entry.
        answer: The answer.
        unit: Size of the change in grey levels.
        independent: Whether each class is a yes or no of its own.
    """
    p, one_minus_p = class_probabilities(logits, independent=independent)
    classes = classes_along(logits, image["predicted"] or 0)
    rows = []
    for row, multiple in enumerate(answer["multiples"]):
        shares = {
            answer["classes"][index]: probability(
                float(p[row, index]), float(one_minus_p[row, index])
            )
            for index in classes
        }
        sizes = {
            "multiple of the change": f"{multiple:g} ×",
            "grey levels": number(multiple * unit),
        }
        rows.append(sizes | shares)
    explained = (
        "Values are kept between black and white, so beyond the change some may stop moving. "
        "n = 1 image."
    )
    return Table(tuple(rows), title="Probability along the change", caption=explained)
