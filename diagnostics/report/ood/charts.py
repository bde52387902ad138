"""Charts of strangeness: where the images in hand lie, and both errors at every threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from diagnostics.report.ood.tables import HIGHER, KNOWN, STRANGE, Judged, threshold
from diagnostics.report.table import Table
from diagnostics.text import counted, number, shortened

Entry = Mapping[str, Any]
Values = NDArray[np.float64]

GREY = "#808080"  # stands apart from light and dark alike
BINS = 48
WIDE = 1e3  # positive values that span more are drawn on a logarithmic scale
REACH = 2.5  # spans of the known-good images shown on either side of them
LANE_PX, LANES_PX, TOP_PX = 26, 110, 260
TICKS = 8
NONE: Values = np.empty(0)


def spread(judged: Judged, good: Values, strangers: Values = NONE) -> go.Figure:
    """Draw how a score is spread over known-good images and strangers, the images in hand below.

    Args:
        judged: The answer about the images in hand.
        good: The score of the known-good images, sorted.
        strangers: The score of the strangers, sorted; none where there is no folder of them.
    """
    scale = _Scale(good, strangers)
    marks, limit = judged.marks, threshold(good, judged.alpha)
    lanes = max(len(marks), 1)
    height = TOP_PX + LANES_PX + LANE_PX * lanes
    share = (LANE_PX * lanes + 16) / height
    made = make_subplots(
        rows=2, shared_xaxes=True, vertical_spacing=0.03, row_heights=[1 - share, share]
    )
    for name, values in ((KNOWN, good), ("strangers", strangers)):
        edges, heights = scale.histogram(values)
        made.add_scatter(
            x=edges,
            y=heights,
            name=f"{name} (n = {len(values)})",
            line={"shape": "hv", "width": 1.5},
            fill="tozeroy",
            visible=len(values) > 0,
            hovertemplate="%{y:.1f} % from %{x:.3g}<extra></extra>",
            row=1,
            col=1,
        )
    names = [f"{place}. {shortened(one[0], 24)}" for place, one in enumerate(marks, 1)]
    for kind, symbol in ((False, "circle"), (True, "diamond")):
        inside = [place for place, one in enumerate(marks) if (one[2] == STRANGE) == kind]
        made.add_scatter(
            x=[scale.shown(marks[place][1]) for place in inside],
            y=[names[place] for place in inside],
            name=f"in hand, {'flagged' if kind else 'not flagged'} (n = {len(inside)})",
            mode="markers",
            marker={
                "size": 11,
                "symbol": [scale.symbol(marks[place][1], symbol) for place in inside],
            },
            text=[
                f"{_escaped(marks[place][0])}: {number(marks[place][1])}, {marks[place][3]}"
                for place in inside
            ],
            hovertemplate="%{text}<extra></extra>",
            visible=bool(inside),
            row=2,
            col=1,
        )
    if np.isfinite(limit):
        for row in (1, 2):
            made.add_vline(
                x=scale.shown(limit), line={"color": GREY, "dash": "dash", "width": 1.5}, row=row
            )
    counts = [f"{len(good)} {KNOWN}"] + [f"{len(strangers)} strangers"] * (len(strangers) > 0)
    about = f"{', '.join(counts)}, {counted(len(marks), 'image')} in hand"
    made.update_layout(
        title={"text": f"{judged.title}: where images lie", "subtitle": {"text": about}},
        height=height,
        margin={"t": 72, "b": 52},
        legend={"orientation": "h", "y": -0.24, "yanchor": "top", "x": 0},
    )
    made.update_yaxes(title="images per bin (%)", rangemode="tozero", row=1, col=1)
    made.update_yaxes(
        categoryorder="array", categoryarray=names[::-1], range=[-0.6, lanes - 0.4], row=2, col=1
    )
    powers = {"type": "log", "exponentformat": "power", "dtick": scale.decades}
    axis = {"range": scale.range, **(powers if scale.log else {})}
    made.update_xaxes(axis, showticklabels=False, row=1, col=1)
    made.update_xaxes(axis, title=f"{judged.title} ({HIGHER})", row=2, col=1)
    return made


def spread_numbers(judged: Judged, good: Values, strangers: Values = NONE) -> Table:
    """Return quantiles of the spread, the threshold and the images in hand, as numbers."""
    rows = []
    for name, values in ((KNOWN, good), ("strangers", strangers)):
        for percent in (0, 5, 25, 50, 75, 95, 100) if len(values) else ():
            at = number(float(np.percentile(values, percent)))
            rows.append({"what": f"{name}, {percent} % below", judged.title: at})
    limit = threshold(good, judged.alpha)
    at = number(limit) if np.isfinite(limit) else "nothing is flagged"
    rows.append({"what": "threshold", judged.title: at})
    rows += [
        {"what": f"in hand: {name}", judged.title: number(value)}
        for name, value, _, _ in judged.marks
    ]
    first = "Right of the dashed line an image is flagged. " if np.isfinite(limit) else ""
    said = first + (
        "An arrow marks an image that lies beyond "
        "the end of the axis; known-good images and strangers beyond it are counted in the last "
        "bin."
    )
    return Table(tuple(rows), title="The spread in numbers", said=said)


class _Scale:
    """The axis of a score: what it covers, and whether it is logarithmic."""

    def __init__(self, good: Values, strangers: Values) -> None:
        both = np.concatenate([good, strangers])
        low, high = float(both.min()), float(both.max())
        self.log = low > 0 and high / low > WIDE
        first, last = self._at(good[[0, -1]])
        span = (last - first) or 1.0
        self._low = max(self._at(np.array([low]))[0], first - REACH * span) - 0.04 * span
        self._high = min(self._at(np.array([high]))[0], last + REACH * span) + 0.04 * span
        room = 0.03 * (self._high - self._low)
        self.range = [self._low - room, self._high + room]

    @property
    def decades(self) -> int:
        """Return how many powers of ten lie between two ticks."""
        return max(1, int(float(self._high - self._low) / TICKS))

    def _at(self, values: Values) -> Values:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log10(np.maximum(values, 0)) if self.log else values

    def _back(self, places: Values) -> Values:
        return np.power(10.0, places) if self.log else places

    def shown(self, value: float) -> float:
        """Return where a value is drawn: at the end where it lies beyond."""
        place = np.clip(self._at(np.array([value])), self._low, self._high)
        return float(self._back(place)[0])

    def symbol(self, value: float, usual: str) -> str:
        """Return the symbol of a value: an arrow where it lies beyond an end."""
        place = float(self._at(np.array([value]))[0])
        if place > self._high:
            return "triangle-right"
        return "triangle-left" if place < self._low else usual

    def histogram(self, values: Values) -> tuple[Values, Values]:
        """Return the bins' left edges and the share of the values in each, in percent."""
        places = np.clip(self._at(values), self._low, self._high)
        counts, edges = np.histogram(places, BINS, (self._low, self._high))
        heights = 100 * counts / max(len(values), 1)
        return self._back(edges), np.append(heights, 0.0)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
