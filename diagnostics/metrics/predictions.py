"""Predictions: the classes that a network ranks first, exact also where it is very sure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.schema.results.inspection import PredictionEntry
from diagnostics.schema.spec import ModelSpec


@dataclass(frozen=True)
class Prediction:
    """One class of a ranking.

    Args:
        name: The class's name.
        index: Its index among the outputs, from 0.
        probability: 0 to 1.
        one_minus_p: 1 - probability, exact also where the probability rounds to 1.
        logit: The class's logit.
        margin: Logit minus the next class's logit in the ranking; None for the last class.
    """

    name: str
    index: int
    probability: float
    one_minus_p: float
    logit: float
    margin: float | None

    def entry(self) -> PredictionEntry:
        """Return it as it stands in answers."""
        return {
            "class": self.name,
            "index": self.index,
            "probability": self.probability,
            "one_minus_p": self.one_minus_p,
            "logit": self.logit,
            "margin": self.margin,
        }


def probabilities(
    logits: NDArray[Any], *, independent: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each class's probability and one minus it, in float64.

    One minus it is the sum of the other classes' probabilities, so it stays exact (3.2e-9, say)
    where `1 - probability` would round to zero.

    Args:
        logits: Shape (k,), finite.
        independent: Sigmoid per class instead of softmax over all.

    Returns:
        p and one_minus_p, each of shape (k,), values in [0, 1].
    """
    z = np.asarray(logits, np.float64)
    if independent:
        return np.exp(-np.logaddexp(0, -z)), np.exp(-np.logaddexp(0, z))
    weights = np.exp(z - z.max())
    total = weights.sum()
    order = np.argsort(weights)
    below = np.concatenate([[0.0], np.cumsum(weights[order])])
    above = np.concatenate([np.cumsum(weights[order][::-1])[::-1], [0.0]])
    others = np.empty_like(weights)
    others[order] = below[:-1] + above[1:]
    return weights / total, others / total


def confidence(margin: float) -> tuple[float, float]:
    """Return p and one_minus_p of a margin log(p / (1 − p)), both exact; NaN where it is NaN."""
    odds = math.exp(-abs(margin))
    larger, smaller = 1 / (1 + odds), odds / (1 + odds)
    return (larger, smaller) if margin >= 0 else (smaller, larger)


def rank(logits: NDArray[Any], spec: ModelSpec, count: int) -> tuple[Prediction, ...]:
    """Return the `count` most probable classes, the most probable first.

    Args:
        logits: Shape (k,).
        spec: Gives names and the kind of output.
        count: How many classes to return.

    Returns:
        At most `count` classes; none when a logit is NaN or infinite, because nothing ranks then.
    """
    z = np.asarray(logits, np.float64)
    if not np.isfinite(z).all():
        return ()
    p, one_minus_p = probabilities(z, independent=spec.output.independent)
    order = np.argsort(-z, kind="stable")[: count + 1]
    next_classes = [*order[1:], None]
    return tuple(
        Prediction(
            name=spec.class_names[index],
            index=int(index),
            probability=float(p[index]),
            one_minus_p=float(one_minus_p[index]),
            logit=float(z[index]),
            margin=None if after is None else float(z[index] - z[after]),
        )
        for index, after in zip(order[:count], next_classes, strict=False)
    )
