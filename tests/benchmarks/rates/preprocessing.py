"""Planted errors of preprocessing and elsewhere: how often they are named, how often accused.

Trains the small networks that are not there yet. No threshold was chosen on these networks and
images.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from diagnostics.methods.preprocessing.preprocessing import check_preprocessing
from tests.benchmarks.figure import Figure, share
from tests.benchmarks.preprocessing import plants, worlds
from tests.benchmarks.preprocessing.worlds import World

TRAINED = Path("benchmarks/trained")
LABELLED, FEW = (20, 60, 200), (3, 8, 32)  # images, with labels and without
PLANTED_ON = (200,)  # with labels: few images show no error that costs 10 points
HEALTHY_DRAWS, PLANT_DRAWS = 4, 1
SEEN_WITHOUT_LABELS = (
    *plants.CONTROLS,
    "mean and std exchanged",
    "not normalised",
    "raw 0..255",
    "divided by 255 twice",
    "inverted",
    "random weights",
    "BatchNorm ruined",
    "BatchNorm forgotten",
)


def figures() -> Iterator[Figure]:
    """Yield how often each planted error is named, and each control is fine."""
    yield from measured((*worlds.REPORTED_ON, worlds.LETTERS))


def measured(names: Sequence[str]) -> Iterator[Figure]:
    """Yield the figures of some worlds, with labels and without."""
    built = [worlds.world(name, TRAINED) for name in names]
    passes: list[int] = []
    for labelled, labels in ((True, "with labels"), (False, "without labels")):
        for case in (*plants.CONTROLS, *plants.PREPROCESSING, *plants.ELSEWHERE):
            if not labelled and case not in SEEN_WITHOUT_LABELS:
                continue
            counts: Counter[str] = Counter()
            for world in built:
                counts.update(_verdicts(world, case, passes, labelled=labelled))
            if counts:
                yield _figure(case, labels, counts)
    middle = statistics.median(passes)
    yield Figure(
        "passes of one check",
        middle,
        "passes",
        n=len(passes),
        of="checks",
        low=min(passes),
        high=max(passes),
    )


def _figure(case: str, labels: str, counts: Counter[str]) -> Figure:
    total = counts.total()
    remark = ", ".join(f"{verdict} {count}" for verdict, count in counts.most_common())
    if case in plants.CONTROLS:
        return share(
            f"{case}, {labels}: accused", counts["accused"], total, "checks", remark=remark
        )
    return share(f"{case}, {labels}: named", counts["named"], total, "checks", remark=remark)


def _verdicts(world: World, name: str, passes: list[int], *, labelled: bool) -> Iterator[str]:
    """Yield what the check said of a case, for folders of all sizes."""
    count = HEALTHY_DRAWS if name == "healthy" else PLANT_DRAWS
    sizes = (LABELLED if name in plants.CONTROLS else PLANTED_ON) if labelled else FEW
    for size in sizes:
        for images in plants.draws(world, size, count):
            case = plants.case(world, name, images)
            if case is None:
                continue
            shown = case.images if labelled else plants.unlabelled(case.images)
            check = check_preprocessing(plants.Folder(case.classifier, shown))
            passes.append(check["passes"])
            yield plants.judged(name, case, check)
