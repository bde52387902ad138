"""Charts of noise: how confident the model is, which class it predicts, and blank images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from diagnostics.report import chart
from diagnostics.report.chart import GREY, HOVER, SEQUENTIAL, Values, log_odds
from diagnostics.report.formatting import escaped
from diagnostics.report.noise import tables
from diagnostics.report.noise.tables import BLANK, OTHERS, REAL, YOURS, RealLevel, ordered
from diagnostics.schema.results.noise import NoiseFamily
from diagnostics.text import probability

ROW_PX, CELL_PX, AROUND_PX = 48, 58, 130
GOLDEN_RATIO, SPREAD = 0.6180339887498949, 0.62  # which keep the points of a row apart
MIN_WRITTEN = 5  # percent, from which on a share is written into its cell
CELL = 0.94
LETTER = 6  # grey levels that a letter of a name takes on the axis of blank images
SYMBOLS = {REAL: "circle", "": "circle-open", YOURS: "diamond-open"}


def confidence(
    families: Sequence[NoiseFamily], classes: Sequence[str], *, stretch: bool
) -> go.Figure:
    """Draw how confident the model is of every image, a row a family, real images first.

    Args:
        families: All families of the answer.
        classes: Names of the classes.
        stretch: Draw the odds on a logarithmic scale, so that near 100 % nothing is squashed;
            otherwise percent.
    """
    rows, level = ordered(families), tables.real_level(families)
    n = sum(family["n"] for family in tables.noise(families))
    real = sum(family["n"] for family in rows) - n
    names = [_row_name(family, level) for family in rows]
    drawing = _framed(f"Confidence in {n} images of noise, {real} real", names)
    for kind, symbol in SYMBOLS.items():
        with_symbol = [(y, family) for y, family in enumerate(rows) if _kind(family) == kind]
        drawing.add_scatter(
            x=[x for _, family in with_symbol for x in _confidences(family, stretch)],
            y=[y + shift for y, family in with_symbol for shift in _apart(family["n"])],
            customdata=[
                [family["family"], number]
                for _, family in with_symbol
                for number in family["number"]
            ],
            text=[text for _, family in with_symbol for text in _hover(family, classes)],
            mode="markers",
            marker={"symbol": symbol, "size": 7},
            hovertemplate="%{text}<extra></extra>",
            visible=bool(with_symbol),
        )
    drawing.add_scatter(
        x=[float(np.median(_confidences(family, stretch))) for family in rows],
        y=list(range(len(rows))),
        mode="markers",
        marker={"symbol": "line-ns", "size": 32, "line": {"width": 3, "color": GREY}},
        hoverinfo="skip",
    )
    if level:
        at = _on_axis([level.confidence], [level.one_minus_p], stretch)
        chart.reference_line(drawing, x=float(at[0]))
    drawing.update_xaxes(title="confidence (%)", zeroline=False)
    if stretch and rows:
        values = np.concatenate([_confidences(family, stretch) for family in rows])
        low, high = float(values.min()), float(values.max())
        room = 0.04 * (high - low) + 0.05
        title = "confidence (%), stretched at its ends"
        drawing.update_xaxes(chart.log_odds_axis(low, high, title, range=[low - room, high + room]))
    return drawing


def shares(families: Sequence[NoiseFamily], classes: Sequence[str]) -> go.Figure:
    """Draw which class every family is taken for.

    Args:
        families: All families of the answer.
        classes: Names of the classes.
    """
    rows, columns = ordered(families), tables.columns(families, len(classes))
    names = [tables.column_name(index, columns, classes) for index in columns]
    n = sum(family["n"] for family in rows)
    row_names = [_row_name_with_majority(family, classes) for family in rows]
    drawing = _framed(f"Share of each class in {n} answers (%)", row_names)
    drawing.add_bar(**_cells(rows, columns, names))
    drawing.update_layout(
        height=AROUND_PX + 40 + CELL_PX * max(len(rows), 2), margin={"t": 96, "r": 24}
    )
    drawing.update_yaxes(showgrid=False)
    drawing.update_xaxes(
        title="class that was said",
        tickvals=list(range(len(columns))),
        ticktext=[
            "others" if index == OTHERS else escaped(name, 16)
            for index, name in zip(columns, names, strict=True)
        ],
        ticklabeloverflow="allow",
        range=[-0.5, len(columns) - 0.5],
        showgrid=False,
        zeroline=False,
    )
    return drawing


def blank(
    family: NoiseFamily, levels: Sequence[int], classes: Sequence[str], *, stretch: bool
) -> go.Figure:
    """Draw what the model predicts for images of one grey level, from black to white.

    Args:
        family: The family of blank images.
        levels: Grey level of each draw, 0 to 255.
        classes: Names of the classes.
        stretch: As for `confidence`.
    """
    order, hover = tables.by_level(family, levels), _hover(family, classes)
    y = _confidences(family, stretch)[order]
    greys = [levels[family["number"][index]] for index in order]
    predicted = [family["predicted"][index] for index in order]
    labels = _run_labels(predicted, greys, chart.names_on_axis(classes, 14))
    drawing = chart.figure(
        f"Confidence in the top class of {family['n']} blank images", 320, bottom=52
    )
    drawing.add_scatter(
        x=greys,
        y=y,
        customdata=[[BLANK, family["number"][index]] for index in order],
        mode="lines+markers+text",
        line={"width": 1},
        marker={"size": 9},
        text=[f"<b>{label}</b>" if label else "" for label in labels],
        textposition="top center",
        textfont={"size": 15},
        hovertext=[
            f"grey level {grey}; {hover[index]}" for grey, index in zip(greys, order, strict=True)
        ],
        hovertemplate=HOVER,
        cliponaxis=False,
    )
    drawing.update_xaxes(
        title="grey level of every pixel, 0 (black) to 255 (white)", range=[-6, 261], zeroline=False
    )
    drawing.update_yaxes(title="confidence (%)", zeroline=False)
    if stretch:
        drawing.update_yaxes(chart.log_odds_axis(float(y.min()), float(y.max())))
    return drawing


def _cells(
    rows: Sequence[NoiseFamily], columns: Sequence[int], names: Sequence[str]
) -> dict[str, Any]:
    """Return a cell for each family and class: a bar, because a bar can be clicked."""
    cells = [(y, x) for y in range(len(rows)) for x in range(len(columns))]
    values = [value for family in rows for value in tables.percentages(family, columns)]
    largest = max(values, default=100.0)
    return {
        "x": [x for _, x in cells],
        "y": [CELL] * len(cells),
        "base": [y - CELL / 2 for y, _ in cells],
        "width": CELL,
        "marker": {
            "color": values,
            "colorscale": SEQUENTIAL,
            "cmin": 0,
            "cmax": largest,
            "line": {"width": 0},
            "colorbar": {
                "orientation": "h",
                "thickness": 10,
                "len": 0.5,
                "outlinewidth": 0,
                "x": 1,
                "xanchor": "right",
                "y": 1,
                "yanchor": "bottom",
            },
        },
        "customdata": [[rows[y]["family"], None, columns[x]] for y, x in cells],
        "text": [f"{value:.0f}" if value >= MIN_WRITTEN else "" for value in values],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "insidetextfont": {
            "color": ["#fff" if value < chart.DARK * largest else "#000" for value in values]
        },
        "hovertext": [
            f"{escaped(rows[y]['title'])}, {escaped(names[x])}: "
            + tables.family_rate(rows[y], tables.in_column(rows[y], columns[x], columns))
            for y, x in cells
        ],
        "hovertemplate": HOVER,
    }


def _run_labels(predicted: Sequence[int], greys: Sequence[int], names: Sequence[str]) -> list[str]:
    """Return what is written above each level: a class in the middle of its run, with room."""
    n = len(predicted)
    starts = [at for at in range(n) if not at or predicted[at] != predicted[at - 1]]
    runs = [list(range(*ends)) for ends in zip(starts, [*starts[1:], n], strict=True)]
    labels = [""] * n
    for run in sorted(runs, key=len, reverse=True):
        middle, name = run[len(run) // 2], names[predicted[run[0]]]
        others = [(greys[index], label) for index, label in enumerate(labels) if label]
        if all(
            abs(greys[middle] - at) > LETTER * (len(name) + len(label)) / 2 + LETTER
            for at, label in others
        ):
            labels[middle] = name
    return labels


def _framed(title: str, names: Sequence[str]) -> go.Figure:
    """Return a figure with a row for each name."""
    count = len(names)
    drawing = chart.figure(title, AROUND_PX + ROW_PX * max(count, 2))
    drawing.update_yaxes(title="images", **chart.rows_axis(names, range=[count - 0.45, -0.55]))
    return drawing


def _kind(family: NoiseFamily) -> str:
    return family["family"] if family["family"] in (REAL, YOURS) else ""


def _confidences(family: NoiseFamily, stretch: bool) -> Values:
    """Return where a family's images stand on the axis of confidence."""
    return _on_axis(family["confidence"], family["one_minus_p"], stretch)


def _on_axis(confidence: Sequence[float], one_minus_p: Sequence[float], stretch: bool) -> Values:
    p = np.asarray(confidence, np.float64)
    return log_odds(p, np.asarray(one_minus_p, np.float64)) if stretch else 100 * p


def _apart(n: int) -> Values:
    """Return how far each point of a row is moved up or down, so that they keep apart."""
    numbers = np.arange(1, n + 1, dtype=np.float64)
    shifts: Values = SPREAD * ((numbers * GOLDEN_RATIO) % 1 - 0.5)
    return shifts


def _hover(family: NoiseFamily, classes: Sequence[str]) -> list[str]:
    columns = (family["number"], family["predicted"], family["confidence"], family["one_minus_p"])
    return [
        f"{_image_name(family, number)}: {escaped(classes[predicted])}, "
        f"{probability(p, one_minus_p)}"
        for number, predicted, p, one_minus_p in zip(*columns, strict=True)
    ]


def _image_name(family: NoiseFamily, number: int) -> str:
    if family["files"]:
        return escaped(family["files"][number])
    return f"{family['title']}, draw {number}"


def _row_name(family: NoiseFamily, level: RealLevel | None) -> str:
    n = f"n = {family['n']}"
    if level and family["family"] != REAL:
        n = f"{tables.reaching(family, level).sum()} of {family['n']} reach the line"
    return f"<b>{family['title']}</b><br>{n}"


def _row_name_with_majority(family: NoiseFamily, classes: Sequence[str]) -> str:
    name = escaped(classes[family["majority_class"]["index"]], 14)
    return (
        f"<b>{family['title']}</b><br>{name}: {tables.majority_rate(family)}<br>"
        f"evenness {family['entropy']:.2f}"
    )
