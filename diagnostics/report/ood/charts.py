"""Where images lie among in-distribution and out-of-distribution ones, by one score."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from diagnostics.metrics.intervals import conformal_threshold
from diagnostics.report import chart
from diagnostics.report.chart import HOVER, Values
from diagnostics.report.formatting import escaped
from diagnostics.report.ood.tables import (
    IN_DISTRIBUTION,
    OUT_OF_DISTRIBUTION,
    STRANGE,
    Detection,
)
from diagnostics.report.table import Table
from diagnostics.schema.results.ood import HIGHER
from diagnostics.text import counted, number

BINS = 48
WIDE = 1e3  # positive values that span more are drawn on a logarithmic scale
REACH = 2.5  # spans of the in-distribution images shown on either side of them
LANE_PX, LANES_PX, TOP_PX = 26, 110, 260
MAX_TICKS = 8
PERCENTS = (0, 5, 25, 50, 75, 95, 100)
NONE: Values = np.empty(0)


def spread(detection: Detection, id_scores: Values, ood_scores: Values = NONE) -> go.Figure:
    """Draw how a score is spread over both sides, the images in hand below.

    Args:
        detection: The answer about the images in hand.
        id_scores: The score of the in-distribution images, sorted.
        ood_scores: The score of the out-of-distribution images, sorted; none without a folder.
    """
    scale = _Scale(id_scores, ood_scores)
    lanes = max(len(detection.marks), 1)
    height_px = TOP_PX + LANES_PX + LANE_PX * lanes
    lanes_share = (LANE_PX * lanes + 16) / height_px
    figure = make_subplots(
        rows=2,
        shared_xaxes=True,
        vertical_spacing=0.03,
        row_heights=[1 - lanes_share, lanes_share],
    )
    for name, scores in ((IN_DISTRIBUTION, id_scores), (OUT_OF_DISTRIBUTION, ood_scores)):
        edges, heights = scale.histogram(scores)
        figure.add_scatter(
            x=edges,
            y=heights,
            name=f"{name} (n = {len(scores)})",
            line={"shape": "hv", "width": 1.5},
            fill="tozeroy",
            visible=len(scores) > 0,
            hovertemplate="%{y:.1f} % from %{x:.3g}<extra></extra>",
            row=1,
            col=1,
        )
    _add_marks(figure, detection, scale)
    limit = conformal_threshold(id_scores, detection.alpha)
    if np.isfinite(limit):
        for row in (1, 2):
            chart.reference_line(figure, x=scale.shown(limit), row=row)
    counts = [f"{len(id_scores)} {IN_DISTRIBUTION}"]
    counts += [f"{len(ood_scores)} {OUT_OF_DISTRIBUTION}"] if len(ood_scores) else []
    counts.append(f"{counted(len(detection.marks), 'image')} in hand")
    chart.frame(
        figure,
        f"{detection.title}: where images lie",
        height_px,
        top=72,
        bottom=52,
        legend={"orientation": "h", "y": -0.24, "yanchor": "top", "x": 0},
        title_subtitle_text=", ".join(counts),
    )
    figure.update_yaxes(title="images per bin (%)", rangemode="tozero", row=1, col=1)
    figure.update_xaxes(scale.axis, showticklabels=False, row=1, col=1)
    figure.update_xaxes(scale.axis, title=f"{detection.title} ({HIGHER})", row=2, col=1)
    return figure


def spread_numbers(detection: Detection, id_scores: Values, ood_scores: Values = NONE) -> Table:
    """Return quantiles of the spread, the threshold and the images in hand, as numbers."""
    values: dict[str, str] = {}
    for name, scores in ((IN_DISTRIBUTION, id_scores), (OUT_OF_DISTRIBUTION, ood_scores)):
        for percent in PERCENTS if len(scores) else ():
            values[f"{name}, {percent} % below"] = number(float(np.percentile(scores, percent)))
    limit = conformal_threshold(id_scores, detection.alpha)
    flags = bool(np.isfinite(limit))
    values["threshold"] = number(limit) if flags else "nothing is flagged"
    rows = [{"what": what, detection.title: value} for what, value in values.items()]
    rows += [
        {"what": f"in hand: {mark.name}", detection.title: number(mark.value)}
        for mark in detection.marks
    ]
    said = ("Right of the dashed line an image is flagged. " if flags else "") + (
        "An arrow marks an image that lies beyond "
        "the end of the axis; known-good images and strangers beyond it are counted in the last "
        "bin."
    )
    return Table(tuple(rows), title="The spread in numbers", caption=said)


def _add_marks(figure: go.Figure, detection: Detection, scale: _Scale) -> None:
    """Add a lane for each image in hand."""
    marks = detection.marks
    lanes = [f"{position}. {escaped(mark.name)}" for position, mark in enumerate(marks, 1)]
    for flagged, symbol in ((False, "circle"), (True, "diamond")):
        rows = [row for row, mark in enumerate(marks) if (mark.verdict == STRANGE) == flagged]
        figure.add_scatter(
            x=[scale.shown(marks[row].value) for row in rows],
            y=[lanes[row] for row in rows],
            name=f"in hand, {'flagged' if flagged else 'not flagged'} (n = {len(rows)})",
            mode="markers",
            marker={
                "size": 11,
                "symbol": [scale.symbol(marks[row].value, symbol) for row in rows],
            },
            hovertext=[
                f"{escaped(marks[row].name, len(marks[row].name))}: {number(marks[row].value)}, "
                f"{marks[row].reason}"
                for row in rows
            ],
            hovertemplate=HOVER,
            visible=bool(rows),
            row=2,
            col=1,
        )
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=lanes[::-1],
        range=[-0.6, max(len(marks), 1) - 0.4],
        row=2,
        col=1,
    )


class _Scale:
    """The axis of a score: what it covers, and whether it is logarithmic."""

    def __init__(self, id_scores: Values, ood_scores: Values) -> None:
        scores = np.concatenate([id_scores, ood_scores])
        low, high = float(scores.min()), float(scores.max())
        self._log = low > 0 and high / low > WIDE
        first, last = self._position(id_scores[[0, -1]])
        span = (last - first) or 1.0
        lowest, highest = self._position(np.array([low, high]))
        self._low = max(lowest, first - REACH * span) - 0.04 * span
        self._high = min(highest, last + REACH * span) + 0.04 * span

    @property
    def axis(self) -> dict[str, object]:
        """What plotly's axis takes."""
        room = 0.03 * (self._high - self._low)
        axis: dict[str, object] = {"range": [self._low - room, self._high + room]}
        if self._log:
            decades = max(1, int((self._high - self._low) / MAX_TICKS))
            axis |= {"type": "log", "exponentformat": "power", "dtick": decades}
        return axis

    def _position(self, values: Values) -> Values:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log10(np.maximum(values, 0)) if self._log else values

    def _value(self, positions: Values) -> Values:
        return np.power(10.0, positions) if self._log else positions

    def shown(self, value: float) -> float:
        """Return where a value is drawn: at the end where it lies beyond."""
        position = np.clip(self._position(np.array([value])), self._low, self._high)
        return float(self._value(position)[0])

    def symbol(self, value: float, inside: str) -> str:
        """Return the symbol of a value: an arrow where it lies beyond an end."""
        position = float(self._position(np.array([value]))[0])
        if position > self._high:
            return "triangle-right"
        return "triangle-left" if position < self._low else inside

    def histogram(self, scores: Values) -> tuple[Values, Values]:
        """Return the bins' left edges and the share of the scores in each, in percent."""
        positions = np.clip(self._position(scores), self._low, self._high)
        counts, edges = np.histogram(positions, BINS, (self._low, self._high))
        heights = 100 * counts / max(len(scores), 1)
        return self._value(edges), np.append(heights, 0.0)
