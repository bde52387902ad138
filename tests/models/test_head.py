"""The last layer of networks of every kind, and the weights with which it makes the logits."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from diagnostics.data.samples import file_at, model_files
from diagnostics.loaders.open import open_live, open_model
from diagnostics.models.features import extract_features, head_weights
from diagnostics.models.head import affine, capture_head
from diagnostics.models.sample_networks import LettersConv
from diagnostics.schema.request import File, ModelSource
from diagnostics.schema.spec import Need, Output
from tests.loaders import written
from tests.networks_for_tests import FunctionalResidual, Gap, classifier, linear, mlp, vit


def random_pixels(model, count=6):
    generator = torch.Generator().manual_seed(0)
    spec = model.spec
    return torch.rand(count, spec.channels, spec.height, spec.width, generator=generator)


def makes_the_logits(model, width=None):
    """Assert that the weights found on two images make the logits of others out of features."""
    pixels = random_pixels(model)
    head = head_weights(model, pixels[:2])
    outputs = extract_features(model, pixels)
    weight, bias = head["head_weight"], head["head_bias"]
    assert (weight.dtype, bias.dtype) == (torch.float64, torch.float64)
    assert weight.shape == (outputs.logits.shape[1], outputs.features.shape[1])
    assert width is None or weight.shape[1] == width
    logits = (outputs.features.double() @ weight.T + bias).numpy()
    size = float(outputs.logits.abs().max())
    assert logits == pytest.approx(outputs.logits.double().numpy(), rel=1e-4, abs=1e-4 * size)
    return weight, bias


class Convolved(nn.Module):
    """A head that is a 1 x 1 convolution of averaged maps."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 7, 3)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Conv2d(7, 4, 1)

    def forward(self, values):
        return self.head(self.pool(torch.relu(self.conv(values)))).flatten(1)


class Dense(nn.Module):
    """A linear layer with its activation inside, as Keras writes it."""

    def __init__(self, inputs, outputs, relu):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.randn(outputs))
        self.relu = relu

    def forward(self, values):
        values = nn.functional.linear(values, self.weight, self.bias)
        return torch.relu(values) if self.relu else values


NETWORKS = {
    "linear": (lambda: linear(256, channels=3), "1", 768),
    "dense": (lambda: mlp(256, channels=3), "3", 10),
    "residual": (lambda: FunctionalResidual(classes=4), "fc", 8),
    "1 x 1 convolution": (Convolved, "head", 7),
    "activation inside, not the last": (
        lambda: nn.Sequential(nn.Flatten(), Dense(768, 9, True), Dense(9, 4, False)), "2", 9,
    ),
    "transformer": (vit, "heads.head", 8),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_the_last_layer_is_found_and_its_weights_make_the_logits(name):
    torch.manual_seed(0)
    make, head, width = NETWORKS[name]
    model = classifier(make(), 16, channels=3)
    assert model.spec.head == head
    assert {Need.FEATURES, Need.HEAD} <= model.spec.offers
    weight, bias = makes_the_logits(model, width)
    original = model.network.get_submodule(head)
    expected = original.weight.detach().flatten(1).double().numpy()
    assert weight.numpy() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert bias.numpy() == pytest.approx(
        original.bias.detach().double().numpy(), rel=1e-4, abs=1e-4
    )


def test_a_last_layer_without_bias_has_a_bias_of_zero():
    torch.manual_seed(0)
    model = classifier(Gap(), 16)
    assert model.spec.head == "fc"
    _, bias = makes_the_logits(model, 6)
    assert bias.abs().max() < 1e-5


def test_features_are_what_the_last_layer_receives():
    torch.manual_seed(0)
    model = classifier(FunctionalResidual(classes=4), 16, channels=3)
    received = []
    pixels = random_pixels(model)
    hook = model.network.fc.register_forward_hook(lambda _m, inputs, _o: received.append(inputs[0]))
    features = extract_features(model, pixels).features
    hook.remove()
    assert torch.equal(features, received[0])
    assert not model.network.fc._forward_pre_hooks
    assert not model.network._forward_pre_hooks


def test_the_features_of_an_image_do_not_depend_on_the_others_beside_it():
    torch.manual_seed(0)
    model = classifier(FunctionalResidual(classes=4), 16, channels=3)
    pixels = random_pixels(model)
    whole = extract_features(model, pixels)
    for row in range(len(pixels)):
        alone = extract_features(model, pixels[row : row + 1])
        for name, value in vars(alone).items():
            expected = getattr(whole, name)[row : row + 1].numpy()
            assert value.numpy() == pytest.approx(expected, rel=1e-4, abs=1e-5), name


@pytest.mark.parametrize(
    ("last", "output"),
    [
        (nn.Softmax(1), Output.PROBABILITIES),
        (nn.LogSoftmax(1), Output.LOG_PROBABILITIES),
        (nn.ReLU(), Output.LOGITS),
        (nn.Tanh(), Output.LOGITS),
    ],
    ids=["softmax", "log-softmax", "relu", "tanh"],
)
def test_what_comes_after_the_last_layer_leaves_its_features_but_not_its_weights(last, output):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 10), nn.ReLU(), nn.Linear(10, 4), last)
    for index in (1, 3):
        nn.init.normal_(network[index].weight, std=0.5)
    model = classifier(network, 16, channels=3)
    assert model.spec.output is output
    assert model.spec.head == "3"
    assert Need.FEATURES in model.spec.offers
    assert Need.HEAD not in model.spec.offers
    assert extract_features(model, random_pixels(model)).features.shape == (6, 10)


def test_a_last_layer_with_its_activation_inside_gives_no_weights():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 10), Dense(10, 4, True))
    spec = classifier(network, 16, channels=3).spec
    assert spec.head == "2"
    assert Need.FEATURES in spec.offers
    assert Need.HEAD not in spec.offers


def test_a_scale_and_a_shift_after_the_last_layer_are_in_its_weights():
    """Weights and bias are those that make the logits, not the layer's."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 10), nn.ReLU(), nn.Linear(10, 4), Shift())
    model = classifier(network, 16, channels=3)
    assert Need.HEAD in model.spec.offers
    _, bias = makes_the_logits(model, 10)
    assert bias.numpy() == pytest.approx((network[3].bias + 5).double().numpy(), abs=1e-4)


class Shift(nn.Module):
    def forward(self, values):
        return values + 5


class Twice(nn.Module):
    """The layer that makes the logits runs twice."""

    def __init__(self):
        super().__init__()
        self.stem, self.fc = nn.Linear(768, 4), nn.Linear(4, 4)

    def forward(self, values):
        return self.fc(torch.relu(self.fc(torch.relu(self.stem(values.flatten(1))))))


def test_a_last_layer_that_runs_twice_is_not_taken_for_a_head():
    torch.manual_seed(0)
    spec = classifier(Twice(), 16, channels=3).spec
    assert spec.head == ""
    assert not {Need.FEATURES, Need.HEAD} & spec.offers


def test_a_network_without_a_last_layer_gives_no_features():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = classifier(network, 16, channels=3)
    assert model.spec.head == ""
    assert Need.FEATURES not in model.spec.offers
    assert extract_features(model, random_pixels(model)).features.shape == (6, 0)


def test_weights_are_found_without_gradients_and_leave_no_hook():
    torch.manual_seed(0)
    network = mlp(256, channels=3).eval()
    values = torch.rand(3, 3, 16, 16)
    with capture_head(network, "3") as inputs:
        logits = network(values)
    assert len(inputs) == 1
    weight, bias = affine(inputs[0], logits)
    assert not weight.requires_grad
    assert not bias.requires_grad
    assert not network._forward_pre_hooks
    assert not network[3]._forward_pre_hooks


@pytest.mark.parametrize(
    ("name", "head", "side", "width"),
    [("resnet18", "fc", 64, 512), ("vit_tiny_patch16_224", "head", 224, 192)],
)
def test_the_last_layer_of_networks_of_timm_is_found(name, head, side, width):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=5)
    nn.init.normal_(network.get_submodule(head).weight)
    model = classifier(network, side, channels=3, classes=5)
    assert model.spec.head == head
    assert Need.HEAD in model.spec.offers
    makes_the_logits(model, width)


def test_a_network_that_averages_the_maps_of_its_classes_offers_no_last_layer():
    """In SqueezeNet no layer that multiplies gives as many values as there are classes."""
    torch.manual_seed(0)
    model = classifier(models.squeezenet1_1(num_classes=5), 64, channels=3, classes=5)
    assert Need.HEAD not in model.spec.offers


def test_a_network_in_this_process_offers_its_last_layer():
    torch.manual_seed(0)
    network, source = FunctionalResidual(classes=4), ModelSource(File("", "0" * 64, "name"))
    settings = classifier(FunctionalResidual(classes=4), 16, channels=3).preprocessing
    model = open_live(source, network, settings).classifier()
    assert model.spec.head == "fc"
    makes_the_logits(model, 8)


@cache
def letters():
    return open_model(ModelSource(model_files()["letters_conv"]), []).classifier()


def saved(write, path):
    """Write the sample network with its weights; return the path."""
    network = LettersConv(len(letters().spec.class_names))
    network.load_state_dict(letters().network.state_dict())
    return write(network.eval(), (1, 28, 28), path)


@pytest.mark.parametrize("sample", ["letters_conv", "letters_dense"])
def test_the_weights_of_the_sample_networks_make_their_logits(sample):
    model = open_model(ModelSource(model_files()[sample]), []).classifier()
    assert {Need.FEATURES, Need.HEAD} <= model.spec.offers
    makes_the_logits(model)


WRITERS = {
    "ONNX": (written.onnx, "letters.onnx", "onnxruntime"),
    "pt2": (written.pt2, "letters.pt2", "torch"),
    "Keras": (written.keras_letters, "letters.keras", "keras"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRITERS)
def test_in_every_format_the_letters_have_the_same_last_layer(name, tmp_path):
    write, file, needed = WRITERS[name]
    pytest.importorskip(needed)
    original = letters()
    path = saved(write, tmp_path / file)
    model = open_model(ModelSource(file_at(path)), []).classifier(original.preprocessing)
    weight, bias = makes_the_logits(model)
    expected = head_weights(original, random_pixels(original)[:2])
    assert weight.numpy() == pytest.approx(expected["head_weight"].numpy(), rel=1e-3, abs=1e-4)
    assert bias.numpy() == pytest.approx(expected["head_bias"].numpy(), rel=1e-3, abs=1e-3)
    pixels = random_pixels(original)
    features = extract_features(original, pixels).features.numpy()
    assert np.abs(extract_features(model, pixels).features.numpy() - features).max() < 1e-3


@pytest.mark.filterwarnings("ignore")
def test_a_network_that_another_program_computes_gives_logits_and_no_features(tmp_path):
    pytest.importorskip("onnxruntime")
    path = saved(written.onnx_of_others, tmp_path / "other.onnx")
    model = open_model(ModelSource(file_at(path)), []).classifier(letters().preprocessing)
    assert model.spec.head == ""
    assert not {Need.FEATURES, Need.HEAD} & model.spec.offers
    pixels = random_pixels(model)
    outputs, expected = (
        extract_features(model, pixels),
        extract_features(letters(), pixels).logits.numpy(),
    )
    assert outputs.features.shape == (6, 0)
    assert outputs.batchnorm.shape == (0,)
    assert outputs.logits.numpy() == pytest.approx(expected, rel=1e-3, abs=1e-3)


class Scaled(nn.Module):
    """A last layer whose features are its second argument, or go by a name."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))

    def forward(self, scale, features):
        return nn.functional.linear(features, self.weight) * scale


Scaled.__name__ = "Linear"  # what such a class is called that takes its place


class CallsHead(nn.Module):
    """Hands its features to the last layer behind another argument."""

    def __init__(self, call):
        super().__init__()
        self.call, self.head = call, Scaled(768, 4)

    def forward(self, values):
        return self.call(self.head, values.flatten(1))


@pytest.mark.parametrize(
    "call",
    [
        lambda head, x: head(torch.tensor(0.5), x),
        lambda head, x: head(0.5, x),
        lambda head, x: head(0.5, features=x),
        lambda head, x: head(features=x, scale=torch.tensor(0.5)),
        lambda head, x: head(nn.Parameter(torch.full((1, 4), 0.5)), x),
    ],
)
def test_the_argument_that_is_the_features_is_replaced_wherever_it_stands(call):
    torch.manual_seed(0)
    model = classifier(CallsHead(call), 16, channels=3)
    assert model.spec.head == "head"
    assert Need.HEAD in model.spec.offers
    weight, _ = makes_the_logits(model, 768)
    expected = (model.network.head.weight * 0.5).detach().double().numpy()
    assert weight.numpy() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_a_last_layer_that_receives_no_rows_of_images_is_no_head():
    torch.manual_seed(0)
    model = classifier(CallsHead(lambda head, x: head(x.mean(), x[None])[0]), 16, channels=3)
    assert model.spec.head == ""
    assert not {Need.FEATURES, Need.HEAD} & model.spec.offers


def test_an_ensemble_has_no_last_layer():
    source = ModelSource(model_files()["letters_conv"])
    both = replace(source, others=(ModelSource(model_files()["letters_dense"]),))
    spec = open_model(both, ()).spec
    assert spec.head == ""
    assert not {Need.FEATURES, Need.HEAD} & spec.offers
