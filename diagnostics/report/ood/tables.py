"""Strangeness of images: verdicts, every score's place, promises and both errors, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.metrics.intervals import false_alarm_interval, flagged_ranks
from diagnostics.report.inspection.answers import originals
from diagnostics.report.table import Bar, Cell, Table
from diagnostics.schema.request import Result
from diagnostics.text import counted, number, probability, shortened

Entry = Mapping[str, Any]
Values = NDArray[np.float64]

STRANGE, USUAL, UNTOLD = "strange", "usual", "can't tell"
HIGHER = "higher is stranger"
KNOWN = "known-good images"
PLACES = "Every score's place  ·  how many known-good images are less strange"
RARE = 0.1  # percent; a place nearer to an end is said as a count


def place(percentile: float, n: int) -> str:
    """Say how many known-good images are less strange.

    Args:
        percentile: Percent of the images that are less strange, 0 to 100.
        n: How many images there are.
    """
    below = round(percentile * n / 100)
    if below in (0, n):
        return f"stranger than {'every one' if below else 'none'} of {n} {KNOWN}"
    if percentile > 100 - RARE:
        return f"stranger than all but {n - below} of {n} {KNOWN}"
    if percentile < RARE:
        return f"stranger than {below} of {n} {KNOWN}"
    return f"stranger than {percentile:.1f} % of {n} {KNOWN}"


def verdict(score: Entry, alpha: float) -> tuple[str, str]:
    """Return "strange", "usual" or "can't tell", and the reason.

    Args:
        score: One score of one image.
        alpha: Share of known-good images that may be flagged.
    """
    if score["value"] is None:
        return UNTOLD, "the network's numbers for this image are not finite"
    if score["percentile"] is None:
        return UNTOLD, f"there are no {KNOWN} to compare it with"
    where = place(score["percentile"], score["n"])
    if score["p_value"] <= alpha:
        return STRANGE, where
    if flagged_ranks(score["n"], alpha) == 0:
        return UNTOLD, f"{where}, which are too few to promise {percent(alpha)}"
    return USUAL, where


@dataclass(frozen=True)
class Judged:
    """An answer about images in hand, read by one score at one rate of false alarms.

    Args:
        answer: The JSON of the answer.
        names: Of all files in hand, also those that could not be read.
        score: Id of the score that decides.
        alpha: Share of known-good images that may be flagged.
    """

    answer: Entry
    names: tuple[str, ...]
    score: str
    alpha: float

    @property
    def entries(self) -> list[Entry | None]:
        """Each file's entry; None for a file that could not be read."""
        left, found = list(self.answer["images"]), []
        for name in self.names:
            found.append(left.pop(0) if left and left[0]["file"] == name else None)
        return found

    @property
    def given(self) -> list[Entry]:
        """The scores there are, the one that decides first."""
        return sorted(self.answer["given"], key=lambda one: one["method"] != self.score)

    @property
    def title(self) -> str:
        """Name of the score that decides."""
        return str(self.given[0]["title"])

    @property
    def placed(self) -> bool:
        """Whether there are known-good images to compare with."""
        return bool(self.answer["false_alarms"]["n"])

    @property
    def promise(self) -> str:
        """How often a good image is called strange, or what a folder of them would add."""
        n = self.answer["false_alarms"]["n"]
        return promise(n, self.alpha) if n else missing(self.answer)

    @property
    def marks(self) -> list[tuple[str, float, str, str]]:
        """Name, value, verdict and reason of each readable image whose score is finite."""
        scored = [
            (one["file"], one["scores"][self.score])
            for one in self.entries
            if one and one["scores"][self.score]["value"] is not None
        ]
        return [(name, float(one["value"]), *verdict(one, self.alpha)) for name, one in scored]


def titles(answer: Entry) -> dict[str, str]:
    """Return the name of each score that there is, by its id."""
    return {one["method"]: one["title"] for one in answer["given"]}


def verdicts(judged: Judged) -> list[Cell]:
    """Whether each image is strange, why, and what the model says of it."""
    cells = []
    for name, entry in zip(judged.names, judged.entries, strict=True):
        titled = Cell(title=shortened(name, 28), hover=name)
        if entry is None:
            cells.append(replace(titled, empty="This image could not be read."))
            continue
        said, why = verdict(entry["scores"][judged.score], judged.alpha)
        why = f"{why[0].upper()}{why[1:]}, by {judged.title}."
        cells.append(
            replace(
                titled,
                answer=said,
                notes=(_answer(entry), *(() if said == STRANGE else (why,))),
                warnings=(why,) if said == STRANGE else (),
            )
        )
    return cells


def images(inspected: Result) -> list[Cell]:
    """Each image as it was decoded, and nothing else."""
    cells = originals(inspected.scores["images"], inspected.arrays)
    return [Cell(pictures=cell.pictures, empty=cell.empty) for cell in cells]


def places(judged: Judged) -> list[Cell]:
    """Every score's place among the known-good images, as bars of percent, never of values."""
    cells = []
    for entry in judged.entries:
        bars = tuple(_bar(one, entry["scores"][one["method"]]) for one in judged.given if entry)
        cells.append(Cell(bars=bars) if entry else Cell())
    return cells


def numbers(judged: Judged) -> Table:
    """Every score's value for every image, with its place where there is one."""
    rows = []
    for one in judged.given:
        row = {"score": one["title"]}
        for position, (name, entry) in enumerate(zip(judged.names, judged.entries, strict=True), 1):
            head = f"{position}. {name}"
            row[head] = _number(entry["scores"][one["method"]]) if entry else "not read"
        rows.append(row)
    said = f"Values, {HIGHER}"
    return Table(tuple(rows), title="Every score", said=said)


def promise(n: int, alpha: float) -> str:
    """Say how often a good image is flagged, and how sure that is.

    Args:
        n: How many known-good images judge.
        alpha: Share of known-good images that may be flagged.
    """
    if flagged_ranks(n, alpha) == 0:
        return (
            f"{counted(n, 'image')} cannot promise {percent(alpha)}: nothing is ever "
            f"flagged. They can promise {percent(1 / (n + 1))} or more; a larger folder less."
        )
    low, high = false_alarm_interval(n, alpha)
    return (
        f"Promised: of images like the known-good ones, at most {percent(alpha)} are called "
        f"strange. With {n} of them to judge by, the true share lies between {percent(low)} and "
        f"{percent(high)} (95 %)."
    )


def missing(answer: Entry) -> str:
    """Say what a folder of known-good images would add."""
    needy = [one["title"] for one in answer["left_out"] if "folder" in one["reason"]]
    more = f" It also makes possible: {', '.join(needy)}." if needy else ""
    return (
        "Without known-good images a value is only a number: nothing says from where on it is "
        "strange. A folder of 50 or more turns each value into a place among them, a verdict, and "
        f"a promise of how often a good image is flagged.{more}"
    )


def left_out(answer: Entry) -> dict[str, list[str]]:
    """Return the scores that there are not, by the reason."""
    found: dict[str, list[str]] = {}
    for one in answer["left_out"]:
        found.setdefault(one["reason"], []).append(one["title"])
    return found


def threshold(good: Values, alpha: float) -> float:
    """Return the score from which on an image is flagged; infinity where nothing ever is.

    Args:
        good: Scores of the known-good images, sorted.
        alpha: Share of known-good images that may be flagged.
    """
    flagged = flagged_ranks(len(good), alpha)
    return float(np.nextafter(good[len(good) - flagged], np.inf)) if flagged else float("inf")


def _bar(about: Entry, score: Entry) -> Bar:
    percentile, value = score["percentile"], number(score["value"])
    if percentile is None:
        return Bar(about["title"], 0.0, value, f"{about['title']}: {value}, {HIGHER}")
    ends = {0: "none", score["n"]: "all"}
    shown = ends.get(round(percentile * score["n"] / 100), f"{percentile:.1f} %")
    said = f"{about['title']}: {value} ({HIGHER}), {place(percentile, score['n'])}"
    return Bar(about["title"], percentile / 100, shown, said)


def _answer(entry: Entry) -> str:
    if not entry["top"]:
        return "The model gives no finite answer."
    first = entry["top"][0]
    sure = probability(first["probability"], first["one_minus_p"])
    return f"The model says {shortened(first['class'], 28)}: {sure}"


def _number(score: Entry) -> str:
    value = number(score["value"])
    if score["percentile"] is None:
        return value
    return f"{value} ({score['percentile']:.1f} % of {score['n']} below)"


def percent(share: float) -> str:
    """Return a share in percent, three digits of it."""
    return f"{100 * share:.3g} %"
