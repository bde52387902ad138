"""What a search for sufficient pixels costs beside the bare passes that it needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torchvision.models import resnet18

from diagnostics.methods.sufficient_pixels._backward_selection import BatchedGradientSearch
from diagnostics.methods.sufficient_pixels._infill import make_infill
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.sufficient_pixels import default_step
from tests.networks_for_tests import classifier

SIDE, IMAGES, ROUNDS = 224, 8, 5
STEPS = 101  # of the preview; the fully masked image is one pass forward more
BATCHES = (2, 4, 8)


def figures() -> Iterator[tuple[str, float, float, str]]:
    """Yield what is measured, the value, its limit and its unit."""
    title = f"preview of sufficient pixels, {STEPS} steps on ResNet-18 at {SIDE} px, beside bare "
    yield f"{title}forward + backward passes at the best batch size", _ratio(), 1.15, "x"


def _ratio() -> float:
    """Return the time of a step of the preview, over that of a bare pass of as many images.

    All steps cost alike, whatever is hidden already, so a few of them stand for all.
    """
    torch.manual_seed(0)
    model = classifier(resnet18(), SIDE, 3, 1000, Preprocessing())
    pixels = torch.rand(IMAGES, 3, SIDE, SIDE)
    fill = make_infill("dataset_mean", model, pixels, 0)
    search = BatchedGradientSearch(model, fill, torch.arange(IMAGES), default_step(SIDE * SIDE))
    search.advance()
    bare, steps = [], []
    for _ in range(ROUNDS):  # in turn: what else the machine does then slows both
        bare += [_seconds(lambda n=size: _bare(model.network, pixels, n)) for size in BATCHES]
        steps += [_seconds(search.advance) for _ in BATCHES]
    return min(steps) / min(bare)


def _bare(network: torch.nn.Module, pixels: torch.Tensor, size: int) -> None:
    """Pass images forward and back, to the pixels, so many at once."""
    for part in torch.split(pixels, size):
        inputs = part.detach().requires_grad_()
        torch.autograd.grad(network(inputs)[:, 3].sum(), inputs)


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
