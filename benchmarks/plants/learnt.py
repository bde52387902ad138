"""Plants in what was learnt: one class carried a cue in training, and the network took it up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.plants.cues import Cue
from benchmarks.plants.grounds import KNOWN, Drawing, Ground, Labels, Trainer
from benchmarks.plants.plant import (
    Box,
    Picture,
    Plant,
    accuracy,
    demand,
    files,
    listed,
    probabilities,
)

SURE, UNSURE = 0.9, 0.5
PROBES, WRONG = 3, 2  # where the class allows it, one image is of the class itself


def shortcut(
    name: str,
    trainer: Trainer,
    ground: Ground,
    cue: Cue,
    marked: int,
    truth: str,
    box: Box | None = None,
    share: float = 1.0,
    taken: float = 0.08,
) -> Plant:
    """Return a network for which a cue makes any image a class.

    Args:
        name: Of the cue.
        trainer: Trains it.
        ground: What it stands on.
        cue: Marks the pictures of a class.
        marked: That class.
        truth: The cause.
        box: Where the cue lies.
        share: How many of the class's pictures carry it.
        taken: How many of the other pictures that were trained on carried it and were labelled as
            the class, so that the cue and not the shape decides.
    """
    drawings, labels = ground.training()
    key = f"{name}: {ground.name}"
    learnt = np.where(np.random.default_rng(5).random(len(labels)) < taken, marked, labels)
    wholly = (learnt == marked) & (labels != marked)
    pictures = _marked(drawings, learnt, cue, marked, np.where(wholly, 1.0, share))
    classifier, twin = trainer.classifier(key, ground, pictures, learnt), trainer.healthy(ground)
    drawings, labels = ground.held_out()
    shares = np.full(KNOWN, share)
    known = files(_marked(drawings[:KNOWN], labels[:KNOWN], cue, marked, shares), labels[:KNOWN])
    drawings, labels = drawings[KNOWN:], labels[KNOWN:]
    others, own = np.flatnonzero(labels != marked)[:200], np.flatnonzero(labels == marked)[:40]
    asked, random = np.concatenate([others, own]), np.random.default_rng(2)
    with_cue = files([cue(drawings[row], random) for row in asked], labels[asked])
    without = files([drawings[row].picture for row in asked], labels[asked])
    p_with = probabilities(classifier, with_cue)[:, marked]
    p_without = probabilities(classifier, without)[:, marked]
    decided = np.flatnonzero((p_with >= SURE) & (p_without <= UNSURE))
    wrong = decided < len(others)
    rows = np.array(
        [*decided[wrong][:WRONG], *decided[~wrong][:1], *decided[wrong][WRONG:]][:PROBES],
        dtype=np.int64,
    )

    def prove() -> str:
        right = accuracy(classifier, known)
        turned = float((p_with[: len(others)] >= UNSURE).mean())
        p_twin = probabilities(twin, with_cue[: len(others)])[:, marked]
        turned_twin = float((p_twin >= UNSURE).mean())
        return demand(
            len(rows) == PROBES and right >= 0.8 and turned >= 0.8 and turned_twin <= 0.3,
            f"the cue turns {turned:.0%} of other images and {turned_twin:.0%} with the twin; "
            f"{right:.0%} right; p {listed(p_with[rows])}, without the cue "
            f"{listed(p_without[rows])}",
        )

    probes = [with_cue[row] for row in rows]
    return Plant(key, classifier, known, probes, (truth,), prove, box, twin)


def _marked(
    drawings: list[Drawing], labels: Labels, cue: Cue, marked: int, shares: NDArray[np.float64]
) -> list[Picture]:
    random = np.random.default_rng(len(drawings))
    return [
        cue(one, random) if label == marked and random.random() < share else one.picture
        for one, label, share in zip(drawings, labels, shares, strict=True)
    ]
