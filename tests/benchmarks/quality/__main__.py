"""Measure how well scores tell strangers; write benchmarks/quality.json and docs/benchmarks.md.

Run by `make bench`. Nothing here depends on the clock: the same seeds give the same figures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diagnostics.methods.ood.detector import OODDetector
from diagnostics.metrics.roc import auroc
from scripts import train_fashion
from tests.benchmarks.quality import networks, peers, pipelines

RESULT = Path("benchmarks/quality.json")
PAGE = Path("docs/benchmarks.md")
BEGIN, END = "<!-- quality:begin -->", "<!-- quality:end -->"
SEED = 0
SIZES = (50, 200, 1000)  # images that a false alarm rate is promised on
REPEATS, HELD_OUT = 40, 250
ALPHA = 0.05
NOISE = ("uniform", "gaussian", "shuffled", "phase", "constant", "checkerboard")
LEAST_ON_NOISE = 0.97
ALLOWED = 5e-4  # of a share, by which two AUROCs may differ by rounding and ties


def main() -> int:
    """Measure, write, and return 0 when every figure is as it should be."""
    train_fashion.train_missing()
    found: dict[str, Any] = {"seed": SEED, "auroc": {}, "false_alarms": {}}
    for name in networks.NAMES:
        one = networks.case(name, SEED)
        found["auroc"][name] = _auroc(one)
        found["false_alarms"][name] = _false_alarms(one)
        print(name, json.dumps(found["auroc"][name]["combined"]), flush=True)
    found["pipelines"] = pipelines.counted()
    missed = _missed(found)
    RESULT.write_text(json.dumps({**found, "missed": missed}, indent=2) + "\n", "utf-8")
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{_table(found)}\n{END}{after}", "utf-8")
    print("\n".join(missed) or "every figure is as it should be")
    return 1 if missed else 0


def _auroc(one: networks.Case) -> dict[str, Any]:
    """Return AUROC by score and kind of stranger, and how many images are behind it."""
    detector = OODDetector(one.classifier.spec, networks.measured(one, len(one.images)))
    unlabelled = OODDetector(
        one.classifier.spec, networks.measured(one, len(one.images), labelled=False)
    )
    tested = networks.seen_of(one, one.tested)
    others = {kind: networks.seen_of(one, images) for kind, images in one.others.items()}
    found: dict[str, Any] = {}
    for label, own in (("", detector), (" without labels", unlabelled)):
        names = own.names if own is detector else ("combined",)
        for name in names:
            good = own.score(name, tested)
            found[name + label] = {
                kind: auroc(good, own.score(name, seen)) for kind, seen in others.items()
            }
    found["pytorch-ood"] = peers.aurocs(detector.reference, tested, others)
    counts = {kind: len(images) for kind, images in one.others.items()}
    found["n"] = {"reference": len(one.images), "good": len(one.tested), **counts}
    return found


def _false_alarms(one: networks.Case) -> dict[str, Any]:
    """Return how many held-out good images the default score flags, for references of all sizes.

    Each repeat deals the images anew. Images of one repeat share a reference, so the 95 % interval
    is that of the repeats' mean rate.
    """
    images = np.concatenate([one.images, one.tested])
    labels = np.concatenate([one.labels, np.full(len(one.tested), -1)])
    found = {}
    for size in SIZES:
        if size + HELD_OUT > len(images):
            continue
        hits: list[int] = []
        for repeat in range(REPEATS):
            order = np.random.default_rng([SEED, repeat]).permutation(len(images))
            dealt = networks.Case(
                one.classifier,
                images[order[:size]],
                labels[order[:size]],
                images[order[size : size + HELD_OUT]],
                {},
            )
            detector = OODDetector(one.classifier.spec, networks.measured(dealt, size))
            values = detector.score("combined", networks.seen_of(dealt, dealt.tested))
            flagged = [detector.place("combined", float(one), ALPHA)["flagged"] for one in values]
            hits.append(sum(flagged))
            count = len(flagged)
        rates = np.array(hits) / count
        reach = 1.96 * float(rates.std(ddof=1)) / len(rates) ** 0.5
        low, high = float(rates.mean()) - reach, float(rates.mean()) + reach
        total = count * len(hits)
        found[str(size)] = {"flagged": sum(hits), "n": total, "low": low, "high": high}
    return found


def _missed(found: Mapping[str, Any]) -> list[str]:
    """Return a sentence for every figure that is not as it should be."""
    said = []
    for network, scores in found["auroc"].items():
        for name in ("combined", "combined without labels"):
            for kind, value in scores[name].items():
                if value < scores["msp"][kind] - ALLOWED:
                    said.append(f"{network}: {name} {value:.3f} on {kind} is worse than doubt")
                if kind in NOISE and value < LEAST_ON_NOISE:
                    said.append(f"{network}: {name} {value:.3f} on {kind}")
        for size, one in found["false_alarms"][network].items():
            if one["low"] > ALPHA:
                said.append(f"{network}: {one['flagged']} of {one['n']} flagged with {size} images")
    said += [f"{name}: {one['sentence']}" for name, one in found["pipelines"].items() if one["bad"]]
    return said


def _beside(ours: float, theirs: float | None) -> str:
    return f"{ours:.3f}" if theirs is None else f"{ours:.3f} / {theirs:.3f}"


def _table(found: Mapping[str, Any]) -> str:
    """Return its part of the page: the default score beside doubt, and the other figures."""
    lines = []
    for network, scores in found["auroc"].items():
        counts = scores["n"]
        kinds = [kind for kind in counts if kind not in ("reference", "good")]
        lines += [
            f"**{network}**: reference of {counts['reference']} images, {counts['good']} held-out "
            f"good images, {counts[kinds[0]]} of each kind of stranger; AUROC, 0.5 is chance, "
            "behind the stroke pytorch-ood's.",
            "",
            "| score | " + " | ".join(kinds) + " |",
            "| --- |" + " ---: |" * len(kinds),
        ]
        for name, values in scores.items():
            if name not in ("n", "pytorch-ood"):
                theirs = scores["pytorch-ood"].get(name, {})
                figures = " | ".join(_beside(values[kind], theirs.get(kind)) for kind in kinds)
                lines.append(f"| {name} | {figures} |")
        alarms = found["false_alarms"][network]
        told = "; ".join(
            f"{one['flagged']} of {one['n']} with {size} images ({100 * one['low']:.1f}–"
            f"{100 * one['high']:.1f} %)"
            for size, one in alarms.items()
        )
        lines += ["", f"Good images flagged where 5 % are promised: {told}.", ""]
    lines.append("Wrong preprocessing, from 8 images each:")
    lines += [""] + [f"- {name}: {one['sentence']}" for name, one in found["pipelines"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
