"""One network in every format says the same; what each format offers is a table.

`python -m tests.loaders.test_same_everywhere` writes the table.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import nn

from diagnostics.data import samples
from diagnostics.execution.executor import Executor
from diagnostics.loaders.open import Model, open_live, open_model
from diagnostics.models.layers import capture
from diagnostics.models.sample_networks import LettersConv
from diagnostics.schema.request import Factory, ModelSource, Request
from diagnostics.schema.spec import Need
from tests.loaders import written

pytest.importorskip("keras")
pytest.importorskip("onnxruntime")
pytest.importorskip("transformers")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
BEGIN, END = "<!-- formats:begin -->\n", "<!-- formats:end -->"
LETTERS = samples.model_files()["letters_conv"]
IMAGES = tuple(samples.image_files()[name] for name in samples.FIRST_IMAGES[:3])
LAYERS = ("conv1", "relu2", "pool3", "fc1")
LIVE, FACTORY = "your own network, live", "your own class and its weights"
FORMATS = {
    **{name: (name, written.WRITERS[name]) for name in ("safetensors", "state_dict", "ONNX")},
    "Keras": ("Keras", written.keras_letters),
    **{name: (name, written.WRITERS[name]) for name in ("pt2", "TorchScript", "whole module")},
    "Hugging Face": ("Hugging Face", written.hugging_face),
    "ONNX that only onnxruntime computes": ("ONNX", written.onnx_of_others),
    "pt2 for two images at a time": ("pt2", written.pt2_of_two),
    "TorchScript that branches": ("TorchScript", written.branching),
    FACTORY: ("state_dict", written.state_dict),
    LIVE: ("", None),
}
MAPS = ("attribution/gradient", "attribution/occlusion")
OF_TOKENS = {
    "attribution/gradient": {Need.GRADIENTS},
    "attribution/attention_rollout": {Need.GRADIENTS, Need.ATTENTION},
    "attribution/occlusion?window=64&stride=32": set(),
}
WITHOUT_GRADIENTS = "ONNX that only onnxruntime computes"
WITHOUT_LAYERS = ("pt2 for two images at a time", "TorchScript that branches")
LAYERED_FORMATS = [one for one in FORMATS if one not in (*WITHOUT_LAYERS, WITHOUT_GRADIENTS)]
OF_LETTERS = [name for name in FORMATS if name != "Hugging Face"]
OF_VIT = [name for name in FORMATS if name != "Keras"]


# Networks of their own, where our two cannot be written in a format.
ELSEWHERE = {("Keras", "vit"): written.keras_vit, ("Hugging Face", "letters"): written.grey_timm}


@cache
def letters() -> nn.Module:
    network = LettersConv()
    network.load_state_dict(load_file(LETTERS.path))
    return network.eval().requires_grad_(False)


@cache
def vit() -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = timm.create_model("test_vit", num_classes=7)
    return network.eval().requires_grad_(False)


def build() -> nn.Module:
    """What somebody's own module would hold."""
    return LettersConv()


def build_vit() -> nn.Module:
    return timm.create_model("test_vit", num_classes=7)


@cache
def folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="formats-"))


@cache
def opened(name: str, network: str) -> tuple[ModelSource, Model]:
    """Open the letters network, or the transformer, in a format."""
    if (name, network) in ELSEWHERE:
        path = ELSEWHERE[name, network](folder() / f"{network}-of-{name.split()[0]}")
        source = ModelSource(replace(LETTERS, path=str(path), sha256=path.name, name=path.name))
        return source, open_model(source, ())
    network_itself, shape = (
        (letters(), (1, 28, 28)) if network == "letters" else (vit(), (3, 160, 160))
    )
    path = folder() / f"{network}-{name.replace(' ', '-').replace(',', '')}"
    if name == LIVE:
        source = ModelSource(replace(LETTERS, sha256=network, name=network))
        return source, open_live(source, copy.deepcopy(network_itself), None)
    path = FORMATS[name][1](network_itself, shape, path)
    built = "build" if network == "letters" else "build_vit"
    factory = Factory(f"{__name__}:{built}", str(Path.cwd())) if name == FACTORY else None
    file = replace(LETTERS, path=str(path), sha256=path.name, name=path.name)
    source = ModelSource(file, factory=factory, programs=True)
    return source, open_model(source, ())


@cache
def of_weights(network: str, *methods: str) -> Any:
    """Return what Inspect answers for the network's weights alone, which the others must say."""
    return answered("safetensors", "inspect", network, attributions=methods)


def answered(name: str, method: str, network: str = "letters", **options: Any) -> Any:
    source, model = opened(name, network)
    executor = Executor(lambda target, images: model)
    settings = model.spec.preprocessing
    if (name, network) not in ELSEWHERE:
        settings = opened("safetensors", network)[1].spec.preprocessing
    return executor.execute(Request(method, source, IMAGES, settings, options=options))


def same(one: Any, other: Any, tolerance: float = 1e-4) -> bool:
    return bool(np.abs(one - other).max() <= tolerance * max(np.abs(other).max(), 1e-12))


@pytest.mark.parametrize("name", OF_LETTERS)
def test_logits_and_saliency_are_the_same_in_every_format(name):
    methods = [one for one in MAPS if name != WITHOUT_GRADIENTS or "gradient" not in one]
    expected = of_weights("letters", *methods)
    found = answered(name, "inspect", attributions=methods)
    for row, (one, other) in enumerate(
        zip(found.scores["images"], expected.scores["images"], strict=True)
    ):
        for ours, theirs in zip(one["top"], other["top"], strict=True):
            assert ours["index"] == theirs["index"]
            assert abs(ours["logit"] - theirs["logit"]) <= 1e-4 * abs(other["top"][0]["logit"])
        for place in range(len(methods)):
            key = f"{row}/attribution/{place}"
            assert same(found.arrays[key], expected.arrays[key], 1e-3)


@pytest.mark.parametrize("name", [one for one in OF_LETTERS if one in LAYERED_FORMATS])
def test_activations_are_the_same_in_every_format(name):
    network, ours = opened(name, "letters")[1].network, letters()
    images = torch.rand(2, 1, 28, 28)
    with torch.no_grad(), capture(ours) as expected:
        ours(images)
    with torch.no_grad(), capture(network) as found:
        network(images)
    by_shape = [one for one in found.values()]
    for layer in LAYERS:
        target = expected[layer]
        alike = [
            one
            for one in (*by_shape, *(one.permute(0, 3, 1, 2) for one in by_shape if one.ndim == 4))
            if one.shape == target.shape
        ]
        assert any(torch.allclose(one, target, atol=1e-4) for one in alike), layer


@pytest.mark.parametrize("name", OF_VIT)
def test_a_transformer_says_the_same_in_every_format(name):
    offered = opened(name, "vit")[1].spec.offers
    methods = [
        one for one, needs in OF_TOKENS.items() if needs <= offered or name in LAYERED_FORMATS
    ]
    expected = of_weights("vit", *methods)
    found = answered(name, "inspect", "vit", attributions=methods)
    for row in range(len(IMAGES)):
        for place in range(len(methods)):
            key = f"{row}/attribution/{place}"
            assert same(found.arrays[key], expected.arrays[key], 1e-3)
        assert same(
            np.array([one["logit"] for one in found.scores["images"][row]["top"]]),
            np.array([one["logit"] for one in expected.scores["images"][row]["top"]]),
        )


def _works(name: str, method: str, network: str, **options: Any) -> bool:
    try:
        result = answered(name, method, network, **options)
    except Exception:  # whatever it is, it is not offered
        return False
    return not any(image["error"] for image in result.scores["images"])


def _features(name: str) -> dict[str, bool]:
    """Try everything that a format may offer."""
    network = "letters"
    spec = opened(name, network)[1].spec
    modules = {layer.name for layer in spec.layers if layer.shape}
    cam = next((one.name for one in spec.layers if len(one.shape) == 3), "")
    cam = cam or next((one.name for one in spec.layers if len(one.shape) == 2), "")
    batches = opened(name, network)[1].network
    images = torch.rand(5, spec.channels, spec.height, spec.width)
    return {
        "top-k": _works(name, "inspect", network),
        "every layer": len(modules) >= 10,
        "attention": Need.ATTENTION in opened(name, "vit")[1].spec.offers,
        "gradients": _works(name, "attribution/gradient", network),
        "Grad-CAM": _works(name, "attribution/grad_cam", network, layer=cam),
        "perturbation": _works(name, "attribution/occlusion", network),
        "ViT": _works(name, "inspect", "vit"),
        "one channel": spec.channels == 1,
        "any number of images": len(_scores(batches(images))) == 5,
    }


def _scores(raw: Any) -> Any:
    return raw if isinstance(raw, torch.Tensor) else raw.logits


def table() -> str:
    """Return the table of docs/formats.md."""
    rows: list[str] = []
    for name in FORMATS:
        features = _features(name)
        if not rows:
            rows = [f"| | {' | '.join(features)} |", "|" + " --- |" * (len(features) + 1)]
        marks = " | ".join("yes" if one else "no" for one in features.values())
        rows.append(f"| {name} | {marks} |")
    return "\n".join(rows) + "\n"


def test_the_table_of_formats_in_the_readme_is_what_was_tried():
    text = DOCUMENT.read_text("utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == table()


if __name__ == "__main__":
    before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
    DOCUMENT.write_text(before + BEGIN + table() + END + rest.partition(END)[2], "utf-8")
    sys.exit()
