"""RISE and occlusion against their peers, on the same model and image: ResNet-18 at 224 px.

RISE's peer is the method as its paper writes it, one mask after the other, in `slow_rise`: captum
and pytorch-grad-cam have no RISE. Occlusion's peer is captum's, called as by default. Values are
held equal before anything is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy

import captum.attr
import torch
from torch import Tensor
from torchvision.models import resnet18

from diagnostics.methods.attribution.occlusion import occlusion
from diagnostics.methods.attribution.rise import rise
from diagnostics.schema.preprocessing import Preprocessing
from tests.independent.slow_rise import slow_rise
from tests.networks_for_tests import classifier

Paired = Callable[..., float]
Figure = tuple[str, float, float, str]

TARGET = torch.tensor([3])
MASKS, CELLS, KEEP = 128, 7, 0.5
WINDOW, STRIDE = 32, 16
CLOSE = 1e-3  # logits


class _Bare:
    """A network as anybody calls it."""

    def __init__(self, network: torch.nn.Module) -> None:
        self._network = network

    @torch.no_grad()
    def logits(self, pixels: Tensor) -> Tensor:
        found: Tensor = self._network(pixels)
        return found


def figures(paired: Paired) -> Iterator[Figure]:
    """Yield what was measured, the value, its limit and its unit."""
    torch.manual_seed(0)
    pixels = torch.rand(1, 3, 224, 224)
    bare = resnet18().eval()
    plain = Preprocessing(fit="none", height=224, width=224, mean=(0.0,) * 3, std=(1.0,) * 3)
    model = classifier(deepcopy(bare), 224, 3, 1000, plain)
    covering = captum.attr.Occlusion(bare)
    windows = {"sliding_window_shapes": (3, WINDOW, WINDOW), "strides": (3, STRIDE, STRIDE)}
    pairs = {
        f"RISE, {MASKS} masks, against one mask after the other": (
            lambda: rise(model, pixels, TARGET, masks=MASKS, cells=CELLS, keep=KEEP).values,
            lambda: slow_rise(
                _Bare(bare), pixels, TARGET, masks=MASKS, cells=CELLS, keep=KEEP, value=0.0
            ),
        ),
        f"occlusion, {WINDOW} px every {STRIDE} px, against captum at equal values": (
            lambda: (
                occlusion(model, pixels, TARGET, window=WINDOW, stride=STRIDE, fill="black").values
            ),
            lambda: covering.attribute(pixels, target=TARGET, **windows)[:, 0],
        ),
    }
    for what, (ours, other) in pairs.items():
        if not torch.allclose(ours(), other(), atol=CLOSE):
            raise ValueError(f"{what}: the values differ.")
        yield what, 1 / paired(ours, other, rounds=3), 2.0, "x faster"
