"""Insertion and deletion by a map, beside those by random maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from diagnostics.report.formatting import escaped
from diagnostics.report.table import Table
from diagnostics.text import signed

Entry = Mapping[str, Any]
Arrays = Mapping[str, NDArray[Any]]

BAND = "rgba(128, 128, 128, 0.35)"  # stands apart from light and dark alike
LINE = "#1f83c4"
ABOUT = {
    "deletion": "first taken away first: lower is better",
    "insertion": "first put back first: higher is better",
}


def curves(one: Entry, arrays: Arrays, place: int, fill: str) -> go.Figure:
    """Draw the logit while cells are taken away, and while they are put back.

    Args:
        one: An image's entry of the answer.
        arrays: Of the answer.
        place: Which image it is.
        fill: What stands where a cell is missing, "mean" or "blur".
    """
    random = arrays[f"{place}/{fill}/random"]
    made = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.09)
    for column, name in enumerate(ABOUT, 1):
        values = arrays[f"{place}/{fill}/{name}"]
        band = random if name == "deletion" else random[:, ::-1]
        share = np.linspace(0, 100, len(values))
        first = column == 1
        at = {"row": 1, "col": column}
        for edge in (band.max(0), band.min(0)):
            made.add_scatter(
                **at,
                x=share,
                y=edge,
                mode="lines",
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
            )
        made.data[-1].update(
            fill="tonexty", fillcolor=BAND, name=f"{len(random)} random maps", showlegend=first
        )
        made.add_scatter(
            **at,
            x=share,
            y=values,
            mode="lines",
            line={"width": 2.5, "color": LINE},
            name="this map",
            showlegend=first,
            hovertemplate="%{x:.0f} %: logit %{y:.2f}<extra></extra>",
        )
        ticks = {"tickvals": [0, 25, 50, 75, 100], "range": [-2, 102], "zeroline": False}
        made.update_xaxes(title=f"{name} (% of cells)", **ticks, **at)
    made.update_yaxes(title="logit", zeroline=False, col=1)
    made.update_layout(
        title=f"Logit of {escaped(one['class'], 14)} (1 image, {fill} fill)",
        height=340,
        margin={"t": 84, "b": 56},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
    )
    return made


def numbers(one: Entry) -> Table:
    """Return the areas under the curves on every fill."""
    rows = []
    for fill, found in one["removal"].items():
        for name, about in ABOUT.items():
            low, high = (signed(end(found[f"random_{name}"])) for end in (min, max))
            rows.append(
                {
                    "curve": f"{name}, {about}",
                    "fill": fill,
                    "area, this map": signed(found[name]),
                    "area, random maps": f"{low} to {high}",
                    "random maps beaten": f"{found[f'beats_{name}'] * found['random']:.3g} of "
                    f"{found['random']}",
                }
            )
    said = (
        "Deletion takes away the cells that the map ranks first, insertion puts them back first. "
        "A map that ranks what matters falls below the grey band at the left and rises above it "
        "at the right. Areas are in logits, over the share of the cells."
    )
    return Table(tuple(rows), title=f"Insertion and deletion, {one['file']}", said=said)
