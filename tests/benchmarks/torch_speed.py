"""What Inspect computes, against one bare forward and backward pass of ResNet-18 at 224 px."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torchvision.models import resnet18

from diagnostics.findings import Wanted
from diagnostics.inspection import inspect
from diagnostics.preprocessing import Preprocessing
from tests.networks_for_tests import classifier

STAGES = ("layer1", "layer2", "layer3", "layer4")

Paired = Callable[[Callable[[], object], Callable[[], object]], float]


def figures(paired: Paired) -> Iterator[tuple[str, float, float, str]]:
    """Yield what was measured, the value, its limit and its unit."""
    torch.manual_seed(0)
    pixels = torch.rand(1, 3, 224, 224)
    bare = resnet18().eval()
    model = classifier(resnet18(), 224, 3, 1000, Preprocessing())
    cams = [f"attribution/grad_cam?layer={stage}" for stage in STAGES]
    wanted = Wanted(attributions=("attribution/gradient", *cams))

    def forward_and_backward() -> None:
        logits = bare(pixels)
        logits[0, logits.argmax()].backward()

    def everything() -> None:
        inspect(model, pixels, wanted)

    ratio = paired(everything, forward_and_backward)
    yield "Inspect, one image, against one bare forward + backward", ratio, 1.5, "x"
