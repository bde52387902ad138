"""Copies of a network with random weights: of the last layer, of the later half, or all of them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from diagnostics.errors import NotOfferedError
from diagnostics.models.classifier import TorchClassifier

Part: TypeAlias = Literal["head", "upper", "all"]

MAX_SETTINGS = 8  # values; a row of so few may be settings, such as the scale of an enlargement
NOISE = 8  # images of noise on which the normalisations of a copy measure, beside the images

NO_HEAD = "Which layer of this network is its last cannot be told."


def randomized(
    classifier: TorchClassifier, part: Part, seed: int, pixels: Tensor
) -> TorchClassifier:
    """Return a copy whose weights are shuffled within each tensor; the classifier stays.

    Shuffled weights keep their size and spread, so that the copy's values stay in the range for
    which the network was made. BatchNorm of a copy of which more than the last layer is random
    measures its means and variances anew.

    Args:
        classifier: The classifier copied.
        part: "head" shuffles the last layer alone, "upper" the later half of the tensors too, "all"
            every weight.
        seed: Of the shuffles.
        pixels: Images, on which BatchNorm measures.

    Raises:
        NotOfferedError: When the network cannot be copied, has no last layer that is known, or the
            copy gives no finite numbers or the same ones; the text says why.
    """
    copy = copied(classifier)
    generator = torch.Generator().manual_seed(seed)
    for weights in _weights(copy, part, pixels):
        shuffle(weights, generator)
    if part != "head":
        _reset_batchnorm(copy, pixels, generator)
    with torch.no_grad():
        before, after = classifier.logits(pixels), copy.logits(pixels)
    if not bool(after.isfinite().all()):
        raise NotOfferedError("With random weights the network's answers are not finite numbers.")
    if torch.equal(before, after):
        raise NotOfferedError("Random weights change no answer: they lie where they cannot be set.")
    return copy


def copied(classifier: TorchClassifier) -> TorchClassifier:
    """Return a classifier of the same kind that shares no weights.

    Raises:
        NotOfferedError: When the network cannot be copied.
    """
    try:
        network = deepcopy(classifier.network)
    except Exception as error:  # whatever a network of somebody's own does
        raise NotOfferedError(
            f"This network cannot be copied ({type(error).__name__}), so its weights cannot be "
            "made random."
        ) from None
    return TorchClassifier(network, classifier.spec, classifier.preprocessing)


def _weights(copy: TorchClassifier, part: Part, pixels: Tensor) -> list[Tensor]:
    """Return the weights of a part of a network."""
    if part == "head":
        return head_weights(copy, pixels)
    tensors = [*copy.network.parameters(), *copy.network.buffers()]
    weights = [tensor for tensor in tensors if tensor.is_floating_point() and _is_weight(tensor)]
    if part == "all":
        return weights
    head = head_weights(copy, pixels)
    rest = [tensor for tensor in weights if not any(tensor is other for other in head)]
    return [*rest[len(rest) // 2 :], *head]


def head_weights(copy: TorchClassifier, pixels: Tensor) -> list[Tensor]:
    """Return the weights of the last layer, its parameters or those among its inputs."""
    if not copy.spec.head:
        raise NotOfferedError(NO_HEAD)
    module = copy.network.get_submodule(copy.spec.head)
    parameters: list[Tensor] = list(module.parameters())

    def collect(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        values = inputs[0] if isinstance(inputs[0], list | tuple) else inputs
        parameters.extend(value for value in values if isinstance(value, nn.Parameter))

    hook = module.register_forward_pre_hook(collect)
    try:
        with torch.no_grad():
            copy.logits(pixels[:1])
    finally:
        hook.remove()
    weights = [parameter for parameter in parameters if _is_weight(parameter)]
    if not weights:
        raise NotOfferedError(NO_HEAD)
    return weights


def _is_weight(values: Tensor) -> bool:
    return values.numel() > 1 and (values.ndim > 1 or values.numel() > MAX_SETTINGS)


@torch.no_grad()
def shuffle(values: Tensor, generator: torch.Generator) -> None:
    """Put a tensor's values into a random order, in place."""
    order = torch.randperm(values.numel(), generator=generator).to(values.device)
    values.copy_(values.flatten()[order].reshape(values.shape))


@torch.no_grad()
def _reset_batchnorm(copy: TorchClassifier, pixels: Tensor, generator: torch.Generator) -> None:
    """Let every BatchNorm take mean and variance of what it receives now."""
    norms = [
        module
        for module in copy.network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    if not norms:
        return
    noise = torch.rand(NOISE, *pixels.shape[1:], generator=generator, dtype=pixels.dtype)
    settings = [(norm.momentum, norm.training) for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    copy.logits(torch.cat([pixels, noise.to(pixels.device)]))
    for norm, (momentum, training) in zip(norms, settings, strict=True):
        norm.momentum = momentum
        norm.train(training)
