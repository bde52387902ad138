"""What leaves a network: find the class scores, and recognise what kind of numbers they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from diagnostics.errors import OutputError
from diagnostics.models.ending import Ending
from diagnostics.schema.spec import Check, Output

TOLERANCE = 1e-4
SEEN_TOLERANCE = 0.02  # of the sum of what a softmax gave, which whole numbers may round
SAY = "Say what it is with --output, output=, or when you open it."
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


def recognise(
    scores: Float[Tensor, "n k"], ending: Ending | None = None
) -> tuple[Output, tuple[Check, ...]]:
    """Recognise what a network's scores for several different images are.

    Args:
        scores: Class scores of at least two images, as they left the network.
        ending: What the network ends in; None leaves only the values, which may deceive.

    Returns:
        The kind of output, and what a person should know about it.
    """
    if not bool(torch.isfinite(scores).all()):
        bad = int((~torch.isfinite(scores).all(dim=1)).sum())
        message = f"Not finite for {bad} of {len(scores)} test images; no ranking for those."
        output = Output.LOGITS if ending is None else ending.output
        return _of_one(output, scores.shape[1]), (Check("output", "failed", message),)
    if ending is not None and is_possible(scores, ending.output):
        return _by_ending(scores, ending)
    return _by_values(scores)


def is_possible(scores: Float[Tensor, "n k"], output: Output) -> bool:
    """Say whether scores can be such an output, by their range and sum."""
    within = bool(((scores >= 0) & (scores <= 1)).all())
    is_one = scores.shape[1] == 1  # one column of a softmax over two classes, say
    if output is Output.PROBABILITIES:
        return within and (is_one or _close(scores.sum(1), 1.0, SEEN_TOLERANCE))
    if output is Output.LOG_PROBABILITIES:
        sums = scores.exp().sum(1)
        return bool((scores <= 0).all()) and _close(sums, 1.0, SEEN_TOLERANCE)
    return within or output is not Output.SIGMOID_PROBABILITIES


def _by_ending(scores: Tensor, ending: Ending) -> tuple[Output, tuple[Check, ...]]:
    """Say what scores are whose last operation is known."""
    classes, reason = scores.shape[1], ending.reason
    output = _of_one(ending.output, classes)
    if classes == 1 and ending.output.sums_to_one and _close(scores, scores[0, 0].item()):
        message = f"{reason} over a single output, which says the same of every image."
        return output, (Check("output", "warned", message),)
    if ending.before:
        message = (
            f"{reason} of a {ending.before}, which can never say more than "
            f"{_ceiling(output, classes):.4f} here; remove one of the two."
        )
        return output, (Check("output", "warned", message),)
    if output is Output.SIGMOID_LOGITS and classes == 1:
        message = f"{reason}: one logit, shown as yes or no through a sigmoid. {SAY}"
        return output, (Check("output", "warned", message),)
    meanings = {
        Output.LOGITS: f"{classes} logits per image, no probabilities.",
        Output.PROBABILITIES: "probabilities, whose logarithm stands for the logits.",
        Output.LOG_PROBABILITIES: "log-probabilities.",
        Output.SIGMOID_LOGITS: "logits, each a yes or no of its own.",
        Output.SIGMOID_PROBABILITIES: "probabilities, each a yes or no of its own.",
    }
    return output, (Check("output", "passed", f"{reason}: {meanings[output]}"),)


def _by_values(scores: Tensor) -> tuple[Output, tuple[Check, ...]]:
    """Say what scores may be whose last operation is not known."""
    classes = scores.shape[1]
    within = bool(((scores >= 0) & (scores <= 1)).all())
    unseen = "Its last operation cannot be seen."
    if classes == 1:
        output = Output.SIGMOID_PROBABILITIES if within else Output.SIGMOID_LOGITS
        guess = "lies in 0..1 and may be a probability" if within else "may be a logit"
        message = f"{unseen} Its one output {guess}, shown as yes or no. {SAY}"
    elif within and _close(scores.sum(1), 1.0):
        output = Output.PROBABILITIES
        message = f"{unseen} Its scores sum to 1 and may be probabilities. {SAY}"
        if _is_squashed_twice(scores):
            message = (
                f"{unseen} Its scores may be a softmax of a softmax, which can never say more "
                f"than {_ceiling(output, classes):.4f} for {classes} classes. {SAY}"
            )
    elif within:
        output = Output.SIGMOID_PROBABILITIES
        message = f"{unseen} All scores lie in 0..1 and may be independent probabilities. {SAY}"
    elif bool((scores <= 0).all()) and _close(scores.exp().sum(1), 1.0):
        output = Output.LOG_PROBABILITIES
        message = f"{unseen} Its scores may be log-probabilities. {SAY}"
    else:
        message = f"{classes} logits per image, as their values leave the range of probabilities."
        return Output.LOGITS, (Check("output", "passed", message),)
    return output, (Check("output", "warned", message),)


def as_stated(scores: Float[Tensor, "n k"], output: Output) -> tuple[Output, tuple[Check, ...]]:
    """Take scores for what a person says that they are, and warn where they cannot be."""
    if is_possible(scores, output) or not bool(torch.isfinite(scores).all()):
        return output, (Check("output", "passed", f"{output.capitalize()}, as you said."),)
    message = (
        f"You said {output}, and the scores of test images reach from {scores.min():.3g} to "
        f"{scores.max():.3g} and sum to {scores[0].sum():.3g}, which these do not."
    )
    return output, (Check("output", "warned", message),)


def _of_one(output: Output, classes: int) -> Output:
    """Return what a single output is: a yes or no."""
    single = {
        Output.LOGITS: Output.SIGMOID_LOGITS,
        Output.PROBABILITIES: Output.SIGMOID_PROBABILITIES,
    }
    return single.get(output, output) if classes == 1 else output


def _ceiling(output: Output, classes: int) -> float:
    """Return the largest probability that values in 0..1 can become."""
    if output.independent:
        return 1 / (1 + math.exp(-1))
    return math.e / (math.e + classes - 1)


def _is_squashed_twice(scores: Tensor) -> bool:
    """A softmax of a softmax gives itself away: its log is a probability vector but for a shift."""
    log = scores.double().log()
    inner = log - log.mean(1, keepdim=True) + 1 / scores.shape[1]
    return bool((inner >= -TOLERANCE).all())


def _close(values: Tensor, target: float, tolerance: float = TOLERANCE) -> bool:
    return bool(((values - target).abs() < tolerance).all())
