"""Write a guard as one .zip: weights, settings, a small module, and whole guarded models."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from diagnostics.methods.context import Context
from diagnostics.methods.guard._splits import Splits
from diagnostics.models import guard as guard_module
from diagnostics.models.guard import NONE, TOLERANCE, Guard
from diagnostics.models.guarded import GuardedNetwork
from diagnostics.models.onnx import export_onnx
from diagnostics.models.standalone import standalone_source
from diagnostics.schema import recipe
from diagnostics.schema.results.guard import GainsAndCosts
from diagnostics.schema.spec import LayerInfo, Output

TEST_IMAGES, RANDOM_IMAGES = 8, 3
FORMULA = "What this guard compares with its threshold, word for word as Oversure computes it."
MAX_MESSAGE = 160  # characters of an exporter's error


def export(
    context: Context,
    guard: Guard,
    layers: Sequence[LayerInfo],
    splits: Splits,
    gains: GainsAndCosts,
) -> tuple[bytes, list[str]]:
    """Return the .zip, and a sentence for each form of the whole model that could not be written.

    Args:
        context: Gives the classifier.
        guard: The guard, calibrated.
        layers: Layers whose statistics it reads.
        splits: Gives images for the self-test.
        gains: Its gains and costs.
    """
    network = GuardedNetwork(context.classifier, guard, layers).eval()
    pixels = _random_pixels(context)
    with torch.no_grad():
        logits = network(pixels)
        test = splits.test.select(slice(0, TEST_IMAGES)).outputs
        tensors = guard.tensors() | {
            "test.logits": test.logits,
            "test.features": test.features,
            "test.layers": test.layers,
            "test.answers": guard(*test),
            "test.pixels": pixels,
            "test.whole_answers": logits,
        }
    weights = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    source = standalone_source(guard.formula, FORMULA)
    stream, problems = io.BytesIO(), []
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("guard.safetensors", save(weights))
        archive.writestr("guard.toml", _settings(context, guard, layers, gains))
        archive.writestr("guard.py", Path(guard_module.__file__).read_text("utf-8"))
        archive.writestr("formula.py", source)
        archive.writestr("recipe.toml", _recipe(context))
        archive.writestr("gains-and-costs.json", json.dumps(gains, indent=2) + "\n")
        for name, write in (("guarded.pt2", _pt2), ("guarded.onnx", _onnx)):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    archive.writestr(name, write(network, pixels, logits))
            except Exception as error:  # exporters raise whatever they like
                first = str(error).strip().partition("\n")[0][:MAX_MESSAGE]
                problems.append(f"{name} could not be written: {first or type(error).__name__}.")
    return stream.getvalue(), problems


def _random_pixels(context: Context) -> Tensor:
    spec = context.classifier.spec
    generator = torch.Generator().manual_seed(context.seed)
    shape = (RANDOM_IMAGES, spec.channels, spec.height, spec.width)
    return torch.rand(shape, generator=generator).to(context.classifier.device)


def _settings(
    context: Context, guard: Guard, layers: Sequence[LayerInfo], gains: GainsAndCosts
) -> str:
    spec = context.classifier.spec
    about = {
        "kind": gains["guard"],
        "score": gains["score"],
        "formula": guard.formula.__name__,
        "layers": [layer.name for layer in layers],
        "last_layer": spec.head,
        "classes": [*spec.class_names, NONE],
        "alpha": gains["alpha"],
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
    unscaled = replace(
        settings, mean=(0.0,) * channels, std=(1.0,) * channels, value_range=1, bgr=False
    )
    output = Output.SIGMOID_LOGITS if spec.output.independent else Output.LOGITS
    return recipe.dumps(recipe.Recipe("", "", "", output, (*spec.class_names, NONE), unscaled))


def _pt2(network: nn.Module, pixels: Tensor, logits: Tensor) -> bytes:
    batch = torch.export.Dim("n", min=1, max=4096)
    program = torch.export.export(network, (pixels,), dynamic_shapes=({0: batch},), strict=False)
    _require_same(program.module()(pixels), logits)
    stream = io.BytesIO()
    torch.export.save(program, stream)
    return stream.getvalue()


def _onnx(network: nn.Module, pixels: Tensor, _logits: Tensor) -> bytes:
    return export_onnx(network, pixels, "pixels")


def _require_same(logits: Tensor, expected: Tensor) -> None:
    difference = float((logits.softmax(1) - expected.softmax(1)).abs().max())
    if not difference <= TOLERANCE:
        raise ValueError(f"its answers differ by {difference:.1e}")
