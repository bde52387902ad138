"""What Inspect computes, against bare passes and peer libraries: ResNet-18 at 224 px."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from copy import deepcopy
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import captum.attr
import onnxruntime
import torch
from pytorch_grad_cam import ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor
from torchvision.models import resnet18

from diagnostics.execution.inspection import InspectionRequest, inspect
from diagnostics.loaders import onnx
from diagnostics.loaders.open import to_device
from diagnostics.methods.attribution.integrated_gradients import integrated_gradients
from diagnostics.methods.attribution.occlusion import occlusion
from diagnostics.methods.attribution.score_cam import score_cam
from diagnostics.methods.attribution.smooth_grad import smooth_grad
from diagnostics.schema.preprocessing import Preprocessing
from tests.networks_for_tests import classifier

STAGES = ("layer1", "layer2", "layer3", "layer4")

Paired = Callable[..., float]
Figure = tuple[str, float, float, str]
TARGET = torch.tensor([3])


def figures(paired: Paired) -> Iterator[Figure]:
    """Yield what was measured, the value, its limit and its unit."""
    yield from inspection(paired)
    yield from peers(paired)
    yield from graphs(paired)


def inspection(paired: Paired) -> Iterator[Figure]:
    """Yield the price of everything Inspect shows of one image."""
    torch.manual_seed(0)
    pixels = torch.rand(1, 3, 224, 224)
    bare = resnet18().eval()
    model = classifier(resnet18(), 224, 3, 1000, Preprocessing())
    cams = [f"attribution/grad_cam?layer={stage}" for stage in STAGES]
    wanted = InspectionRequest(attributions=("attribution/gradient", *cams))

    def forward_and_backward() -> None:
        logits = bare(pixels)
        logits[0, logits.argmax()].backward()

    def everything() -> None:
        inspect(model, pixels, wanted)

    ratio = paired(everything, forward_and_backward)
    yield "Inspect, one image, against one bare forward + backward", ratio, 1.5, "x"


def graphs(paired: Paired) -> Iterator[Figure]:
    """Yield how much slower an ONNX graph runs with torch than with onnxruntime."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "resnet18.onnx"
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            axes = {"images": {0: "n"}}
            torch.onnx.export(
                resnet18().eval(),
                (torch.rand(1, 3, 224, 224),),
                str(path),
                dynamo=False,
                input_names=["images"],
                dynamic_axes=axes,
            )
        network = to_device(onnx.read(path).network)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in (1, 8):
        images = torch.rand(count, 3, 224, 224)

        def ours(images: Tensor = images) -> None:
            with torch.no_grad():
                network(images)

        def theirs(images: Tensor = images) -> None:
            session.run(None, {"images": images.numpy()})

        what = f"ONNX forward pass through torch, {count} at once, against onnxruntime"
        yield what, paired(ours, theirs), 1.5, "x"


def peers(paired: Paired) -> Iterator[Figure]:
    """Yield how much faster our methods are than the peers as they are called by default."""
    torch.manual_seed(0)
    pixels = torch.rand(1, 3, 224, 224)
    bare = resnet18().eval()
    plain = Preprocessing(fit="none", height=224, width=224, mean=(0.0,) * 3, std=(1.0,) * 3)
    model = classifier(deepcopy(bare), 224, 3, 1000, plain)

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
