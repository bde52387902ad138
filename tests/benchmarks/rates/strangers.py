"""How well strangers are told: AUROC by score and kind, and false alarms.

The same seeds give the same figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from diagnostics.methods.ood.detector import OODDetector
from diagnostics.metrics.intervals import conformal_threshold
from diagnostics.metrics.roc import auroc
from tests.benchmarks.figure import Figure
from tests.benchmarks.quality import left_out, networks, peers
from tests.benchmarks.quality.left_out import NEAR

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


def figures() -> Iterator[Figure]:
    """Yield every score on every network, and how far the combined one is from the best."""
    gaps: dict[str, list[float]] = {"networks it was chosen on": [], "other networks": []}
    for name in NAMES:
        one = left_out.case(name) if name in left_out.NETWORKS else networks.case(name, SEED)
        scores = _auroc(one)
        counts = scores.pop("n")
        peer = scores.pop("pytorch-ood")
        yield from _of_scores(name, scores, peer, counts)
        yield from _of_combined(name, scores, counts)
        yield from _of_false_alarms(name, _false_alarms(one))
        if NEAR in scores["combined"]:
            side = "networks it was chosen on" if name in CHOSEN_ON else "other networks"
            gaps[side].append(_best_single(scores, NEAR)[1] - scores["combined"][NEAR])
    for side, found in gaps.items():
        what = f"near strangers of {side}: best single score's AUROC less that of combined, mean"
        yield Figure(
            what,
            float(np.mean(found)),
            "",
            limit=MOST_BELOW_BEST,
            n=len(found),
            of="networks",
            low=min(found),
            high=max(found),
        )


def _of_scores(
    name: str, scores: Mapping[str, Any], peer: Mapping[str, Any], counts: Mapping[str, int]
) -> Iterator[Figure]:
    """Yield each score's mean AUROC over the kinds of strangers, and each kind beside the peer."""
    for score, values in scores.items():
        theirs = peer.get(score, {})
        kinds = [f"{kind} {_beside(value, theirs.get(kind))}" for kind, value in values.items()]
        yield Figure(
            f"{name}: {score}, mean AUROC over kinds of strangers",
            float(np.mean(list(values.values()))),
            "",
            n=counts["good"],
            of="good images",
            low=min(values.values()),
            high=max(values.values()),
            remark=f"{', '.join(kinds)}; behind a stroke pytorch-ood's",
        )


def _of_combined(
    name: str, scores: Mapping[str, Any], counts: Mapping[str, int]
) -> Iterator[Figure]:
    """Yield where the combined score must be no worse than doubt alone, and how well it is."""
    combined, doubt = scores["combined"], scores["msp"]
    kind = min(combined, key=lambda kind: combined[kind] - doubt[kind])
    yield Figure(
        f"{name}: AUROC of combined less that of doubt, the worst kind",
        combined[kind] - doubt[kind],
        "",
        limit=-ALLOWED,
        at_least=True,
        n=counts[kind],
        of="strangers",
        remark=kind,
    )
    kind = min(NOISE, key=lambda kind: combined[kind])
    yield Figure(
        f"{name}: AUROC of combined, the worst noise",
        combined[kind],
        "",
        limit=LEAST_ON_NOISE,
        at_least=True,
        n=counts[kind],
        of="strangers",
        remark=kind,
    )


def _of_false_alarms(name: str, found: Mapping[str, Any]) -> Iterator[Figure]:
    """Yield where each rate's interval begins: above 5 % it is more than is promised."""
    for size, rate in found.items():
        yield Figure(
            f"{name}: where the rate of good images flagged begins, folder of {size}",
            100 * rate["low"],
            "%",
            limit=100 * ALPHA,
            n=rate["n"],
            of="images",
            low=100 * rate["low"],
            high=100 * rate["high"],
            remark=f"{rate['flagged']} flagged",
        )


def _beside(ours: float, theirs: float | None) -> str:
    return f"{ours:.3f}" if theirs is None else f"{ours:.3f} / {theirs:.3f}"


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
    singles = {name: values[kind] for name, values in scores.items() if name != "combined"}
    return max(singles.items(), key=lambda item: item[1])
