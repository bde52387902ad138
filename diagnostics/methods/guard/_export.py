"""Write a guard as one .zip: weights, settings, a small module, and whole guarded models."""

from __future__ import annotations

import io
import json
import tempfile
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from diagnostics.methods.context import Context
from diagnostics.methods.guard._fitting import Material
from diagnostics.models import guard as guard_module
from diagnostics.models.guard import NONE, TOLERANCE, Guard
from diagnostics.models.guarded import Guarded
from diagnostics.schema import recipe
from diagnostics.schema.spec import LayerInfo, Output

TESTED = 8
OPSET = 17


def shipped(
    context: Context,
    guard: Guard,
    layers: Sequence[LayerInfo],
    material: Material,
    said: dict[str, Any],
) -> tuple[bytes, list[str]]:
    """Return the .zip, and a sentence for each form of the whole model that could not be written.

    Args:
        context: Gives the classifier.
        guard: The guard.
        layers: Layers whose statistics it reads.
        material: Gives images for the self-test.
        said: Its gains and costs.
    """
    classifier = context.classifier
    whole = Guarded(classifier, guard, layers).eval()
    pixels = _test_pixels(context)
    with torch.no_grad():
        answers = whole(pixels)
    held = material.held.of(slice(0, TESTED))
    tested: dict[str, Tensor] = {
        "test.logits": held.logits,
        "test.features": held.features,
        "test.layers": held.layers,
        "test.answers": guard(held.logits, held.features, held.layers).detach(),
        "test.pixels": pixels.cpu(),
        "test.whole_answers": answers.cpu(),
    }
    own = {name: guard.get_buffer(name) for name in guard.names}
    tensors = {name: one.detach().cpu().contiguous() for name, one in (own | tested).items()}
    stream, problems = io.BytesIO(), []
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("guard.safetensors", save(tensors))
        archive.writestr("guard.toml", _settings(context, guard, layers, said))
        archive.writestr("guard.py", Path(guard_module.__file__).read_text("utf-8"))
        archive.writestr("recipe.toml", _recipe(context))
        archive.writestr("gains-and-costs.json", json.dumps(said, indent=2) + "\n")
        for name, write in (("guarded.pt2", _pt2), ("guarded.onnx", _onnx)):
            try:
                archive.writestr(name, write(whole, pixels, answers))
            except Exception as error:  # exporters raise whatever they like
                first = str(error).strip().partition("\n")[0][:160]
                problems.append(f"{name} could not be written: {first or type(error).__name__}.")
    return stream.getvalue(), problems


def _test_pixels(context: Context) -> Tensor:
    spec = context.classifier.spec
    generator = torch.Generator().manual_seed(context.seed)
    shape = (3, spec.channels, spec.height, spec.width)
    return torch.rand(shape, generator=generator).to(context.classifier.device)


def _settings(
    context: Context, guard: Guard, layers: Sequence[LayerInfo], said: dict[str, Any]
) -> str:
    spec = context.classifier.spec
    about = {
        "kind": guard.kind,
        "score": guard.score,
        "layers": [layer.name for layer in layers],
        "last_layer": spec.head,
        "classes": [*spec.class_names, NONE],
        "alpha": said["alpha"],
        "model": spec.name,
        "model_sha256": spec.sha256,
        "self_test": f"python guard.py: answers within {TOLERANCE:g} of those noted at export",
    }
    lines = ["# A guard of Oversure.", "", "[guard]"]
    lines += [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in about.items()]
    lines += ["", "[preprocessing]  # of the bare model; guarded.pt2 and guarded.onnx scale inside"]
    for name, value in asdict(context.preprocessing).items():
        if value is not None:
            lines.append(f"{name} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def _recipe(context: Context) -> str:
    """Return the recipe of the whole guarded models, whose scaling is inside them."""
    spec, settings = context.classifier.spec, context.preprocessing
    channels = len(settings.mean)
    inside = replace(
        settings, mean=(0.0,) * channels, std=(1.0,) * channels, value_range=1, bgr=False
    )
    kind = Output.SIGMOID_LOGITS if spec.output.independent else Output.LOGITS
    made = recipe.Recipe("", "", "", kind, (*spec.class_names, NONE), inside)
    return recipe.dumps(made)


def _pt2(whole: nn.Module, pixels: Tensor, answers: Tensor) -> bytes:
    batch = torch.export.Dim("n", min=1, max=4096)
    program = torch.export.export(whole, (pixels,), dynamic_shapes=({0: batch},), strict=False)
    again = program.module()(pixels)
    _demand_same(again, answers)
    stream = io.BytesIO()
    torch.export.save(program, stream)
    return stream.getvalue()


def _onnx(whole: nn.Module, pixels: Tensor, answers: Tensor) -> bytes:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "guarded.onnx"
        torch.onnx.export(
            whole,
            (pixels,),
            str(path),
            dynamo=False,
            input_names=["pixels"],
            output_names=["logits"],
            dynamic_axes={"pixels": {0: "n"}, "logits": {0: "n"}},
            opset_version=OPSET,
        )
        return path.read_bytes()


def _demand_same(found: Tensor, answers: Tensor) -> None:
    off = float((found.softmax(1) - answers.softmax(1)).abs().max())
    if not off <= TOLERANCE:
        raise ValueError(f"its answers differ by {off:.1e}")
