"""Counts of what was said of plants, and the bars that they must keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from benchmarks.plants.plant import JUSTIFIED, Box, Plant
from diagnostics.metrics.intervals import clustered
from diagnostics.schema.results.diagnosis import WhyAnswer

Mark: TypeAlias = Literal[
    "first", "second", "wrong", "abstained", "excused", "quiet", "accused", "failed"
]

SURE = 0.8  # the probability from which an ordinary answer should be trusted


@dataclass(frozen=True)
class Row:
    """What was said of one image.

    Args:
        world: "A", "B" or "C".
        plant: Its name.
        kind: "plant", "healthy" or "innocent".
        truth: The cause that was planted.
        named: The cause that came first; the verdict where there is none.
        mark: "first", "second" and "wrong" of a named cause, "abstained" and "excused" where a
            planted one was not seen; "quiet" and "accused" where nothing was planted; "failed"
            where there is no answer.
        verdict: Of the image.
        said: The class, and `p` its probability.
        p: Of the class.
        correct: Whether the class is the label.
        centred: Whether the centre of the box that was named lies in the cue; None without.
        overlap: Intersection over union of the box and the cue; None without.
        passes: Images that went through the network, divided among the plant's images.
    """

    world: str
    plant: str
    kind: str
    truth: str
    named: str
    mark: Mark
    verdict: str
    said: str
    p: float
    correct: bool
    centred: bool | None
    overlap: float | None
    passes: float


@dataclass(frozen=True)
class Share:
    """How many of the images are something, with the interval of the rate.

    The interval is Wilson's at 95 %, for as many independent images as these tell as much as: the
    images of one plant are alike.
    """

    hits: int
    n: int
    low: float
    high: float

    def __str__(self) -> str:
        """Return it as it is shown."""
        if not self.n:
            return "none"
        return (
            f"{self.hits} of {self.n} ({self.hits / self.n:.0%}; {self.low:.0%} to {self.high:.0%})"
        )


def share(rows: Sequence[Row], holds: Callable[[Row], bool]) -> Share:
    """Return of how many rows something holds."""
    hits = [holds(one) for one in rows]
    low, high = clustered(hits, [one.plant for one in rows])
    return Share(sum(hits), len(hits), low, high)


@dataclass(frozen=True)
class Bar:
    """A share that must keep to a limit."""

    name: str
    limit: float
    at_most: bool
    share: Share

    @property
    def kept(self) -> bool:
        """Whether it does; nothing counted keeps nothing."""
        if not self.share.n:
            return False
        rate = self.share.hits / self.share.n
        return rate <= self.limit if self.at_most else rate >= self.limit

    def __str__(self) -> str:
        """Return the share with its interval and its limit."""
        side = "at most" if self.at_most else "at least"
        kept = "kept" if self.kept else "missed" if self.share.n else "not measured"
        return f"{self.name}: {self.share}; {side} {self.limit:.0%}: {kept}"


def row(world: str, plant: Plant, index: int, answer: WhyAnswer) -> Row:
    """Return how what was said of a plant's image compares with the truth."""
    verdict = answer["images"][index]
    ids = [cause["id"] for cause in verdict["causes"] if cause["id"] not in JUSTIFIED]
    boxes = [cause["box"] for cause in verdict["causes"] if cause["id"] in plant.truth]
    found = boxes[0] if boxes and plant.box else None
    return Row(
        world,
        plant.name,
        plant.kind,
        plant.truth[0],
        ids[0] if ids else verdict["verdict"],
        _mark(plant, ids, verdict["verdict"]),
        verdict["verdict"],
        verdict["said"],
        verdict["p"],
        verdict["index"] == plant.probes[index].label,
        None if plant.box is None or not boxes else bool(found and centred(found, plant.box)),
        None if plant.box is None or not boxes else overlap(found, plant.box) if found else 0.0,
        answer["passes"] / len(plant.probes),
    )


def failed(world: str, plant: Plant) -> list[Row]:
    """Return rows of a plant of which nothing was said, because the answer ended in an error."""
    return [
        Row(
            world,
            plant.name,
            plant.kind,
            plant.truth[0],
            named="failed",
            mark="failed",
            verdict="cannot_tell",
            said="",
            p=0.0,
            correct=False,
            centred=None,
            overlap=None,
            passes=0,
        )
        for _ in plant.probes
    ]


def _mark(plant: Plant, ids: list[str], verdict: str) -> Mark:
    if plant.kind != "plant":
        return "accused" if ids and ids[0] not in plant.truth else "quiet"
    if not ids:
        return "excused" if verdict == "trust" else "abstained"
    if ids[0] in plant.truth:
        return "first"
    return "second" if set(ids) & set(plant.truth) else "wrong"


def centred(found: Sequence[int], cue: Box) -> bool:
    """Return whether the centre of a box lies in the cue."""
    x, y = (found[0] + found[2]) / 2, (found[1] + found[3]) / 2
    return cue[0] <= x <= cue[2] and cue[1] <= y <= cue[3]


def overlap(found: Sequence[int], cue: Box) -> float:
    """Return the intersection over the union of two boxes."""
    wide = max(0, min(found[2], cue[2]) - max(found[0], cue[0]))
    tall = max(0, min(found[3], cue[3]) - max(found[1], cue[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (found, cue)]
    return wide * tall / (sum(areas) - wide * tall)


def bars(rows: Sequence[Row]) -> list[Bar]:
    """Return the bars of the images of one world."""
    planted = [one for one in rows if one.kind == "plant"]
    spared = [one for one in rows if one.kind != "plant"]
    ordinary = [one for one in rows if one.kind == "healthy" and one.correct and one.p >= SURE]
    boxed = [one for one in planted if one.centred is not None]
    accused = share(spared, lambda one: one.mark == "accused")
    trusted = share(ordinary, lambda one: one.verdict == "trust")
    return [
        Bar("named first", 0.95, False, share(planted, lambda one: one.mark == "first")),
        Bar("wrong cause", 0.03, True, share(planted, lambda one: one.mark == "wrong")),
        Bar("healthy or innocent accused", 0.10, True, accused),
        Bar("box on the cue", 0.90, False, share(boxed, lambda one: bool(one.centred))),
        Bar("right, sure answers of healthy models trusted", 0.70, False, trusted),
    ]
