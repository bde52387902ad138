"""Offsets and orders of classes, against what was planted and against optimality itself."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.metrics.class_offsets import (
    PENALTY,
    class_offsets,
    class_order,
    judged_class_order,
    shifted_order,
)
from diagnostics.metrics.temperature import temperature


def drawn(
    classes: int, n: int, seed: int, separation: float = 6.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return logits of a good classifier, and labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=n)
    logits = random.normal(0, 1.5, (n, classes))
    logits[np.arange(n), labels] += separation
    return logits, labels


@pytest.mark.parametrize("classes", [2, 5, 30])
@pytest.mark.parametrize("size", [8.0, -12.0])
def test_a_planted_offset_is_found_on_both_halves_and_mended(classes: int, size: float) -> None:
    logits, labels = drawn(classes, 600, classes)
    before = (logits.argmax(1) == labels).mean()
    logits[:, 1] += size
    found = class_offsets(logits, labels)
    assert np.abs(found.values).argmax() in ((0, 1) if classes == 2 else (1,))
    assert all(np.abs(half).argmax() == np.abs(found.values).argmax() for half in found.halves)
    if classes > 2:
        assert np.sign(found.values[1]) == -np.sign(size)
    assert found.right.mean() >= before - 0.05


def test_healthy_classifiers_need_no_offset_worth_naming() -> None:
    for seed in range(20):
        logits, labels = drawn(10, 300, seed)
        found = class_offsets(logits, labels)
        assert np.abs(found.values).max() < 2 * found.unit


def test_no_step_in_any_direction_lowers_the_penalised_loss() -> None:
    logits, labels = drawn(4, 200, 3, separation=2.0)
    logits[:, 2] += 3
    scale = temperature(logits, labels).applied
    values = class_offsets(logits, labels).values / scale

    def loss(offsets: np.ndarray) -> float:
        z = logits / scale + offsets
        top = z.max(1, keepdims=True)
        nll = np.log(np.exp(z - top).sum(1)) + top[:, 0] - z[np.arange(len(labels)), labels]
        return float(nll.mean() + PENALTY * np.abs(offsets - np.median(offsets)).sum())

    best = loss(values)
    random = np.random.default_rng(0)
    for _ in range(200):
        assert loss(values + random.normal(0, 0.05, 4)) > best - 2e-3


def test_the_order_of_shifted_and_permuted_names_is_recovered() -> None:
    for seed, order in enumerate(
        (np.roll(np.arange(12), 1), np.random.default_rng(2).permutation(12))
    ):
        logits, labels = drawn(12, 400, seed)
        renamed = order[labels]
        assert (class_order(logits.argmax(1), renamed, 12) == order).all()
        assert judged_class_order(logits.argmax(1), renamed, 12).mean() > 0.9


def test_a_shift_of_all_names_is_recovered_from_one_image_a_class() -> None:
    logits, _ = drawn(1000, 20, 0, separation=20.0)
    labels = logits.argmax(1)
    order, step = shifted_order(labels, (labels + 2) % 1000, 1000)
    assert step == 2
    assert (order[labels] == (labels + 2) % 1000).all()


def test_an_order_that_is_right_stays() -> None:
    logits, labels = drawn(8, 60, 0)
    assert (class_order(logits.argmax(1), labels, 8) == np.arange(8)).all()
