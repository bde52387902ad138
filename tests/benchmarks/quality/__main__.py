"""Measure how well strangers and wrong preprocessing are told; write what was found.

Run by `make bench`; `python -m tests.benchmarks.quality strangers` measures that part alone, and
so does `preprocessing`. Nothing here depends on the clock: the same seeds give the same figures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diagnostics.methods.ood.detector import OODDetector
from diagnostics.metrics.intervals import conformal_threshold
from diagnostics.metrics.roc import auroc
from scripts import train_fashion
from tests.benchmarks.quality import left_out, networks, peers, pipelines
from tests.benchmarks.quality.left_out import NEAR

RESULT = Path("benchmarks/quality.json")
PAGE = Path("docs/benchmarks.md")
BEGIN, END = "<!-- quality:begin -->", "<!-- quality:end -->"
PARTS = ("strangers", "preprocessing")
SEED = 0
SIZES = (40, 50, 200)  # images that a false alarm rate is promised on
REPEATS, HELD_OUT = 40, 150
ALPHA = 0.05
NOISE = ("uniform", "gaussian", "shuffled", "phase", "constant", "checkerboard")
LEAST_ON_NOISE = 0.97
MOST_BELOW_BEST = 0.01  # on near strangers, averaged over networks
ALLOWED = 5e-4  # of a share, by which two AUROCs may differ by rounding and ties
CHOSEN_ON = (
    networks.LETTERS,
    *(name for name, one in left_out.NETWORKS.items() if one.chosen_on),
)
NAMES = (networks.LETTERS, *left_out.NETWORKS)


def main(parts: Collection[str] = PARTS) -> int:
    """Measure some parts, write, and return 0 when every figure is as it should be."""
    found: dict[str, Any] = {"seed": SEED, "auroc": {}, "false_alarms": {}, "pipelines": {}}
    if RESULT.exists():
        before = json.loads(RESULT.read_text("utf-8"))
        found |= {key: before[key] for key in found if key in before}
    if "strangers" in parts:
        found |= {"auroc": {}, "false_alarms": {}}
        for name in NAMES:
            one = left_out.case(name) if name in left_out.NETWORKS else networks.case(name, SEED)
            found["auroc"][name] = _auroc(one)
            found["false_alarms"][name] = _false_alarms(one)
            print(name, json.dumps(found["auroc"][name]["combined"]), flush=True)
    if "preprocessing" in parts:
        train_fashion.train_missing()
        found["pipelines"] = pipelines.counted()
    missed = _missed(found)
    RESULT.write_text(json.dumps({**found, "missed": missed}, indent=2) + "\n", "utf-8")
    begin, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    end = rest.partition(END)[2]
    PAGE.write_text(f"{begin}{BEGIN}\n{_table(found)}\n{END}{end}", "utf-8")
    print("\n".join(missed) or "every figure is as it should be")
    return 1 if missed else 0


def _auroc(one: networks.Case) -> dict[str, Any]:
    """Return AUROC by score and kind of stranger, and how many images are behind it."""
    detector = OODDetector(one.classifier.spec, networks.measured(one, len(one.images)))
    tested = networks.seen_of(one, one.tested)
    others = {kind: networks.seen_of(one, images) for kind, images in one.others.items()}
    found: dict[str, Any] = {}
    for name in detector.names:
        good = detector.score(name, tested)
        found[name] = {
            kind: auroc(good, detector.score(name, seen)) for kind, seen in others.items()
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
    seen, pixels = networks.seen_of(one, images), torch.from_numpy(images)[:, None]
    unlabelled, found = torch.full((len(images),), -1), {}
    for size in SIZES:
        hits: list[int] = []
        for repeat in range(REPEATS):
            order = torch.from_numpy(np.random.default_rng([SEED, repeat]).permutation(len(images)))
            reference = networks.built(one, seen, unlabelled, pixels, order[:size])
            detector = OODDetector(one.classifier.spec, reference)
            judging = detector.score("combined", reference.calibration.outputs)
            limit = conformal_threshold(np.sort(judging), ALPHA)
            good = seen.select(order[size : size + HELD_OUT])
            hits.append(int((detector.score("combined", good) >= limit).sum()))
        rates = np.array(hits) / HELD_OUT
        reach = 1.96 * float(rates.std(ddof=1)) / len(rates) ** 0.5
        low, high = float(rates.mean()) - reach, float(rates.mean()) + reach
        found[str(size)] = {
            "flagged": sum(hits),
            "n": HELD_OUT * len(hits),
            "low": low,
            "high": high,
        }
    return found


def _best_single(scores: Mapping[str, Any], kind: str) -> tuple[str, float]:
    """Return the score, of all but the combined one, that tells a kind best."""
    singles = {
        name: values[kind]
        for name, values in scores.items()
        if name not in ("combined", "pytorch-ood", "n")
    }
    return max(singles.items(), key=lambda item: item[1])


def _below_best(found: Mapping[str, Any], names: Collection[str]) -> float:
    """Return by how much the combined score is below the best single one on near strangers."""
    gaps = [
        _best_single(found["auroc"][name], NEAR)[1] - found["auroc"][name]["combined"][NEAR]
        for name in names
        if NEAR in found["auroc"].get(name, {}).get("combined", {})
    ]
    return float(np.mean(gaps)) if gaps else 0.0


def _missed(found: Mapping[str, Any]) -> list[str]:
    """Return a sentence for every figure that is not as it should be."""
    said = []
    for network, scores in found["auroc"].items():
        for kind, value in scores["combined"].items():
            if value < scores["msp"][kind] - ALLOWED:
                doubt = scores["msp"][kind]
                said.append(f"{network}: combined {value:.3f} on {kind}, doubt alone {doubt:.3f}")
            if kind in NOISE and value < LEAST_ON_NOISE:
                said.append(f"{network}: combined {value:.3f} on {kind}")
        for size, one in found["false_alarms"].get(network, {}).items():
            if one["low"] > ALPHA:
                said.append(f"{network}: {one['flagged']} of {one['n']} flagged with {size} images")
    for word, names in _sides().items():
        if (gap := _below_best(found, names)) > MOST_BELOW_BEST:
            said.append(f"near strangers of {word}: {gap:.3f} below the best single score")
    said += [f"{name}: {one['sentence']}" for name, one in found["pipelines"].items() if one["bad"]]
    return said


def _sides() -> dict[str, list[str]]:
    """Return the networks that the rule was chosen on, and the others, by what they are called."""
    reported = [name for name in left_out.NETWORKS if name not in CHOSEN_ON]
    return {"networks it was chosen on": list(CHOSEN_ON), "other networks": reported}


def _beside(ours: float, theirs: float | None) -> str:
    return f"{ours:.3f}" if theirs is None else f"{ours:.3f} / {theirs:.3f}"


def _summary(found: Mapping[str, Any]) -> list[str]:
    """Return a table of the near strangers and the worst of the others, a network a row."""
    lines = [
        "| network | rule chosen on it | left out: combined | msp | best single | worst noise: "
        "combined | msp | n |",
        "| --- | --- | ---: | ---: | --- | ---: | ---: | ---: |",
    ]
    for name, scores in found["auroc"].items():
        if NEAR not in scores["combined"]:
            continue
        best, value = _best_single(scores, NEAR)
        worst = [min(scores[score][kind] for kind in NOISE) for score in ("combined", "msp")]
        lines.append(
            f"| {name} | {'yes' if name in CHOSEN_ON else 'no'} | {scores['combined'][NEAR]:.3f} | "
            f"{scores['msp'][NEAR]:.3f} | {value:.3f} {best} | {worst[0]:.3f} | {worst[1]:.3f} | "
            f"{scores['n']['good']} good, {scores['n'][NEAR]} left out |"
        )
    lines.append("")
    for word, names in _sides().items():
        gap = _below_best(found, names)
        lines.append(
            f"On near strangers of {word} *combined* is on average {gap:.3f} below the "
            "best single score, which differs from network to network."
        )
    return [*lines, ""]


def _table(found: Mapping[str, Any]) -> str:
    """Return its part of the page: a summary, every score on every network, and the rest."""
    lines = _summary(found)
    for network, scores in found["auroc"].items():
        counts = scores["n"]
        kinds = [kind for kind in counts if kind not in ("reference", "good")]
        lines += [
            f"**{network}**: reference of {counts['reference']} images, {counts['good']} held-out "
            f"good images, {counts[kinds[0]]} strangers {kinds[0]} and {counts[kinds[-1]]} of "
            "every other kind; AUROC, 0.5 is chance, behind a stroke pytorch-ood's.",
            "",
            "| score | " + " | ".join(kinds) + " |",
            "| --- |" + " ---: |" * len(kinds),
        ]
        for name, values in scores.items():
            if name not in ("n", "pytorch-ood"):
                theirs = scores.get("pytorch-ood", {}).get(name, {})
                figures = " | ".join(_beside(values[kind], theirs.get(kind)) for kind in kinds)
                lines.append(f"| {name} | {figures} |")
        alarms = found["false_alarms"].get(network, {})
        told = "; ".join(
            f"{one['flagged']} of {one['n']} with a folder of {size} ({100 * one['low']:.1f}–"
            f"{100 * one['high']:.1f} %)"
            for size, one in alarms.items()
        )
        lines += ["", f"Good images flagged where 5 % are promised: {told}.", ""] if told else [""]
    lines.append("Wrong preprocessing, from 8 images each:")
    lines += [""] + [f"- {name}: {one['sentence']}" for name, one in found["pipelines"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or PARTS))
