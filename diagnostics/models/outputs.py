"""What leaves a network: find the class scores, and recognise what kind of numbers they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from diagnostics.errors import OutputError
from diagnostics.schema.spec import Check, Output

TOLERANCE = 1e-4
SMALLEST = 1e-6  # of scores that others are compared with


def class_scores(raw: Any) -> Float[Tensor, "n k"]:
    """Return the class scores among what a network gave.

    A dict's "logits" entry, or the first tensor of a dict, tuple or list, counts; trailing axes
    of length one are dropped; a flat batch of numbers is one output per image.

    Raises:
        OutputError: When there is no tensor of shape (n, k).
    """
    if isinstance(raw, Mapping):
        raw = raw.get("logits", next(iter(raw.values()), None))
    while isinstance(raw, tuple | list) and raw:
        raw = raw[0]
    if not isinstance(raw, Tensor):
        raise OutputError(
            "A classifier gives one row of class scores per image; this network gave "
            f"{type(raw).__name__}, so it cannot be read as a classifier."
        )
    scores = raw.flatten(1) if raw.ndim > 2 and raw.shape[2:].numel() == 1 else raw
    scores = scores[:, None] if scores.ndim == 1 else scores
    if scores.ndim != 2:
        raise OutputError(
            "A classifier gives one row of class scores per image, shape [n, classes]; this "
            f"network gave {list(raw.shape)}, so it is not an image classifier."
        )
    return scores if scores.dtype == torch.float64 else scores.float()


def as_logits(scores: Float[Tensor, "n k"], output: Output) -> Float[Tensor, "n k"]:
    """Return logits whose softmax (or sigmoid) is what the network meant by its scores."""
    tiny = torch.finfo(scores.dtype).tiny
    if output is Output.PROBABILITIES:
        return scores.clamp_min(tiny).log()
    if output is Output.SIGMOID_PROBABILITIES:
        return scores.clamp_min(tiny).log() - (1 - scores).clamp_min(tiny).log()
    return scores


def relative_difference(scores: Tensor, reference: Tensor) -> float:
    """Return by how much scores differ at most from others, as a share of the largest of these."""
    largest = reference.abs().max().clamp_min(SMALLEST)
    return float((scores - reference).abs().max() / largest)


def recognise(scores: Float[Tensor, "n k"]) -> tuple[Output, tuple[Check, ...]]:
    """Recognise what a network's scores for several different images are.

    Args:
        scores: Class scores of at least two images, as they left the network.

    Returns:
        The kind of output, and what a person should know about it.
    """
    classes = scores.shape[1]
    if not bool(torch.isfinite(scores).all()):
        bad = int((~torch.isfinite(scores).all(dim=1)).sum())
        message = f"Not finite for {bad} of {len(scores)} test images; no ranking for those."
        return Output.LOGITS, (Check("output", "failed", message),)
    within = bool(((scores >= 0) & (scores <= 1)).all())
    if classes == 1:
        kind = Output.SIGMOID_PROBABILITIES if within else Output.SIGMOID_LOGITS
        message = "One output: shown as yes or no through a sigmoid, without a ranking."
        return kind, (Check("output", "warned", message),)
    if within and _close(scores.sum(1), 1.0):
        return Output.PROBABILITIES, _probability_checks(scores)
    if within:
        message = "All scores lie in 0..1 and do not sum to 1: read as independent yes or no."
        return Output.SIGMOID_PROBABILITIES, (Check("output", "warned", message),)
    if bool((scores <= 0).all()) and _close(scores.exp().sum(1), 1.0):
        message = "Log-probabilities: the network ends in log-softmax."
        return Output.LOG_PROBABILITIES, (Check("output", "passed", message),)
    return Output.LOGITS, (Check("output", "passed", f"{classes} logits per image."),)


def _probability_checks(scores: Tensor) -> tuple[Check, ...]:
    """A softmax of a softmax gives itself away: its log is a probability vector but for a shift."""
    classes = scores.shape[1]
    log = scores.double().log()
    inner = log - log.mean(1, keepdim=True) + 1 / classes
    if bool((inner >= -TOLERANCE).all()):
        top = math.e / (math.e + classes - 1)
        message = (
            "These probabilities look like a softmax of a softmax, which can never say more than "
            f"{top:.4f} for {classes} classes; remove one of the two."
        )
        return (Check("output", "warned", message),)
    message = "Probabilities: the network ends in softmax; its logarithm stands for the logits."
    return (Check("output", "passed", message),)


def _close(values: Tensor, target: float) -> bool:
    return bool(((values - target).abs() < TOLERANCE).all())
