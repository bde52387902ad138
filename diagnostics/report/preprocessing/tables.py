"""Whether the preprocessing is right: sentences, the ways that were tried, and offers."""

from __future__ import annotations

from diagnostics.report.table import Table
from diagnostics.schema.results.preprocessing import (
    PreprocessingCandidate,
    PreprocessingCheck,
    Settings,
)
from diagnostics.text import counted, number, shortened

NOW, TIED, WORSE, MISTAKE = "set now", "tied with the best", "fits worse", "a usual mistake"
MEASURES = {
    "accuracy": "answered right, higher fits better",
    "batchnorm": "deviation from BatchNorm, lower fits better",
    "answers": "same answer, lower is less suspicious",
}
MAX_OFFERS = 3
MAX_NAME_LENGTH = 60


def doubt(check: PreprocessingCheck) -> str:
    """Say what the verdicts that follow are worth; empty where nothing speaks against them."""
    if check["verdict"] == "wrong":
        return (
            "The preprocessing looks wrong. What follows was measured on wrong inputs, so it says "
            "little: switch the preprocessing above first."
        )
    if check["verdict"] == "something else":
        return (
            "The network answers wrongly, and not because of the preprocessing. What follows was "
            "measured on such answers, so it says little: mend what is said above first."
        )
    return ""


def evidence(check: PreprocessingCheck, *, on_images: bool) -> str:
    """Say what the verdict rests on.

    Args:
        check: The check.
        on_images: Whether the images in hand were looked at, for want of a folder.
    """
    count = counted(check["n"], "image")
    sentence = {
        "accuracy": f"Evidence: how many of {count} with labels are answered right.",
        "batchnorm": f"Evidence: what BatchNorm remembers of the training images, on {count}.",
    }.get(check["evidence"], "")
    if check["passes"]:
        sentence += f" {counted(check['passes'], 'image')} went through the network for that."
    if on_images:
        sentence += " Only the images in hand were looked at, which may be strange themselves; a "
        sentence += "folder of known-good images, best with labels, says more."
    return sentence.strip()


def offers(check: PreprocessingCheck) -> list[tuple[str, Settings]]:
    """Return names and settings to switch to where those set are wrong, the suggested first."""
    if check["verdict"] != "wrong":
        return []
    plausible = [one for one in check["candidates"] if lane(one) == TIED]
    suggested_first = sorted(plausible, key=lambda one: not one["suggested"])
    return [
        (f"“{shortened(one['names'][0], MAX_NAME_LENGTH)}”", one["preprocessing"])
        for one in suggested_first[:MAX_OFFERS]
    ]


def candidates(check: PreprocessingCheck) -> Table:
    """Return every way that was tried, the best first."""
    measure = MEASURES.get(check["evidence"], "measure")
    rows = [
        {
            "way": "; ".join(one["names"]),
            measure: _value(one["measure"], check["evidence"]),
            "kind": ", ".join(_kinds(one)),
        }
        for one in check["candidates"]
    ]
    said = "Each mark is one way; its name is under the pointer. Ties cannot be told apart here."
    return Table(tuple(rows), title=title(check), caption=said)


def title(check: PreprocessingCheck) -> str:
    """Say how many ways were tried on how many images."""
    count = counted(check["n"], "image")
    return f"How well {len(check['candidates'])} ways of preparing fit {count}"


def lane(candidate: PreprocessingCandidate) -> str:
    """Return the lane of the chart that a candidate is drawn in."""
    if candidate["current"]:
        return NOW
    if candidate["mistake"]:
        return MISTAKE
    return TIED if candidate["tied"] else WORSE


def _kinds(candidate: PreprocessingCandidate) -> list[str]:
    kinds = {
        NOW: candidate["current"],
        TIED: candidate["tied"],
        MISTAKE: candidate["mistake"],
    }
    return [kind for kind, holds in kinds.items() if holds] or [WORSE]


def _value(measure: float, evidence: str) -> str:
    return number(measure) if evidence == "batchnorm" else f"{100 * measure:.0f} %"
