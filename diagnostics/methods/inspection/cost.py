"""How long does one pass take?"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method
from diagnostics.models.features import batch_size
from diagnostics.schema.results.inspection import CostAnswer
from diagnostics.schema.spec import Need

ROUNDS = 2  # the first pass of a network is slower than the later ones


@method("Cost", source="Measured on this machine, with this model")
def cost(context: Context) -> Outcome[CostAnswer]:
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

    def forward_and_backward() -> Tensor:
        leaf = pixels.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(classifier.logits(leaf).sum(), leaf)
        return gradient

    context.progress("Timing a pass", 0.1)
    with torch.no_grad():
        forward_seconds = _seconds(forward) / count
    backward_seconds = None
    if Need.GRADIENTS in spec.offers:
        backward_seconds = _seconds(forward_and_backward) / count
    return Outcome(
        CostAnswer(
            forward_seconds=forward_seconds,
            backward_seconds=backward_seconds,
            images=count,
            complete=True,
        )
    )


def _seconds(run: Callable[[], Tensor]) -> float:
    """Return the time of the quickest of a few passes."""
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        run().sum().item()  # waits for a GPU
        seconds.append(time.perf_counter() - started)
    return min(seconds)
