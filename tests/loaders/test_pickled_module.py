"""Whole pickled modules: only those made of known classes, and nothing else of the pickle."""

from __future__ import annotations

import io
import pickle

import pytest
import timm
import torch
from torch import nn
from torchvision import models

from diagnostics.errors import ModelError
from diagnostics.loaders import pickle_names, pickled_module
from diagnostics.loaders.open import open_model
from diagnostics.loaders.registry import recognise
from diagnostics.schema.request import File, ModelSource
from tests.loaders import hostile
from tests.networks_for_tests import FunctionalResidual


@pytest.fixture
def saved(tmp_path):
    def save(content):
        path = tmp_path / "model.pt"
        torch.save(content, path)
        return path

    return save


def opened(path):
    return open_model(ModelSource(File(str(path), "0" * 64, path.name)), ())


MODULES = {
    "resnet": lambda: models.resnet18(num_classes=7),
    "vit": lambda: models.VisionTransformer(32, 8, 2, 2, 8, 16, num_classes=7),
    "mobilenet": lambda: models.mobilenet_v3_small(num_classes=7),
    "convnext": lambda: timm.create_model("test_convnext", num_classes=7),
    "timm's vit": lambda: timm.create_model("test_vit", num_classes=7),
    "efficientnet": lambda: timm.create_model("test_efficientnet", num_classes=7, in_chans=1),
    "of layers": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(3600, 7)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES.keys())
def test_a_module_of_known_classes_answers_as_it_did(saved, make):
    torch.manual_seed(0)
    network = make().eval()
    path = saved(network)
    assert recognise(path).format == "module"
    model = opened(path)
    assert model.spec.format == "module"
    images = torch.rand(2, model.spec.channels, model.spec.height, model.spec.width)
    with torch.no_grad():
        theirs = network(images)
        assert (model.network(images) - theirs).abs().max() <= 1e-4 * theirs.abs().max()


@pytest.mark.slow
def test_what_is_published_of_it_is_taken_where_it_answers_alike(saved):
    spec = opened(saved(models.resnet18().eval())).spec
    assert spec.architecture == "torchvision/resnet18"
    assert spec.preprocessing.mean == (0.485, 0.456, 0.406)
    assert spec.class_names[0] == "tench"
    changed = models.resnet18().eval()
    changed.relu = nn.GELU()
    spec = opened(saved(changed)).spec
    assert spec.architecture == "module"
    assert any(check.name == "preprocessing" for check in spec.checks)


class Sneaky(nn.Linear):
    """Somebody's own class."""


class Attacked(nn.Linear):
    def __reduce__(self):
        return eval, ("1",)


STRANGE = {
    "somebody's class": lambda: FunctionalResidual(),
    "one inside": lambda: nn.Sequential(nn.Flatten(), Sneaky(12, 3)),
    "code": lambda: nn.Sequential(nn.Flatten(), Attacked(12, 3)),
}


@pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE.keys())
def test_any_other_class_is_refused_with_what_to_do(saved, make):
    with pytest.raises(ModelError, match="whole pickled model") as caught:
        recognise(saved(make()))
    recipe = caught.value.message.split("\n")[1:]
    assert len(recipe) == 3
    assert recipe[2].strip() == "torch.save(model.state_dict(), 'weights.pt')"


@pytest.mark.parametrize(
    "name",
    [
        "os system",
        "builtins eval",
        "torch.nn.modules.module os",
        "torch.nn.modules.module warnings.warn",
        "torch.jit._script RecursiveScriptModule",
        "torch.fx.graph_module GraphModule",
        "torchvision.models get_model",
        "torchvision.models._api importlib",
        "timm.models._hub load_state_dict_from_hf",
        "timm.models._builder build_model_with_cfg",
        "torch.nn.modules.container Sequential.forward",
        "torch.nn.modules.linear functional",
    ],
)
def test_only_classes_are_known_and_only_where_they_were_defined(name):
    assert pickle_names.known(name) is None


def test_a_known_class_under_the_name_of_another_home_is_not_known():
    assert pickle_names.known("torch.nn.modules.linear Linear") is nn.Linear
    assert pickle_names.known("torch.nn.modules.activation Linear") is None


def test_the_reader_alone_makes_nothing_that_is_not_known(tmp_path, monkeypatch):
    """Also where the look at the names was passed by."""
    marker = tmp_path / "marker"
    path = tmp_path / "model.pt"
    path.write_bytes(hostile.saved(marker, zipped=True))
    monkeypatch.setattr(pickled_module, "foreign_names", lambda pickled: set())
    with pytest.raises(ModelError):
        pickled_module.read(path)
    assert not marker.exists()


class Called:
    """Is unpickled by calling a class, as no saved module is."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def test_no_constructor_is_called(saved, tmp_path):
    """Some write code out of the names of their layers, and run it."""
    from timm.models._features_fx import GraphExtractNet

    marker = tmp_path / "marker"
    layers = nn.Sequential(nn.ReLU())
    name = f'[", 0) or getattr(__import__("os"),"mkdir")("{marker}")+len("]'
    layers._modules = {name: nn.ReLU(), "out": nn.ReLU()}
    with pytest.raises(ModelError, match="GraphExtractNet"):
        opened(saved(Called(GraphExtractNet, layers, ["out"])))
    with pytest.raises(ModelError, match="built by a call"):
        opened(saved(Called(nn.Linear, 3, 4)))
    assert not marker.exists()


def test_modules_are_of_their_own_classes(saved):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3600, 3)).eval()
    found = opened(saved(network)).network
    assert [type(one) for one in found.modules()] == [type(one) for one in network.modules()]


def test_what_is_no_network_is_refused(saved):
    with pytest.raises(ModelError, match="does not run on images"):
        opened(saved(nn.Sequential(nn.Linear(3, 4))))
    pickled = io.BytesIO(pickle.dumps(nn.Linear(2, 2)))
    assert b"Linear" in pickled.getvalue()
