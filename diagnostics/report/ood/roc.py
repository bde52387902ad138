"""How well each score tells both sides apart: both errors counted, and charts of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from diagnostics.metrics.intervals import conformal_threshold, wilson
from diagnostics.metrics.roc import auroc, roc
from diagnostics.report import chart
from diagnostics.report.chart import GREY, Values
from diagnostics.report.ood.tables import IN_DISTRIBUTION, OUT_OF_DISTRIBUTION, percent
from diagnostics.report.table import Table
from diagnostics.schema.results.ood import Separation
from diagnostics.text import number

THIN = "rgba(128,128,128,0.6)"
ALPHAS = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
MAX_CORNERS = 400
HEIGHT_PX = 430
NONE: Values = np.empty(0)


@dataclass(frozen=True)
class Errors:
    """Both errors at one threshold, counted.

    Args:
        flagged: How many in-distribution images are flagged.
        in_distribution: Of how many.
        missed: How many out-of-distribution images are not flagged.
        out_of_distribution: Of how many.
    """

    flagged: int
    in_distribution: int
    missed: int
    out_of_distribution: int

    @property
    def sentence(self) -> str:
        """Both errors in words, each with its share and 95 % interval."""
        return (
            f"{self.flagged} of {self.in_distribution} {IN_DISTRIBUTION} flagged "
            f"({_interval(self.flagged, self.in_distribution)}), "
            f"{self.missed} of {self.out_of_distribution} {OUT_OF_DISTRIBUTION} missed "
            f"({_interval(self.missed, self.out_of_distribution)})."
        )


def errors(id_scores: Values, ood_scores: Values, alpha: float) -> Errors:
    """Count both errors where at most a share of the in-distribution images is flagged."""
    limit = conformal_threshold(id_scores, alpha)
    flagged, missed = int((id_scores >= limit).sum()), int((ood_scores < limit).sum())
    return Errors(flagged, len(id_scores), missed, len(ood_scores))


def sides(arrays: Mapping[str, Values], score: str) -> tuple[Values, Values]:
    """Return a score of both sides' images, in distribution first; none where there is none."""
    name = score.partition("/")[2]
    return (
        arrays.get(f"in_distribution/{name}", NONE),
        arrays.get(f"out_of_distribution/{name}", NONE),
    )


def aurocs(separations: Mapping[str, Separation], names: Mapping[str, str]) -> Table:
    """Return how well every score tells both sides apart, with both meanings of FPR@95.

    Args:
        separations: Of the answer, by the scores' ids.
        names: What people call the scores.
    """
    best_first = sorted(separations.items(), key=lambda item: -item[1]["auroc"])
    rows = tuple(
        {
            "score": names[score],
            "AUROC (95 % band)": f"{one['auroc']:.3f} ({one['low']:.3f} to {one['high']:.3f})",
            "known-good flagged where 95 % of strangers are caught": percent(
                one["false_alarms_at_95_caught"]
            ),
            "strangers missed where 95 % of known-good pass": percent(one["missed_at_95_accepted"]),
            "n known-good": str(one["n"]["in_distribution"]),
            "n strangers": str(one["n"]["out_of_distribution"]),
        }
        for score, one in best_first
    )
    return Table(rows, title="How well each score tells strangers from known-good images")


def curves(
    arrays: Mapping[str, Values], names: Mapping[str, str], score: str, at: Errors
) -> go.Figure:
    """Draw the ROC curve of each score: which share it catches at each share of false alarms.

    Args:
        arrays: Scores of both sides, see `sides`.
        names: What people call the scores, by id.
        score: Id of the score that decides, drawn thick.
        at: Both errors at the threshold chosen.
    """
    figure = chart.figure(
        "ROC of every score",
        HEIGHT_PX,
        top=76,
        bottom=52,
        legend={"x": 0.98, "y": 0.04, "xanchor": "right", "yanchor": "bottom"},
        title_subtitle_text=_counts(at.in_distribution, at.out_of_distribution),
    )
    for name in sorted(names, key=lambda name: name != score):
        id_scores, ood_scores = sides(arrays, name)
        curve, decides = roc(id_scores, ood_scores), name == score
        corners = _corners(curve.fpr, curve.tpr)
        label = f"{names[name]}, AUROC {auroc(id_scores, ood_scores):.3f}"
        figure.add_scatter(
            x=100 * curve.fpr[corners],
            y=100 * curve.tpr[corners],
            name=label,
            mode="lines",
            line={"width": 3} if decides else {"width": 1, "color": THIN},
            showlegend=decides,
            text=[number(value) for value in curve.thresholds[corners]],
            hovertemplate=label
            + "<br>from %{text} on: %{x:.1f} % of known-good images flagged, "
            + "%{y:.1f} % of strangers caught<extra></extra>",
        )
    figure.add_scatter(
        x=[100 * at.flagged / at.in_distribution],
        y=[100 - 100 * at.missed / at.out_of_distribution],
        name="the threshold chosen",
        mode="markers",
        marker={"size": 13, "symbol": "diamond"},
        hovertemplate="%{x:.1f} % flagged, %{y:.1f} % caught<extra></extra>",
    )
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        name="chance",
        mode="lines",
        line={"width": 1, "dash": "dot", "color": GREY},
        hoverinfo="skip",
    )
    figure.update_xaxes(title="known-good images flagged (%)", range=[-1, 101])
    figure.update_yaxes(title="strangers caught (%)", range=[-1, 101])
    return figure


def curve_numbers(id_scores: Values, ood_scores: Values) -> Table:
    """Return both errors as counts, from few false alarms to many."""
    rows = []
    for alpha in ALPHAS:
        at, limit = errors(id_scores, ood_scores, alpha), conformal_threshold(id_scores, alpha)
        rows.append(
            {
                "promised false alarms": f"{100 * alpha:g} %",
                "flagged from": number(limit) if np.isfinite(limit) else "never",
                "known-good flagged": f"{at.flagged} of {at.in_distribution}",
                "strangers missed": f"{at.missed} of {at.out_of_distribution}",
            }
        )
    return Table(tuple(rows), title="Both errors of the score that decides")


def bands(separations: Mapping[str, Separation], names: Mapping[str, str], score: str) -> go.Figure:
    """Draw every score's AUROC with its 95 % band, the best on top.

    Args:
        separations: Of the answer, by the scores' ids.
        names: What people call the scores.
        score: Id of the score that decides.
    """
    worst_first = sorted(separations, key=lambda name: separations[name]["auroc"])
    counts = next(iter(separations.values()))["n"]
    figure = chart.figure(
        "AUROC of every score",
        HEIGHT_PX,
        top=76,
        bottom=52,
        title_subtitle_text=_counts(counts["in_distribution"], counts["out_of_distribution"]),
    )
    for decides in (True, False):
        drawn = [name for name in worst_first if (name == score) == decides]
        values = [separations[name]["auroc"] for name in drawn]
        figure.add_scatter(
            x=values,
            y=[names[name] for name in drawn],
            error_x=chart.error_bars(
                values,
                [separations[name]["low"] for name in drawn],
                [separations[name]["high"] for name in drawn],
            ),
            name="the score chosen" if decides else "the other scores",
            mode="markers",
            marker={"size": 10, "symbol": "diamond" if decides else "circle"},
            hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )
    chart.reference_line(figure, x=0.5, dash="dot", width=1)
    figure.update_yaxes(categoryorder="array", categoryarray=[names[name] for name in worst_first])
    figure.update_xaxes(title="AUROC, 95 % band (0.5 is chance)")
    return figure


def _corners(fpr: Values, tpr: Values) -> NDArray[np.intp]:
    """Return which points of a curve to draw: its corners, and of very many a part."""
    moves = np.stack([np.diff(fpr) > 0, np.diff(tpr) > 0])
    turns = np.concatenate([[True], (moves[:, 1:] != moves[:, :-1]).any(axis=0), [True]])
    corners = np.flatnonzero(turns)
    if len(corners) <= MAX_CORNERS:
        return corners
    return corners[np.unique(np.linspace(0, len(corners) - 1, MAX_CORNERS).astype(np.intp))]


def _interval(hits: int, n: int) -> str:
    low, high = wilson(hits, n)
    return f"{100 * low:.0f}–{100 * high:.0f} %"


def _counts(in_distribution: int, out_of_distribution: int) -> str:
    return f"{in_distribution} {IN_DISTRIBUTION}, {out_of_distribution} {OUT_OF_DISTRIBUTION}"
