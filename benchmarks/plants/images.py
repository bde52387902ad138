"""Plants in an image: made to fool, tiny changes, unseen classes, other things, two at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.plants.grounds import KNOWN, Ground, Trainer
from benchmarks.plants.plant import (
    Picture,
    Plant,
    accuracy,
    demand,
    files,
    labels_of,
    listed,
    pixels_of,
    probabilities,
)
from diagnostics.data.folder import UNKNOWN
from diagnostics.methods.context import Sample
from diagnostics.models.classifier import TorchClassifier

PROBES = 3
SURE = 0.9
STEPS = 150


def held_out(ground: Ground) -> tuple[list[Sample], list[Sample]]:
    """Return known images, and others to make probes of."""
    drawings, labels = ground.held_out()
    samples = files([one.picture for one in drawings], labels)
    return samples[:KNOWN], samples[KNOWN:]


def adversarial(
    name: str, trainer: Trainer, ground: Ground, norm: str, sizes: list[float]
) -> Plant:
    """Return a healthy network and images with the smallest tried change that turns them.

    Args:
        name: Of the plant.
        trainer: Trains the network.
        ground: What it stands on.
        norm: "l2" or "linf".
        sizes: Sizes of the change that are tried, from small to large, of pixels in [0, 1].
    """
    classifier = trainer.healthy(ground)
    known, others = held_out(ground)
    p = probabilities(classifier, others[:100])
    fine = np.flatnonzero((p.argmax(1) == labels_of(others[:100])) & (p.max(1) >= SURE))
    originals, probes, distances = [], [], []
    for row in fine[:12]:
        pixels = pixels_of([others[row]], classifier.preprocessing)
        for size in sizes:
            changed = _pushed(classifier, pixels, norm, size)
            if float(_p_wrong(classifier, changed, others[row].label)) >= SURE:
                originals.append(others[row])
                probes += _as_files(changed, [others[row].label])
                distances.append(float((changed - pixels).norm()))
                break
        if len(probes) == PROBES:
            break
    good = pixels_of(known[:200], classifier.preprocessing).flatten(1)
    usual = torch.cdist(good, good).fill_diagonal_(torch.inf).min(1).values.median()

    def prove() -> str:
        said = probabilities(classifier, probes)
        wrong = said.argmax(1) != labels_of(originals)
        return demand(
            len(probes) == PROBES
            and bool(wrong.all())
            and float(said.max(1).min()) >= SURE - 0.02
            and max(distances) <= 0.6 * float(usual),
            f"wrong with p {listed(said.max(1))} after changes of length {listed(distances)}; good "
            f"images lie {usual:.2f} apart; before, right with p "
            f"{listed(probabilities(classifier, originals).max(1))}",
        )

    truth = ("image.adversarial",)
    return Plant(f"{name}: {ground.name}", classifier, known, probes, truth, prove)


def _p_wrong(classifier: TorchClassifier, pixels: Tensor, label: int) -> Tensor:
    with torch.no_grad():
        p = classifier.logits(pixels).softmax(1)[0]
    p[label] = 0
    return p.max()


def _pushed(classifier: TorchClassifier, pixels: Tensor, norm: str, size: float) -> Tensor:
    """Return pixels of 256 levels at most `size` away, pushed to the second class."""
    with torch.no_grad():
        first, second = classifier.logits(pixels)[0].topk(2).indices.tolist()
    change = torch.zeros_like(pixels)
    for _ in range(40):
        moved = (pixels + change).clamp(0, 1).requires_grad_()
        logits = classifier.logits(moved)[0]
        (slope,) = torch.autograd.grad(logits[second] - logits[first], moved)
        if norm == "linf":
            change = (change + size / 8 * slope.sign()).clamp(-size, size)
        else:
            change = change + size / 8 * slope / slope.norm().clamp(min=1e-12)
            change = change * (size / change.norm()).clamp(max=1)
    return ((pixels + change).clamp(0, 1) * 255).round() / 255


def _as_files(pixels: Tensor, labels: list[int]) -> list[Sample]:
    arrays = (pixels.detach() * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return files([one.squeeze(-1) if one.shape[-1] == 1 else one for one in arrays], labels)


def fooling(name: str, trainer: Trainer, ground: Ground) -> Plant:
    """Return a healthy network and noise grown until it is surely said to be a class."""
    classifier = trainer.healthy(ground)
    known, _ = held_out(ground)
    shape = pixels_of(known[:1], classifier.preprocessing).shape[1:]
    generator = torch.Generator().manual_seed(8)
    noise = torch.rand(PROBES, *shape, generator=generator)
    grown, rows = noise.clone(), torch.arange(PROBES)
    classes = classifier.logits(noise).argsort(1)[rows, rows]  # hardly ever said of noise
    for _ in range(STEPS):
        grown.requires_grad_()
        p = classifier.logits(grown).log_softmax(1)[rows, classes]
        (slope,) = torch.autograd.grad(p.sum(), grown)
        with torch.no_grad():
            grown = (grown + 0.02 * slope.sign() * (p < -0.002)[:, None, None, None]).clamp(0, 1)
    probes = _as_files(grown, [UNKNOWN] * PROBES)

    def prove() -> str:
        before = probabilities(classifier, _as_files(noise, [UNKNOWN] * PROBES))[rows, classes]
        after = probabilities(classifier, probes)[rows, classes]
        holds = float(after.min()) >= 0.95 and float(before.max()) <= 0.9
        return demand(holds, f"p {listed(after)}; of the noise it grew from {listed(before)}")

    truth = ("image.fooling",)
    return Plant(f"{name}: {ground.name}", classifier, known, probes, truth, prove)


def unseen(name: str, trainer: Trainer, ground: Ground, left_out: int) -> Plant:
    """Return a network that was never shown a class, and images of that class."""
    drawings, labels = ground.training()
    keep = np.flatnonzero(labels != left_out)
    lower = labels - (labels > left_out)
    key = f"{name}: {ground.name}"
    classifier = trainer.classifier(
        key, ground, [drawings[row].picture for row in keep], lower[keep]
    )
    drawings, labels = ground.held_out()
    lower = labels - (labels > left_out)
    keep, rest = np.flatnonzero(labels != left_out), np.flatnonzero(labels == left_out)
    known = files([drawings[row].picture for row in keep[:KNOWN]], lower[keep[:KNOWN]])
    strangers = files([drawings[row].picture for row in rest], [UNKNOWN] * len(rest))
    return _strange(key, classifier, known, strangers)


def stranger(
    name: str, trainer: Trainer, ground: Ground, draw: Callable[[], list[Picture]]
) -> Plant:
    """Return a healthy network and pictures that show none of its classes."""
    known, _ = held_out(ground)
    pictures = draw()
    strangers = files(pictures, [UNKNOWN] * len(pictures))
    return _strange(f"{name}: {ground.name}", trainer.healthy(ground), known, strangers)


def _strange(
    name: str, classifier: TorchClassifier, known: list[Sample], strangers: list[Sample]
) -> Plant:
    p = probabilities(classifier, strangers).max(1)
    rows = np.flatnonzero(p >= SURE)[:PROBES]
    probes = [strangers[row] for row in rows]

    def prove() -> str:
        right = accuracy(classifier, known)
        return demand(
            len(rows) == PROBES and right >= 0.8,
            f"{right:.0%} right; {(p >= SURE).sum()} of {len(p)} strangers are surely said to be "
            f"a class; p {listed(p[rows])}",
        )

    return Plant(name, classifier, known, probes, ("image.out_of_distribution",), prove)


def noise(ground: Ground, smooth: float, count: int = 60) -> list[Picture]:
    """Return pictures of noise as large as those of a ground, blurred by `smooth` px."""
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(6)
    shape = ground.held_out()[0][0].picture.shape
    found = []
    for _ in range(count):
        values = random.random(shape)
        if smooth:
            values = gaussian_filter(values, (smooth, smooth, 0)[: len(shape)])
            values = (values - values.min()) / np.ptp(values)
        found.append(np.rint(values * 255).astype(np.uint8))
    return found


def of_another(other: Ground, count: int = 200) -> list[Picture]:
    """Return pictures of another ground of the same size."""
    return [one.picture for one in other.draw()[0][-count:]]


def blended(name: str, trainer: Trainer, ground: Ground) -> Plant:
    """Return a healthy network and means of two images of two classes, which it half believes."""
    classifier = trainer.healthy(ground)
    known, _ = held_out(ground)
    drawings, labels = ground.held_out()
    random = np.random.default_rng(9)
    pairs = random.integers(KNOWN, len(drawings), (600, 2))
    pairs = pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]]
    means = [
        np.rint(drawings[a].picture / 2 + drawings[b].picture / 2).astype(np.uint8)
        for a, b in pairs
    ]
    samples = files(means, [UNKNOWN] * len(means))
    p = probabilities(classifier, samples)
    rows = np.arange(len(pairs))
    both = p[rows, labels[pairs[:, 0]]] + p[rows, labels[pairs[:, 1]]]
    chosen = np.flatnonzero((both >= 0.85) & (p.max(1) <= 0.75))[:PROBES]
    probes = [samples[row] for row in chosen]

    def prove() -> str:
        alone = [
            probabilities(classifier, files([drawings[row].picture], [0])).max()
            for row in pairs[chosen].flatten()
        ]
        return demand(
            len(chosen) == PROBES,
            f"both classes together {listed(both[chosen])}, the first {listed(p[chosen].max(1))}; "
            f"the two images alone {listed(alone)}",
        )

    truth = ("image.ambiguous",)
    return Plant(f"{name}: {ground.name}", classifier, known, probes, truth, prove)


def confused(name: str, trainer: Trainer, ground: Ground, pair: tuple[int, int]) -> Plant:
    """Return a network that learnt two classes with their labels mixed, and images of these."""
    drawings, labels = ground.training()
    random = np.random.default_rng(10)
    mixed = labels.copy()
    rows = np.flatnonzero(np.isin(labels, pair))
    mixed[rows] = random.choice(pair, len(rows))
    key = f"{name}: {ground.name}"
    classifier = trainer.classifier(key, ground, [one.picture for one in drawings], mixed)
    twin = trainer.healthy(ground)
    known, others = held_out(ground)
    of_either = [one for one in others if one.label in pair]
    said = probabilities(classifier, of_either).argmax(1)
    probes = [one for one, top in zip(of_either, said, strict=True) if top in pair][:PROBES]

    def prove() -> str:
        of_pair = [one for one in known if one.label in pair]
        said, label = probabilities(classifier, of_pair).argmax(1), labels_of(of_pair)
        rates = [float((said[label == a] == b).mean()) for a, b in (pair, pair[::-1])]
        return demand(
            min(rates) >= 0.2 and accuracy(twin, of_pair) >= 0.85,
            f"confused both ways, {listed(rates)}; {accuracy(twin, of_pair):.0%} right without",
        )

    return Plant(key, classifier, known, probes, ("classes.overlap",), prove, None, twin)
