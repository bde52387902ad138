"""Whether the preprocessing is right: the ways tried, as sentences, a chart, rows and offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from diagnostics.report.table import Table
from diagnostics.text import counted, number, shortened

Found = Mapping[str, Any]

NOW, TIED = "set now", "tied with the best"
WORSE, MISTAKE = "fits worse", "a usual mistake"
LANES = (NOW, TIED, WORSE, MISTAKE)
MEASURES = {
    "accuracy": "answered right, higher fits better",
    "batchnorm": "deviation from BatchNorm, lower fits better",
    "answers": "same answer, lower is less suspicious",
}
TICKS = [float(f"{digit}e{power}") for power in range(-2, 5) for digit in (1, 2, 5)]
SWITCHES = 3
LONG = 60


def doubt(found: Found) -> str:
    """Say what the verdicts that follow are worth; empty where nothing speaks against them."""
    if found["verdict"] == "wrong":
        return (
            "The preprocessing looks wrong. What follows was measured on wrong inputs, so it says "
            "little: switch the preprocessing above first."
        )
    return ""


def evidence(found: Found, *, in_hand: bool) -> str:
    """Say what the verdict rests on.

    Args:
        found: What was found of the preprocessing.
        in_hand: Whether the images in hand were looked at, for want of a folder.
    """
    count = counted(found["n"], "image")
    said = {
        "accuracy": f"Evidence: how many of {count} with labels are answered right.",
        "batchnorm": f"Evidence: what BatchNorm remembers of the training images, on {count}.",
    }.get(found["evidence"], "")
    if in_hand:
        said += " Only the images in hand were looked at, which may be strange themselves; a "
        said += "folder of known-good images, best with labels, says more."
    return said.strip()


def offers(found: Found) -> list[tuple[str, Mapping[str, Any]]]:
    """Return names and settings to switch to where the ones set are wrong, the suggested first."""
    if found["verdict"] != "wrong":
        return []
    plausible = [one for one in found["candidates"] if _lane(one) == TIED]
    best = sorted(plausible, key=lambda one: not one["suggested"])
    return [(_name(one), one["preprocessing"]) for one in best[:SWITCHES]]


def ways(found: Found) -> Table:
    """Return every way that was tried, the best first."""
    measure = MEASURES.get(found["evidence"], "measure")
    rows = [
        {
            "way": "; ".join(one["names"]),
            measure: _measured(one["measure"], found["evidence"]),
            "kind": ", ".join(_kinds(one)),
        }
        for one in found["candidates"]
    ]
    return Table(tuple(rows), title=_title(found), said=_said(found))


def figure(found: Found) -> go.Figure:
    """Draw every way that was tried at its measure, in lanes: set now, ties, worse, mistakes."""
    accuracy = found["evidence"] != "batchnorm"
    made = go.Figure()
    for lane in LANES:
        inside = [one for one in found["candidates"] if _lane(one) == lane]
        made.add_scatter(
            x=[100 * one["measure"] if accuracy else one["measure"] for one in inside],
            y=[lane] * len(inside),
            mode="markers",
            name=lane,
            marker={"size": 13, "symbol": "diamond" if lane == NOW else "circle", "opacity": 0.75},
            text=["<br>".join(map(_escaped, one["names"])) for one in inside],
            hovertemplate="%{text}<br>%{x:.3g}<extra></extra>",
        )
    measure = MEASURES[found["evidence"]]
    made.update_layout(title=_title(found), height=270, showlegend=False, margin={"t": 48, "b": 48})
    made.update_yaxes(categoryarray=LANES[::-1], categoryorder="array", title=None)
    made.update_xaxes(title=measure + (", %" if accuracy else ""))
    if not accuracy:
        made.update_xaxes(type="log", tickvals=TICKS, ticktext=[f"{tick:g}" for tick in TICKS])
    return made


def _title(found: Found) -> str:
    count = counted(found["n"], "image")
    return f"How well {len(found['candidates'])} ways of preparing fit {count}"


def _said(found: Found) -> str:
    return "Each mark is one way; its name is under the pointer. Ties cannot be told apart here."


def _lane(one: Found) -> str:
    if one["current"]:
        return NOW
    if one["mistake"]:
        return MISTAKE
    return TIED if one["tied"] else WORSE


def _kinds(one: Found) -> list[str]:
    marks = {NOW: one["current"], TIED: one["tied"], MISTAKE: one["mistake"]}
    return [name for name, holds in marks.items() if holds] or [WORSE]


def _measured(value: float, kind: str) -> str:
    return number(value) if kind == "batchnorm" else f"{100 * value:.0f} %"


def _name(one: Found) -> str:
    return f"“{shortened(one['names'][0], LONG)}”"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
