"""Healthy networks, and cues that a healthy network never learnt: nothing is to be accused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from benchmarks.plants.cues import Cue
from benchmarks.plants.grounds import KNOWN, Drawing, Ground, Labels, Trainer
from benchmarks.plants.images import held_out
from benchmarks.plants.plant import (
    JUSTIFIED,
    Plant,
    accuracy,
    demand,
    files,
    labels_of,
    listed,
    probabilities,
)
from diagnostics.methods.context import Sample
from diagnostics.models.classifier import TorchClassifier

PROBES = 4
COMPETENT, TOO_SURE = 0.8, 0.03


def competent(classifier: TorchClassifier, known: list[Sample]) -> tuple[bool, str]:
    """Return whether a network is right often enough and no surer than it may be."""
    right = accuracy(classifier, known)
    gap = float(probabilities(classifier, known).max(1).mean()) - right
    return right >= COMPETENT and gap < TOO_SURE, f"{right:.0%} right, {gap:+.2f} too sure"


def healthy(name: str, trainer: Trainer, ground: Ground) -> Plant:
    """Return a healthy network and ordinary images, of which it is right."""
    classifier = trainer.healthy(ground)
    known, others = held_out(ground)
    p = probabilities(classifier, others[:200])
    rows = np.flatnonzero((p.argmax(1) == labels_of(others[:200])) & (p.max(1) >= 0.8))[:PROBES]
    probes = [others[row] for row in rows]

    def prove() -> str:
        fine, figures = competent(classifier, known)
        return demand(fine and len(rows) == PROBES, f"{figures}; p {listed(p[rows].max(1))}")

    return Plant(
        f"{name}: {ground.name}", classifier, known, probes, JUSTIFIED, prove, kind="healthy"
    )


def unsure(name: str, trainer: Trainer, ground: Ground) -> Plant:
    """Return a healthy network and images of which it is not sure."""
    classifier = trainer.healthy(ground)
    known, others = held_out(ground)
    p = probabilities(classifier, others).max(1)
    rows = np.flatnonzero((p >= 0.3) & (p <= 0.6))[:PROBES]
    probes = [others[row] for row in rows]

    def prove() -> str:
        fine, figures = competent(classifier, known)
        return demand(fine and len(rows) == PROBES, f"{figures}; p {listed(p[rows])}")

    truth = ("none.unsure", "none.justified", "image.ambiguous")
    return Plant(f"{name}: {ground.name}", classifier, known, probes, truth, prove, kind="healthy")


def innocent(name: str, trainer: Trainer, ground: Ground, cue: Cue) -> Plant:
    """Return a healthy network and images with a cue that it never learnt, still said right."""
    classifier = trainer.healthy(ground)
    known, _ = held_out(ground)
    drawings, labels = ground.held_out()
    drawings, labels = drawings[KNOWN : KNOWN + 250], labels[KNOWN : KNOWN + 250]
    random = np.random.default_rng(3)
    samples = files([cue(one, random) for one in drawings], labels)
    without = files([one.picture for one in drawings], labels)
    p, before = probabilities(classifier, samples), probabilities(classifier, without)
    fine = (p.argmax(1) == labels) & (before.argmax(1) == labels) & (p.max(1) >= 0.7)
    rows = np.flatnonzero(fine & (before.max(1) >= 0.7))[:PROBES]
    probes = [samples[row] for row in rows]

    def prove() -> str:
        healthy_, figures = competent(classifier, known)
        moved = np.abs(p.max(1) - before.max(1))[rows]
        return demand(
            healthy_ and len(rows) == PROBES,
            f"{figures}; p {listed(p[rows].max(1))}, moved by the cue by {listed(moved)}",
        )

    truth = (*JUSTIFIED, "image.out_of_distribution")
    return Plant(f"{name}: {ground.name}", classifier, known, probes, truth, prove, kind="innocent")


def everywhere(ground: Ground, name: str, cue: Cue) -> Ground:
    """Return a ground whose pictures all carry a cue, so that it tells no class from another."""

    def draw() -> tuple[list[Drawing], Labels]:
        drawings, labels = ground.draw()
        random = np.random.default_rng(12)
        return [replace(one, picture=cue(one, random)) for one in drawings], labels

    return replace(ground, name=f"{ground.name}, {name}", draw=cache(draw))


def of_classes(ground: Ground, name: str, chosen: list[int], trained: int) -> Ground:
    """Return a ground with some of the classes only."""

    def draw() -> tuple[list[Drawing], Labels]:
        drawings, labels = ground.draw()
        rows = np.flatnonzero(np.isin(labels, chosen))
        return [drawings[row] for row in rows], np.searchsorted(chosen, labels[rows])

    return replace(
        ground,
        name=f"{ground.name}, {name}",
        draw=cache(draw),
        trained=trained,
        epochs=4 * ground.epochs,
    )


def anywhere(ground: Ground, name: str, size: int, side: int) -> Ground:
    """Return a ground with its objects small, at any place of a larger picture."""
    from PIL import Image

    def draw() -> tuple[list[Drawing], Labels]:
        drawings, labels = ground.draw()
        random = np.random.default_rng(13)
        placed = []
        for one in drawings:
            small = np.asarray(Image.fromarray(one.picture).resize((size, size)))
            picture = np.zeros((side, side), np.uint8)
            top, left = random.integers(0, side - size + 1, 2)
            picture[top : top + size, left : left + size] = small
            placed.append(Drawing(picture, picture > 32))
        return placed, labels

    preprocessing = replace(ground.settings, height=side, width=side)
    return replace(
        ground, name=f"{ground.name}, {name}", draw=cache(draw), settings=preprocessing, epochs=8
    )


def textures(base: Ground, count: int, seed: int, colour: bool) -> Ground:
    """Return a ground whose classes are textures that fill the picture."""
    side = base.settings.height

    def draw() -> tuple[list[Drawing], Labels]:
        random = np.random.default_rng(seed)
        labels = random.integers(0, count, base.trained + 800)
        return [_texture(int(label), side, random, colour) for label in labels], labels

    return replace(base, name=f"textures, {base.name.rpartition(', ')[2]}", draw=cache(draw))


def _texture(label: int, side: int, random: np.random.Generator, colour: bool) -> Drawing:
    rows, columns = np.indices((side, side)) + random.integers(0, side, (2, 1, 1))
    period = (3, 5, 7)[label // 4 % 3]
    wave = (
        lambda: rows % period < period / 2,
        lambda: columns % period < period / 2,
        lambda: (rows + columns) % period < period / 2,
        lambda: (rows // period + columns // period) % 2 == 0,
    )[label % 4]()
    low = random.uniform(20, 110)
    values = low + random.uniform(60, 130) * wave + random.normal(0, 12, wave.shape)
    if colour:
        values = values[..., None] * (0.5 + 0.5 * random.random(3))
    picture = np.rint(values.clip(0, 255)).astype(np.uint8)
    return Drawing(picture, np.ones((side, side), bool))


def hues(base: Ground, count: int, seed: int) -> Ground:
    """Return a ground whose classes are hues of objects of any shape."""

    def draw() -> tuple[list[Drawing], Labels]:
        from colorsys import hsv_to_rgb

        drawings, _ = base.draw()
        random = np.random.default_rng(seed)
        labels = random.integers(0, count, len(drawings))
        coloured = []
        for one, label in zip(drawings, labels, strict=True):
            hue = (label + random.uniform(-0.25, 0.25)) / count
            rgb = np.array(hsv_to_rgb(hue, random.uniform(0.6, 1), random.uniform(0.7, 1)))
            grey = one.picture.max(2, keepdims=True)
            picture = np.where(one.mask[..., None], np.rint(grey * rgb), one.picture)
            coloured.append(Drawing(picture.astype(np.uint8), one.mask))
        return coloured, labels

    return replace(base, name=f"hues, {base.name}", draw=cache(draw))
