"""Insertion and deletion by a map, beside those by random maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from diagnostics.report import chart
from diagnostics.report.formatting import escaped
from diagnostics.report.table import Table
from diagnostics.schema.results.faithfulness import Fill, InsertionDeletion, TrustEntry
from diagnostics.text import signed

Arrays = Mapping[str, NDArray[Any]]

BAND = "rgba(128, 128, 128, 0.35)"
DELETION = "deletion, first taken away first: lower is better"
INSERTION = "insertion, first put back first: higher is better"


def curves(entry: TrustEntry, arrays: Arrays, index: int, fill: str) -> go.Figure:
    """Draw the logit while cells are taken away, and while they are put back.

    Args:
        entry: One image's part of the answer.
        arrays: Of the answer.
        index: Which image it is.
        fill: What stands where a cell is missing, see `Fill`.
    """
    random = arrays[f"{index}/{fill}/random"]
    drawing = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.09)
    for column, name, band in ((1, "deletion", random), (2, "insertion", random[:, ::-1])):
        _add_curve(drawing, column, name, arrays[f"{index}/{fill}/{name}"], band)
    drawing.update_yaxes(title="logit", zeroline=False, col=1)
    title = f"Logit of {escaped(entry['class_name'], 14)} (1 image, {fill} fill)"
    return chart.frame(drawing, title, 340, top=84, legend=chart.LEGEND_ABOVE)


def _add_curve(
    drawing: go.Figure, column: int, name: str, logits: NDArray[Any], random: NDArray[Any]
) -> None:
    """Add one curve to its column, over the band between the lowest and highest random one."""
    cell = {"row": 1, "col": column}
    share = np.linspace(0, 100, len(logits))
    first = column == 1
    for edge in (random.max(0), random.min(0)):
        drawing.add_scatter(
            **cell,
            x=share,
            y=edge,
            mode="lines",
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        )
    drawing.data[-1].update(
        fill="tonexty", fillcolor=BAND, name=f"{len(random)} random maps", showlegend=first
    )
    drawing.add_scatter(
        **cell,
        x=share,
        y=logits,
        mode="lines",
        line={"width": 2.5, "color": chart.SERIES[0]},
        name="this map",
        showlegend=first,
        hovertemplate="%{x:.0f} %: logit %{y:.2f}<extra></extra>",
    )
    drawing.update_xaxes(
        **cell,
        title=f"{name} (% of cells)",
        tickvals=[0, 25, 50, 75, 100],
        range=[-2, 102],
        zeroline=False,
    )


def areas(entry: TrustEntry) -> Table:
    """Return the areas under the curves on every fill."""
    evaluation = entry["evaluation"]
    fills = evaluation["insertion_deletion"] if evaluation else {}
    rows = [row for fill, areas in fills.items() for row in _rows(fill, areas)]
    said = (
        "Deletion takes away the cells that the map ranks first, insertion puts them back first. "
        "A map that ranks what matters falls below the grey band at the left and rises above it "
        "at the right. Areas are in logits, over the share of the cells."
    )
    return Table(tuple(rows), title=f"Insertion and deletion, {entry['file']}", caption=said)


def _rows(fill: Fill, areas: InsertionDeletion) -> tuple[dict[str, str], dict[str, str]]:
    n = areas["random_maps"]

    def row(curve: str, area: float, random: list[float], win_rate: float) -> dict[str, str]:
        return {
            "curve": curve,
            "fill": fill,
            "area, this map": signed(area),
            "area, random maps": f"{signed(min(random))} to {signed(max(random))}",
            "random maps beaten": f"{win_rate * n:.3g} of {n}",
        }

    return (
        row(DELETION, areas["deletion"], areas["random_deletion"], areas["deletion_win_rate"]),
        row(INSERTION, areas["insertion"], areas["random_insertion"], areas["insertion_win_rate"]),
    )
