"""What another engine than torch computes is what torch computes, or it is not taken."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision import models

from diagnostics.loaders.onnx import read as read_onnx
from diagnostics.methods.registry import find
from diagnostics.models import engine
from diagnostics.models.classifier import TorchClassifier, unchanged
from diagnostics.models.ensemble import EnsembleNetwork
from diagnostics.models.sample_networks import LettersConv
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.spec import Output
from tests.networks_for_tests import Attends, FunctionalResidual, classifier

RGB = Preprocessing(fit="none", height=32, width=32)
GREY = Preprocessing(
    colour=False, fit="none", height=28, width=28, mean=(0.3,), std=(0.4,), value_range=255
)
LARGE = Preprocessing(fit="none", height=224, width=224)


class Dict(nn.Module):
    """Gives its scores in a dict, beside something else."""

    def __init__(self) -> None:
        super().__init__()
        self.network = FunctionalResidual()

    def forward(self, values: Tensor) -> dict[str, Tensor]:
        return {"features": values.mean((2, 3)), "logits": self.network(values)}


class Softmax(nn.Module):
    """Ends in probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.network = FunctionalResidual()

    def forward(self, values: Tensor) -> Tensor:
        return self.network(values).softmax(1)


class Branches(nn.Module):
    """Computes otherwise where the first image is bright, which an export cannot know."""

    def __init__(self) -> None:
        super().__init__()
        self.dark, self.bright = FunctionalResidual(), FunctionalResidual()

    def forward(self, values: Tensor) -> Tensor:
        return self.bright(values) if values[0].mean() > 0 else self.dark(values)


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try the other engine at the first pass, and take it however fast it is."""
    monkeypatch.setattr(engine, "WORTH_PASSES", 0)
    monkeypatch.setattr(engine, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr(engine, "MIN_SPEEDUP", 0.0)


def _attends() -> nn.Module:
    """Transposes by an operation that the exporter has no word for."""
    return Attends("module", 3, 5)


def _with_engine(
    network: nn.Module,
    side: int,
    channels: int,
    classes: int,
    settings: Preprocessing,
    output: Output = Output.LOGITS,
) -> TorchClassifier:
    model = classifier(network.eval().requires_grad_(False), side, channels, classes, settings)
    if output is not Output.LOGITS:
        model.spec = replace(model.spec, output=output)
    model.engine = model.make_engine()
    return model


def _sentence(model: TorchClassifier) -> str:
    assert model.engine is not None
    return model.engine.sentence()


def _spread(network: nn.Module) -> nn.Module:
    """Give every BatchNorm statistics of its own, and a head of zeros other weights."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.Linear) and not module.weight.any():
            nn.init.normal_(module.weight, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2, generator=generator)  # type: ignore[union-attr]
    return network


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int, int, int, Preprocessing, Output]] = {
    "one channel": (LettersConv, 28, 1, 26, GREY, Output.LOGITS),
    "residual": (FunctionalResidual, 32, 3, 5, RGB, Output.LOGITS),
    "dict": (Dict, 32, 3, 5, RGB, Output.LOGITS),
    "probabilities": (Softmax, 32, 3, 5, RGB, Output.PROBABILITIES),
    "attention": (
        lambda: models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=5),
        32,
        3,
        5,
        RGB,
        Output.LOGITS,
    ),
    "ensemble": (
        lambda: EnsembleNetwork(
            [classifier(FunctionalResidual().eval(), 32, 3, 5, RGB) for _ in range(2)]
        ),
        32,
        3,
        5,
        RGB,
        Output.LOGITS,
    ),
    "MobileNetV3": (models.mobilenet_v3_small, 224, 3, 1000, LARGE, Output.LOGITS),
    "ViT": (
        lambda: timm.create_model("vit_tiny_patch16_224"),
        224,
        3,
        1000,
        LARGE,
        Output.LOGITS,
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("threads", [1, 2])
def test_its_logits_are_torchs(name: str, threads: int) -> None:
    torch.manual_seed(0)
    build, side, channels, classes, settings, output = NETWORKS[name]
    model = _with_engine(_spread(build()), side, channels, classes, settings, output)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with unchanged(model.network), torch.no_grad():
            for images in (3, 1, 9):
                random = torch.rand(images, channels, side, side)
                for pixels in (random, random.round(), random * 0, random * 0 + 1):
                    expected = model.torch_logits(pixels)
                    assert model.logits(pixels).shape == expected.shape
                    found = engine.logit_difference(model.logits(pixels), expected)
                    assert found <= engine.TOLERANCE
                    assert torch.equal(model.logits(pixels).argmax(1), expected.argmax(1))
    finally:
        torch.set_num_threads(before)
    assert _sentence(model).startswith("Forward passes by onnxruntime")


@pytest.mark.parametrize("kind", ["branches", "unexportable", "float64", "large", "absent"])
def test_what_it_cannot_compute_stays_torchs_and_the_reason_is_said(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    reason = {
        "branches": "differ",
        "unexportable": "aten::mT",
        "large": "MiB",
        "absent": "not installed",
    }
    network = {"branches": Branches, "unexportable": _attends}.get(kind, FunctionalResidual)()
    if kind == "large":
        monkeypatch.setattr(engine, "MAX_WEIGHTS_BYTES", 8)
    if kind == "absent":
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model = _with_engine(network, 32, 3, 5, RGB)
    if kind == "float64":
        model = TorchClassifier(network.double(), model.spec, RGB)
        model.engine = model.make_engine()
    pixels = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        for _ in range(2):
            assert torch.equal(model.logits(pixels), model.torch_logits(pixels))
    if kind == "float64":
        assert _sentence(model) == ""
    else:
        assert _sentence(model).startswith("Forward passes by torch")
        assert reason[kind] in _sentence(model)


def test_a_slower_one_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MIN_SPEEDUP", 1e9)
    model = _with_engine(FunctionalResidual(), 32, 3, 5, RGB)
    with torch.no_grad():
        model.logits(torch.rand(2, 3, 32, 32))
    assert model.engine is not None
    assert model.engine.decision is not None
    assert model.engine.decision.session is None
    assert "times as fast in a trial" in _sentence(model)


def test_a_wrong_answer_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that is off by a ten-thousandth of the largest logit is refused."""
    run = engine.run_session
    monkeypatch.setattr(engine, "run_session", lambda *given: run(*given) * (1 + 1e-4))
    model = _with_engine(FunctionalResidual(), 32, 3, 5, RGB)
    with torch.no_grad():
        model.logits(torch.rand(2, 3, 32, 32))
    assert "differ by 1.0e-4" in _sentence(model)


def test_few_passes_are_not_worth_an_export(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "WORTH_PASSES", 100)
    model = _with_engine(FunctionalResidual(), 32, 3, 5, RGB)
    assert model.engine is not None
    with torch.no_grad():
        model.logits(torch.rand(4, 3, 32, 32))
        assert model.engine.decision is None
        model.expect(95)
        model.logits(torch.rand(4, 3, 32, 32))
        assert model.engine.decision is None  # 4 behind, 4 now, 91 ahead
        model.expect(97)
        model.logits(torch.rand(4, 3, 32, 32))
    assert model.engine.decision is not None


def test_gradients_hooks_and_other_sizes_are_torchs() -> None:
    model = _with_engine(FunctionalResidual(), 32, 3, 5, RGB)
    pixels = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        model.logits(pixels)
        seen: list[Tensor] = []
        hook = model.network.fc.register_forward_hook(lambda *_: seen.append(torch.ones(1)))
        model.logits(pixels)
        hook.remove()
        assert len(seen) == 1
        larger = torch.rand(2, 3, 40, 40)
        assert torch.equal(model.logits(larger), model.torch_logits(larger))
    leaf = pixels.requires_grad_()
    (gradient,) = torch.autograd.grad(model.logits(leaf).sum(), leaf)
    assert gradient.abs().sum() > 0
    assert torch.equal(model.trace(pixels, ()).logits, model.torch_logits(pixels))


def test_an_image_between_two_classes_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding may not decide a label: rows with no clear first are computed by torch."""
    model = _with_engine(FunctionalResidual(), 32, 3, 5, RGB)
    with torch.no_grad():
        model.network.fc.weight[1] = model.network.fc.weight[0]
        model.network.fc.bias[:] = torch.tensor([1000.0, 1000.0, 0.0, 0.0, 0.0])
        model.logits(torch.rand(2, 3, 32, 32))
        run = engine.run_session
        nudge = torch.tensor([0.0, 1e-4, 0.0, 0.0, 0.0])
        monkeypatch.setattr(engine, "run_session", lambda *given: run(*given) + nudge)
        pixels = torch.rand(3, 3, 32, 32)
        assert _sentence(model).startswith("Forward passes by onnxruntime")
        assert torch.equal(model.logits(pixels), model.torch_logits(pixels))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_torchs(value: float) -> None:
    model = _with_engine(FunctionalResidual(), 32, 3, 5, RGB)
    pixels = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        model.logits(pixels)
        pixels[1] = value
        found, expected = model.logits(pixels), model.torch_logits(pixels)
    assert torch.equal(found.isfinite().all(1), torch.tensor([True, False, True]))
    assert torch.equal(found[1].isnan(), expected[1].isnan())


def test_a_difference_where_only_one_is_finite_is_infinite() -> None:
    finite, other = torch.ones(1, 2), torch.tensor([[1.0, float("nan")]])
    assert engine.logit_difference(finite, other) == float("inf")
    assert engine.logit_difference(other, finite) == float("inf")
    assert engine.logit_difference(torch.tensor([[1.0, 4.0]]), torch.tensor([[2.0, 4.0]])) == 0.25


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_graph_of_onnx_gets_one_too(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    network = _spread(FunctionalResidual()).eval()
    torch.onnx.export(
        network,
        (torch.rand(2, 3, 32, 32),),
        str(path),
        dynamo=False,
        dynamic_axes={"x": {0: "n"}},
        input_names=["x"],
    )
    model = _with_engine(read_onnx(path).network, 32, 3, 5, RGB)
    pixels = torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        model.logits(pixels)
        expected = network(model.network_input(pixels))
        assert engine.logit_difference(model.logits(pixels), expected) <= engine.TOLERANCE
    assert _sentence(model).startswith("Forward passes by onnxruntime")


@pytest.mark.parametrize("name", ["occlusion", "rise", "kernel_shap", "score_cam"])
def test_maps_are_the_same_by_either(name: str) -> None:
    torch.manual_seed(0)
    model = _with_engine(_spread(FunctionalResidual()), 32, 3, 5, RGB)
    method, pixels, target = find(f"attribution/{name}"), torch.rand(2, 3, 32, 32), [0, 3]
    small = {"rise": {"masks": 64}, "kernel_shap": {"samples": 64}}.get(name, {})
    settings = method.info.check(small)

    def heatmap() -> Tensor:
        torch.manual_seed(0)
        return method.function(model, pixels, torch.tensor(target), **settings).values

    heatmap()
    by_engine = heatmap()
    assert _sentence(model).startswith("Forward passes by onnxruntime")
    model.engine = None
    by_torch = heatmap()
    assert torch.allclose(by_engine, by_torch, rtol=0, atol=1e-6)  # of logits about 1
