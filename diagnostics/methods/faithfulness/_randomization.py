"""Copies of a network whose weights say nothing: those of the last layer alone, or all of them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from diagnostics.errors import NotOfferedError
from diagnostics.models.classifier import TorchClassifier

Part: TypeAlias = Literal["head", "all"]

FEW = 8  # values; a row of so few may be a setting, such as the scale of an enlargement
NOISE = 8  # images of noise that the normalisations of a copy see beside the images

NO_HEAD = "Which layer of this network is its last cannot be told."


def randomised(
    classifier: TorchClassifier, part: Part, seed: int, pixels: Tensor
) -> TorchClassifier:
    """Return a copy whose weights are shuffled within each tensor; the model in hand stays.

    Shuffled weights keep their size and spread, so that the copy's values stay in the range for
    which the network was made. BatchNorm of a copy that is random throughout measures its means
    and variances anew.

    Args:
        classifier: The model in hand.
        part: "head" shuffles the last layer alone, "all" every weight.
        seed: Of the shuffles.
        pixels: Images, on which BatchNorm measures.

    Raises:
        NotOfferedError: When the network cannot be copied, has no last layer that is known, or the
            copy gives no finite numbers or the same ones; the text says why.
    """
    try:
        network = deepcopy(classifier.network)
    except Exception as error:  # whatever a network of somebody's own does
        raise NotOfferedError(
            f"This network cannot be copied ({type(error).__name__}), so its weights cannot be "
            "made random."
        ) from None
    copy = TorchClassifier(network, classifier.spec, classifier.preprocessing)
    generator = torch.Generator().manual_seed(seed)
    for weights in _head(copy, pixels) if part == "head" else _all(network):
        _shuffle(weights, generator)
    if part == "all":
        _measure_anew(copy, pixels, generator)
    with torch.no_grad():
        before, after = classifier.logits(pixels), copy.logits(pixels)
    if not bool(after.isfinite().all()):
        raise NotOfferedError("With random weights the network's answers are not finite numbers.")
    if torch.equal(before, after):
        raise NotOfferedError("Random weights change no answer: they lie where they cannot be set.")
    return copy


def _all(network: nn.Module) -> list[Tensor]:
    """Return every weight of a network."""
    held = [*network.parameters(), *network.buffers()]
    return [one for one in held if one.is_floating_point() and _holds_weights(one)]


def _head(copy: TorchClassifier, pixels: Tensor) -> list[Tensor]:
    """Return the weights of the last layer, its own or those it is given."""
    if not copy.spec.head:
        raise NotOfferedError(NO_HEAD)
    module = copy.network.get_submodule(copy.spec.head)
    found: list[Tensor] = list(module.parameters())

    def listen(_module: nn.Module, given: tuple[Any, ...]) -> None:
        values = given[0] if isinstance(given[0], list | tuple) else given
        found.extend(one for one in values if isinstance(one, nn.Parameter))

    hook = module.register_forward_pre_hook(listen)
    try:
        with torch.no_grad():
            copy.logits(pixels[:1])
    finally:
        hook.remove()
    weights = [one for one in found if _holds_weights(one)]
    if not weights:
        raise NotOfferedError(NO_HEAD)
    return weights


def _holds_weights(values: Tensor) -> bool:
    return values.numel() > 1 and (values.ndim > 1 or values.numel() > FEW)


@torch.no_grad()
def _shuffle(values: Tensor, generator: torch.Generator) -> None:
    order = torch.randperm(values.numel(), generator=generator).to(values.device)
    values.copy_(values.flatten()[order].reshape(values.shape))


@torch.no_grad()
def _measure_anew(copy: TorchClassifier, pixels: Tensor, generator: torch.Generator) -> None:
    """Let every BatchNorm take mean and variance of what it receives now."""
    norms = [
        module
        for module in copy.network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    if not norms:
        return
    noise = torch.rand(NOISE, *pixels.shape[1:], generator=generator, dtype=pixels.dtype)
    before = [(norm.momentum, norm.training) for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    copy.logits(torch.cat([pixels, noise.to(pixels.device)]))
    for norm, (momentum, training) in zip(norms, before, strict=True):
        norm.momentum = momentum
        norm.train(training)
