"""What Inspect computes and how graphs run, against bare passes: ResNet-18 at 224 px."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime
import torch
from torch import Tensor
from torchvision.models import resnet18

from diagnostics.execution.inspection import InspectionRequest, inspect
from diagnostics.loaders import onnx
from diagnostics.loaders.open import to_device
from diagnostics.schema.preprocessing import Preprocessing
from tests.networks_for_tests import classifier

STAGES = ("layer1", "layer2", "layer3", "layer4")

Paired = Callable[..., float]
Figure = tuple[str, float, float, str]


def figures(paired: Paired) -> Iterator[Figure]:
    """Yield what was measured, the value, its limit and its unit."""
    yield from inspection(paired)
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
