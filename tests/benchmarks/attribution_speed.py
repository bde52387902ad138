"""Attributions against their peers, on the same model and image: ResNet-18 at 224 px.

Where both compute the same, values are held equal before anything is measured. RISE's peer is the
method as its paper writes it, one mask after the other, in `slow_rise`: captum and
pytorch-grad-cam have no RISE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from copy import deepcopy
from io import StringIO

import captum.attr
import torch
from pytorch_grad_cam import ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor
from torchvision.models import resnet18

from diagnostics.methods.attribution.integrated_gradients import integrated_gradients
from diagnostics.methods.attribution.occlusion import occlusion
from diagnostics.methods.attribution.rise import rise
from diagnostics.methods.attribution.score_cam import score_cam
from diagnostics.methods.attribution.smooth_grad import smooth_grad
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.preprocessing import Preprocessing
from tests.independent.slow_rise import slow_rise
from tests.networks_for_tests import classifier

Paired = Callable[..., float]
Figure = tuple[str, float, float, str]

TARGET = torch.tensor([3])
MASKS, CELLS, KEEP = 128, 7, 0.5
WINDOW, STRIDE = 32, 16
TOLERANCE = 1e-3  # logits


class _Bare:
    """A network as anybody calls it."""

    def __init__(self, network: torch.nn.Module) -> None:
        self._network = network

    @torch.no_grad()
    def logits(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self._network(pixels)
        return logits


def figures(paired: Paired) -> Iterator[Figure]:
    """Yield what was measured, the value, its limit and its unit."""
    torch.manual_seed(0)
    pixels = torch.rand(1, 3, 224, 224)
    bare = resnet18().eval()
    plain = Preprocessing(fit="none", height=224, width=224, mean=(0.0,) * 3, std=(1.0,) * 3)
    model = classifier(deepcopy(bare), 224, 3, 1000, plain)
    yield from defaults(paired, model, bare, pixels)
    yield from equal_values(paired, model, bare, pixels)


def defaults(
    paired: Paired, model: TorchClassifier, bare: torch.nn.Module, pixels: Tensor
) -> Iterator[Figure]:
    """Yield how much faster our methods are than the peers as they are called by default."""

    def score_cam_of_peer() -> None:
        with redirect_stderr(StringIO()), ScoreCAM(bare, [bare.layer4]) as cam:
            cam(pixels, [ClassifierOutputTarget(3)])

    saliency = captum.attr.NoiseTunnel(captum.attr.Saliency(bare))
    pairs = {
        "integrated gradients, 50 steps, against captum": (
            3.0,
            lambda: integrated_gradients(model, pixels, TARGET),
            lambda: captum.attr.IntegratedGradients(bare).attribute(pixels, target=TARGET),
        ),
        "occlusion, 32 px every 16 px, against captum": (
            1.8,
            lambda: occlusion(model, pixels, TARGET, fill="black"),
            lambda: captum.attr.Occlusion(bare).attribute(
                pixels, (3, 32, 32), (3, 16, 16), target=TARGET
            ),
        ),
        "SmoothGrad, 25 samples, against captum": (
            1.3,
            lambda: smooth_grad(model, pixels, TARGET),
            lambda: saliency.attribute(pixels, nt_samples=25, stdevs=0.15, target=TARGET),
        ),
        "Score-CAM, 512 maps, against pytorch-grad-cam": (
            1.8,
            lambda: score_cam(model, pixels, TARGET, layer="layer4"),
            score_cam_of_peer,
        ),
    }
    for what, (limit, ours, other) in pairs.items():
        yield what, 1 / paired(ours, other, rounds=3), limit, "x faster"


def equal_values(
    paired: Paired, model: TorchClassifier, bare: torch.nn.Module, pixels: Tensor
) -> Iterator[Figure]:
    """Yield how much faster RISE and occlusion are than peers that compute the same.

    Raises:
        ValueError: When the values differ.
    """
    peer = captum.attr.Occlusion(bare)
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
            lambda: peer.attribute(pixels, target=TARGET, **windows)[:, 0],
        ),
    }
    for what, (ours, other) in pairs.items():
        if not torch.allclose(ours(), other(), atol=TOLERANCE):
            raise ValueError(f"{what}: the values differ.")
        yield what, 1 / paired(ours, other, rounds=3), 2.0, "x faster"
