"""How long does one pass take?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method
from diagnostics.models.features import batch_size
from diagnostics.schema.spec import Need

ROUNDS = 2  # the first pass of a network is slower than the later ones


@method("Cost", source="Measured on this machine, with this model")
def cost(context: Context) -> Outcome[Any]:
    """How long this model takes for one image, forward alone and forward and back.

    Args:
        context: Gives the classifier.

    Returns:
        "forward_seconds" and "backward_seconds", the latter forward and back, for one image out of
        "images" that go through together; None where the model offers no gradients.
    """
    classifier, spec = context.classifier, context.classifier.spec
    count = batch_size(classifier)
    generator = torch.Generator().manual_seed(context.seed)
    shape = (count, spec.channels, spec.height, spec.width)
    pixels = torch.rand(shape, generator=generator).to(classifier.device)

    def forward() -> Tensor:
        return classifier.logits(pixels)

    def backward() -> Tensor:
        given = pixels.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(classifier.logits(given).sum(), given)
        return gradient

    context.progress("Timing a pass", 0.1)
    with torch.no_grad():
        alone = _seconds(forward)
    both = _seconds(backward) if Need.GRADIENTS in spec.offers else None
    return Outcome(
        {
            "forward_seconds": alone / count,
            "backward_seconds": None if both is None else both / count,
            "images": count,
            "complete": True,
        }
    )


def _seconds(run: Callable[[], Tensor]) -> float:
    """Return the time of the quickest of a few passes."""
    found = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        run().sum().item()  # waits for a GPU
        found.append(time.perf_counter() - started)
    return min(found)
