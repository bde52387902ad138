"""How many strangers each score tells: both errors counted, and charts of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from diagnostics.metrics.intervals import wilson
from diagnostics.metrics.roc import auroc, roc
from diagnostics.report.ood.tables import KNOWN, percent, threshold
from diagnostics.report.table import Table
from diagnostics.text import number

Entry = Mapping[str, Any]
Values = NDArray[np.float64]

GREY = "#808080"  # stands apart from light and dark alike
THIN = "rgba(128,128,128,0.6)"
TRIED = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
CORNERS = 400
NONE: Values = np.empty(0)


@dataclass(frozen=True)
class Errors:
    """Both errors at one threshold, counted."""

    flagged: int
    good: int
    missed: int
    strangers: int

    @property
    def sentence(self) -> str:
        """Both errors in words, each with its share and 95 % interval."""
        return (
            f"{self.flagged} of {self.good} {KNOWN} flagged ({_band(self.flagged, self.good)}), "
            f"{self.missed} of {self.strangers} strangers missed "
            f"({_band(self.missed, self.strangers)})."
        )


def errors(good: Values, strangers: Values, alpha: float) -> Errors:
    """Count both errors where at most a share of the known-good images is flagged."""
    limit = threshold(good, alpha)
    flagged, missed = int((good >= limit).sum()), int((strangers < limit).sum())
    return Errors(flagged, len(good), missed, len(strangers))


def aurocs(found: Entry, names: Mapping[str, str]) -> Table:
    """Return how well every score tells strangers, with both meanings of FPR@95.

    Args:
        found: The scores of the answer, by id.
        names: What people call them.
    """
    best_first = sorted(found, key=lambda name: -found[name]["auroc"])
    rows = tuple(
        {
            "score": names[name],
            "AUROC (95 % band)": f"{one['auroc']:.3f} ({one['low']:.3f} to {one['high']:.3f})",
            "known-good flagged where 95 % of strangers are caught": percent(
                one["false_alarms_at_95_caught"]
            ),
            "strangers missed where 95 % of known-good pass": percent(one["missed_at_95_accepted"]),
            "n known-good": str(one["n"]["good"]),
            "n strangers": str(one["n"]["strangers"]),
        }
        for name, one in ((name, found[name]) for name in best_first)
    )
    return Table(rows, title="How well each score tells strangers from known-good images")


def sides(arrays: Mapping[str, Values], score: str) -> tuple[Values, Values]:
    """Return a score of the known-good images and of the strangers; none where there is none."""
    name = score.partition("/")[2]
    return arrays.get(f"good/{name}", NONE), arrays.get(f"strangers/{name}", NONE)


def curves(
    arrays: Mapping[str, Values], names: Mapping[str, str], score: str, at: Errors
) -> go.Figure:
    """Draw which share of the strangers each score catches at each share of false alarms.

    Args:
        arrays: Scores of both sides, "good/NAME" and "strangers/NAME".
        names: What people call the scores, by id.
        score: Id of the score that decides, drawn thick.
        at: Both errors at the threshold chosen.
    """
    made = go.Figure()
    for one in sorted(names, key=lambda name: name != score):
        good, others = sides(arrays, one)
        found, mine = roc(good, others), one == score
        corners = _corners(found.fpr, found.tpr)
        said = f"{names[one]}, AUROC {auroc(good, others):.3f}"
        made.add_scatter(
            x=100 * found.fpr[corners],
            y=100 * found.tpr[corners],
            name=said,
            mode="lines",
            line={"width": 3} if mine else {"width": 1, "color": THIN},
            showlegend=mine,
            text=[number(value) for value in found.thresholds[corners]],
            hovertemplate=said
            + "<br>from %{text} on: %{x:.1f} % of known-good images flagged, "
            + "%{y:.1f} % of strangers caught<extra></extra>",
        )
    made.add_scatter(
        x=[100 * at.flagged / at.good],
        y=[100 - 100 * at.missed / at.strangers],
        name="the threshold chosen",
        mode="markers",
        marker={"size": 13, "symbol": "diamond"},
        hovertemplate="%{x:.1f} % flagged, %{y:.1f} % caught<extra></extra>",
    )
    made.add_scatter(
        x=[0, 100],
        y=[0, 100],
        name="chance",
        mode="lines",
        line={"width": 1, "dash": "dot", "color": GREY},
        hoverinfo="skip",
    )
    made.update_layout(
        title=_titled("ROC of every score", at.good, at.strangers),
        height=430,
        margin={"t": 76, "b": 52},
        legend={"x": 0.98, "y": 0.04, "xanchor": "right", "yanchor": "bottom"},
    )
    made.update_xaxes(title="known-good images flagged (%)", range=[-1, 101])
    made.update_yaxes(title="strangers caught (%)", range=[-1, 101])
    return made


def curve_numbers(good: Values, strangers: Values) -> Table:
    """Return both errors as counts, from few false alarms to many."""
    rows = []
    for share in TRIED:
        at, limit = errors(good, strangers, share), threshold(good, share)
        rows.append(
            {
                "promised false alarms": f"{100 * share:g} %",
                "flagged from": number(limit) if np.isfinite(limit) else "never",
                "known-good flagged": f"{at.flagged} of {at.good}",
                "strangers missed": f"{at.missed} of {at.strangers}",
            }
        )
    return Table(tuple(rows), title="Both errors of the score that decides")


def bands(found: Entry, names: Mapping[str, str], score: str) -> go.Figure:
    """Draw every score's AUROC with its 95 % band, the best on top.

    Args:
        found: The scores of the answer, by id.
        names: What people call them.
        score: Id of the score that decides.
    """
    order = sorted(found, key=lambda name: found[name]["auroc"])
    made = go.Figure()
    for mine in (True, False):
        inside = [name for name in order if (name == score) == mine]
        made.add_scatter(
            x=[found[name]["auroc"] for name in inside],
            y=[names[name] for name in inside],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [found[name]["high"] - found[name]["auroc"] for name in inside],
                "arrayminus": [found[name]["auroc"] - found[name]["low"] for name in inside],
                "thickness": 1.5,
            },
            name="the score chosen" if mine else "the other scores",
            mode="markers",
            marker={"size": 10, "symbol": "diamond" if mine else "circle"},
            hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )
    made.add_vline(x=0.5, line={"color": GREY, "dash": "dot", "width": 1})
    counts = next(iter(found.values()))["n"]
    made.update_layout(
        title=_titled("AUROC of every score", counts["good"], counts["strangers"]),
        height=430,
        margin={"t": 76, "b": 52},
        showlegend=False,
    )
    made.update_yaxes(categoryorder="array", categoryarray=[names[name] for name in order])
    made.update_xaxes(title="AUROC, 95 % band (0.5 is chance)")
    return made


def _corners(good: Values, strangers: Values) -> NDArray[np.intp]:
    """Return which points of a curve to draw: its corners, and of very many a part."""
    moves = np.stack([np.diff(good) > 0, np.diff(strangers) > 0])
    turns = np.concatenate([[True], (moves[:, 1:] != moves[:, :-1]).any(axis=0), [True]])
    corners = np.flatnonzero(turns)
    if len(corners) <= CORNERS:
        return corners
    return corners[np.unique(np.linspace(0, len(corners) - 1, CORNERS).astype(np.intp))]


def _band(hits: int, n: int) -> str:
    low, high = wilson(hits, n)
    return f"{100 * low:.0f}–{100 * high:.0f} %"


def _titled(title: str, good: int, strangers: int) -> dict[str, Any]:
    return {"text": title, "subtitle": {"text": f"{good} {KNOWN}, {strangers} strangers"}}
