"""Plant errors, ask the check, and count: python -m tests.benchmarks.preprocessing [--chosen-on].

Trains the small networks that are not there yet. Without --chosen-on it counts on networks and
images that no threshold was chosen on.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from diagnostics.methods.preprocessing.preprocessing import check_preprocessing
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--chosen-on", action="store_true", help="the worlds of the thresholds")
    parser.add_argument("--weights", type=Path, default=TRAINED, help="where trained networks lie")
    parser.add_argument("--only", default="", help="worlds whose name begins with this")
    parser.add_argument("--cases", default="", help="cases whose name contains this")
    parser.add_argument("--unlabelled", action="store_true", help="without labels")
    arguments = parser.parse_args()
    labelled = not arguments.unlabelled
    totals: dict[str, Counter[str]] = {}
    passes: list[int] = []
    for name in worlds.CHOSEN_ON if arguments.chosen_on else (*worlds.REPORTED_ON, worlds.LETTERS):
        if not name.startswith(arguments.only):
            continue
        world = worlds.world(name, arguments.weights)
        for case in (*plants.CONTROLS, *plants.PREPROCESSING, *plants.ELSEWHERE):
            if arguments.cases in case and (labelled or case in SEEN_WITHOUT_LABELS):
                found = Counter(_verdicts(world, case, passes, labelled=labelled))
                totals.setdefault(case, Counter()).update(found)
                print(f"{name} | {case}: {json.dumps(found)}", flush=True)
    for case, counts in totals.items():
        print(f"{case}: {json.dumps(counts)}")
    print("passes, median and most:", sorted(passes)[len(passes) // 2], max(passes))


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
            verdict = plants.judged(name, case, check)
            passes.append(check["passes"])
            if verdict not in ("named", "fine"):
                figures = f"{size} images, {case.healthy:.2f} to {case.planted:.2f}"
                print(f"    {figures}, {verdict}: {check['sentence'][:300]}", flush=True)
            yield verdict


if __name__ == "__main__":
    main()
