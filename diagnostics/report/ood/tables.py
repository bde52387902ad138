"""OOD scores of images in words: verdicts, every score's place, and what is promised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from diagnostics.metrics.false_discovery import discoveries
from diagnostics.metrics.intervals import false_alarm_interval, flagged_ranks
from diagnostics.report.inspection.answers import originals
from diagnostics.report.table import Bar, Cell, Table
from diagnostics.schema.request import Result
from diagnostics.schema.results import Count
from diagnostics.schema.results.ood import (
    HIGHER,
    DetectionAnswer,
    Discoveries,
    Placement,
    ScoredImage,
    ScoreInfo,
    ScoreOverview,
)
from diagnostics.text import counted, number, probability, shortened

STRANGE, USUAL, UNKNOWN = "strange", "usual", "can't tell"
IN_DISTRIBUTION, OUT_OF_DISTRIBUTION = "known-good images", "strangers"
PLACES = "Every score's place  ·  how many known-good images are less strange"
MAX_NAMED = 8
RARE = 0.1  # percent; a place nearer to an end is written as a count


class Mark(NamedTuple):
    """An image with a finite score: its name, value, verdict, and the reason of that."""

    name: str
    value: float
    verdict: str
    reason: str


@dataclass(frozen=True)
class Detection:
    """An answer about images, read by one score at one rate of false alarms.

    Args:
        answer: The answer of `ood/detect`.
        names: Of all files that were asked about, also those that could not be read.
        score: Id of the score that decides.
        alpha: Share of in-distribution images that may be flagged.
    """

    answer: DetectionAnswer
    names: tuple[str, ...]
    score: str
    alpha: float

    @property
    def images(self) -> list[ScoredImage | None]:
        """Each file's entry; None for a file that could not be read."""
        remaining, found = list(self.answer["images"]), list[ScoredImage | None]()
        for name in self.names:
            is_next = bool(remaining) and remaining[0]["file"] == name
            found.append(remaining.pop(0) if is_next else None)
        return found

    @property
    def scores(self) -> list[ScoreInfo]:
        """The scores there are, the one that decides first."""
        return sorted(self.answer["available"], key=lambda info: info["method"] != self.score)

    @property
    def title(self) -> str:
        """Name of the score that decides."""
        return self.scores[0]["title"]

    @property
    def has_reference(self) -> bool:
        """Whether there are in-distribution images to compare with."""
        return bool(self.answer["false_alarms"]["n"])

    @property
    def promise(self) -> str:
        """How often a good image is called strange, or what a folder of them would add."""
        n = self.answer["false_alarms"]["n"]
        return promise(n, self.alpha) if n else without_reference(self.answer)

    @property
    def discoveries(self) -> Discoveries | None:
        """Which of the images are strange together, by the score and the rate that decide."""
        if not self.has_reference:
            return None
        placed = [image and image["scores"][self.score] for image in self.images]
        return discoveries(
            self.names,
            [one["p_value"] if one else None for one in placed],
            self.answer["false_alarms"]["n"],
            self.alpha,
        )

    @property
    def marks(self) -> list[Mark]:
        """Each readable image whose score is finite."""
        marks = []
        for image in self.images:
            placement = image and image["scores"][self.score]
            if image and placement and placement["value"] is not None:
                word, reason = verdict(placement, self.alpha)
                marks.append(Mark(image["file"], placement["value"], word, reason))
        return marks


def place(percentile: float, n: int) -> str:
    """Say how many in-distribution images are less strange.

    Args:
        percentile: Percent of the images that are less strange, 0 to 100.
        n: How many images there are.
    """
    below = round(percentile * n / 100)
    if below in (0, n):
        return f"stranger than {'every one' if below else 'none'} of {n} {IN_DISTRIBUTION}"
    if percentile > 100 - RARE:
        return f"stranger than all but {n - below} of {n} {IN_DISTRIBUTION}"
    if percentile < RARE:
        return f"stranger than {below} of {n} {IN_DISTRIBUTION}"
    return f"stranger than {percentile:.1f} % of {n} {IN_DISTRIBUTION}"


def verdict(placement: Placement, alpha: float) -> tuple[str, str]:
    """Return "strange", "usual" or "can't tell", and the reason.

    Args:
        placement: One score of one image.
        alpha: Share of in-distribution images that may be flagged.
    """
    if placement["value"] is None:
        return UNKNOWN, "the network's numbers for this image are not finite"
    if placement["percentile"] is None or placement["p_value"] is None:
        return UNKNOWN, f"there are no {IN_DISTRIBUTION} to compare it with"
    where = place(placement["percentile"], placement["n"])
    if placement["p_value"] <= alpha:
        return STRANGE, where
    if flagged_ranks(placement["n"], alpha) == 0:
        return UNKNOWN, f"{where}, which are too few to promise {percent(alpha)}"
    return USUAL, where


def titles(overview: ScoreOverview) -> dict[str, str]:
    """Return the name of each score that there is, by its id."""
    return {info["method"]: info["title"] for info in overview["available"]}


def verdicts(detection: Detection) -> list[Cell]:
    """Whether each image is strange, why, and what the model says of it."""
    cells = []
    for name, image in zip(detection.names, detection.images, strict=True):
        cell = Cell(title=shortened(name, 28), hover=name)
        if image is None:
            cells.append(replace(cell, empty="This image could not be read."))
            continue
        word, reason = verdict(image["scores"][detection.score], detection.alpha)
        reason = f"{reason[0].upper()}{reason[1:]}, by {detection.title}."
        strange = word == STRANGE
        notes = (_prediction(image),) if strange else (_prediction(image), reason)
        warnings = (reason,) if strange else ()
        cells.append(replace(cell, answer=word, notes=notes, warnings=warnings))
    return cells


def images(inspected: Result) -> list[Cell]:
    """Each image as it was decoded, and nothing else."""
    cells = originals(inspected.scores["images"], inspected.arrays)
    return [Cell(pictures=cell.pictures, empty=cell.empty) for cell in cells]


def places(detection: Detection) -> list[Cell]:
    """Every score's place among the in-distribution images, as bars of percent, never of values."""
    return [
        Cell(bars=tuple(_bar(info, image["scores"][info["method"]]) for info in detection.scores))
        if image
        else Cell()
        for image in detection.images
    ]


def numbers(detection: Detection) -> Table:
    """Every score's value for every image, with its place where there is one."""
    named = list(enumerate(zip(detection.names, detection.images, strict=True), 1))
    rows = []
    for info in detection.scores:
        row = {"score": info["title"]}
        for position, (name, image) in named:
            value = _number(image["scores"][info["method"]]) if image else "not read"
            row[f"{position}. {name}"] = value
        rows.append(row)
    return Table(tuple(rows), title="Every score", caption=f"Values, {HIGHER}")


def promise(n: int, alpha: float) -> str:
    """Say how often a good image is flagged, and how sure that is.

    Args:
        n: How many calibration images there are.
        alpha: Share of them that may be flagged.
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


def multiplicity(scores: int, by_any: Count, alpha: float) -> str:
    """Say what looking at several scores does to the promise.

    Args:
        scores: How many there are.
        by_any: How many calibration images one at least of them flags.
        alpha: Share of images that each of them may flag.

    Returns:
        Nothing where none can flag any.
    """
    if flagged_ranks(by_any["n"], alpha) == 0:
        return ""
    return (
        f"The promise is that of the score that decides. Each of the {scores} alone flags at most "
        f"{percent(alpha)} of such images, but together they flag more: one at least flags "
        f"{by_any['hits']} of these {by_any['n']} {IN_DISTRIBUTION}. A score picked because it "
        "flags promises nothing."
    )


def discovered(found: Discoveries) -> str:
    """Say which of many images are strange together."""
    if found["n"] < 2:
        return ""
    files = found["files"]
    named = ", ".join(files[:MAX_NAMED]) + (", …" if len(files) > MAX_NAMED else "")
    if found["least"] > found["n"]:
        result = "none can be named: the known-good images are too few"
    elif files:
        result = f"{counted(len(files), 'is', 'are')} strange: {named}"
    else:
        result = (
            f"none is strange; {found['least']} or more would have to be stranger than every "
            "known-good image"
        )
    return (
        f"Of these {found['n']} images together, where at most {percent(found['rate'])} of those "
        f"named may be like the known-good ones (Benjamini–Hochberg), {result}."
    )


def without_reference(overview: ScoreOverview) -> str:
    """Say what a folder of in-distribution images would add."""
    needy = [score["title"] for score in overview["left_out"] if "folder" in score["reason"]]
    more = f" It also makes possible: {', '.join(needy)}." if needy else ""
    return (
        "Without known-good images a value is only a number: nothing says from where on it is "
        "strange. A folder of 50 or more turns each value into a place among them, a verdict, and "
        f"a promise of how often a good image is flagged.{more}"
    )


def left_out(overview: ScoreOverview) -> Mapping[str, list[str]]:
    """Return the names of the scores that there are not, by the reason."""
    by_reason: dict[str, list[str]] = {}
    for score in overview["left_out"]:
        by_reason.setdefault(score["reason"], []).append(score["title"])
    return by_reason


def percent(share: float) -> str:
    """Return a share in percent, three digits of it."""
    return f"{100 * share:.3g} %"


def _bar(info: ScoreInfo, placement: Placement) -> Bar:
    title, percentile, value = info["title"], placement["percentile"], number(placement["value"])
    if percentile is None:
        return Bar(title, 0.0, value, f"{title}: {value}, {HIGHER}")
    ends = {0: "none", placement["n"]: "all"}
    text = ends.get(round(percentile * placement["n"] / 100), f"{percentile:.1f} %")
    hover = f"{title}: {value} ({HIGHER}), {place(percentile, placement['n'])}"
    return Bar(title, percentile / 100, text, hover)


def _prediction(image: ScoredImage) -> str:
    if not image["top"]:
        return "The model gives no finite answer."
    first = image["top"][0]
    confidence = probability(first["probability"], first["one_minus_p"])
    return f"The model says {shortened(first['class'], 28)}: {confidence}"


def _number(placement: Placement) -> str:
    value = number(placement["value"])
    if placement["percentile"] is None:
        return value
    n, p_value = placement["n"], number(placement["p_value"])
    return f"{value} ({placement['percentile']:.1f} % of {n} below, p = {p_value})"
