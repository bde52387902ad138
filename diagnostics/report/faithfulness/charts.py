"""Insertion and deletion by a map, beside those by maps that know nothing of the model."""

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
from diagnostics.schema.results.faithfulness import TrustEntry
from diagnostics.text import signed

Arrays = Mapping[str, NDArray[Any]]

BAND = "rgba(128, 128, 128, 0.35)"


def curves(entry: TrustEntry, arrays: Arrays, index: int, fill: str) -> go.Figure:
    """Draw the logit while cells are taken away, and while they are put back.

    Args:
        entry: One image's part of the answer.
        arrays: Of the answer.
        index: Which image it is.
        fill: What stands where a cell is missing, see `Fill`.
    """
    drawing = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.09)
    for column, name in ((1, "deletion"), (2, "insertion")):
        own, nulls = (arrays[f"{index}/{fill}/{prefix}{name}"] for prefix in ("", "null_"))
        _add_curve(drawing, column, name, own, nulls)
    drawing.update_yaxes(title="logit", zeroline=False, col=1)
    title = f"Logit of {escaped(entry['class_name'], 14)} (1 image, {fill} fill)"
    return chart.frame(drawing, title, 340, top=84, legend=chart.LEGEND_ABOVE)


def _add_curve(
    drawing: go.Figure, column: int, name: str, logits: NDArray[Any], nulls: NDArray[Any]
) -> None:
    """Add one curve to its column, over the band between the lowest and highest null map's."""
    cell = {"row": 1, "col": column}
    share = np.linspace(0, 100, len(logits))
    first = column == 1
    for edge in (nulls.max(0), nulls.min(0)):
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
        fill="tonexty", fillcolor=BAND, name=f"{len(nulls)} null maps", showlegend=first
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
    """Return the areas under the curves on every fill, and what null maps reach."""
    evaluation = entry["evaluation"]
    fills = evaluation["insertion_deletion"] if evaluation else {}
    rows = [
        {
            "fill": fill,
            "map": "this map",
            "deletion": signed(areas["deletion"]),
            "insertion": signed(areas["insertion"]),
            "gain": signed(areas["insertion"] - areas["deletion"]),
        }
        for fill, areas in fills.items()
    ]
    rows += [
        {
            "fill": fill,
            "map": f"{kind}, the best of {len(gains)}",
            "deletion": "",
            "insertion": "",
            "gain": signed(max(gains)),
        }
        for fill, areas in fills.items()
        for kind, gains in areas["nulls"].items()
        if gains
    ]
    caption = (
        "Deletion takes away the cells that the map ranks first, insertion puts them back first. "
        "The gain is the area under insertion less that under deletion, in logits, over the share "
        "of the cells. A map that ranks what matters gains more than the maps that know nothing of "
        "this model or of this image; the grey band holds their curves."
    )
    return Table(tuple(rows), title=f"Insertion and deletion, {entry['file']}", caption=caption)
