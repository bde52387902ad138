"""BatchNorm is found, and what it receives is measured, whatever format the network came in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.ops.misc import FrozenBatchNorm2d

from diagnostics.data.samples import file_at
from diagnostics.loaders.open import open_model
from diagnostics.models.batchnorm import batchnorm_layers, running_statistics, statistics_of_batch
from diagnostics.models.classifier import unchanged
from diagnostics.models.features import extract_features
from diagnostics.schema.request import ModelSource
from diagnostics.schema.spec import Need
from tests.independent import slow_scores as slow
from tests.loaders import written

SHAPE, EPSILONS = (3, 16, 16), (1e-5, 1e-3, 0.02)


class Normed(nn.Module):
    """Convolutions with BatchNorm behind them, and one BatchNorm that a pool stands before."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps=EPSILONS[0])
        self.conv2, self.norm2 = nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, eps=EPSILONS[1])
        self.norm3 = nn.BatchNorm2d(6, eps=EPSILONS[2])
        self.fc = nn.Linear(6, 5)

    def forward(self, values):
        values = torch.relu(self.norm1(self.conv1(values)))
        values = functional.max_pool2d(torch.relu(self.norm2(self.conv2(values))), 2)
        return self.fc(self.norm3(values).mean((2, 3)))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = Normed()
    for norm in norms(made):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.01, 2)
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias)
    return made.eval().requires_grad_(False)


def norms(network):
    return [network.norm1, network.norm2, network.norm3]


def images(count):
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1))


def preserved_onnx(network, path, *, folded=False, one=False):
    """Write ONNX with BatchNorm as nodes, or folded away as the exporter does by itself."""
    training = torch.onnx.TrainingMode
    with written.quiet():
        torch.onnx.export(
            network,
            (torch.rand(1, *SHAPE),),
            str(path),
            dynamo=False,
            input_names=["images"],
            output_names=["scores"],
            dynamic_axes=None if one else {"images": {0: "n"}, "scores": {0: "n"}},
            training=training.EVAL if folded else training.PRESERVE,
            do_constant_folding=folded,
            opset_version=17,
        )
    return path


def keras_file(network, path):
    keras = pytest.importorskip("keras")
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((*SHAPE[1:], 3)),
            layers.Conv2D(4, 3, name="conv1"),
            layers.BatchNormalization(epsilon=EPSILONS[0], name="norm1"),
            layers.ReLU(),
            layers.Conv2D(6, 3, name="conv2"),
            layers.BatchNormalization(epsilon=EPSILONS[1], name="norm2"),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.BatchNormalization(epsilon=EPSILONS[2], name="norm3"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, name="fc"),
        ]
    )
    for number in (1, 2):
        conv = getattr(network, f"conv{number}")
        weights = [conv.weight.permute(2, 3, 1, 0).numpy(), conv.bias.numpy()]
        model.get_layer(f"conv{number}").set_weights(weights)
    for number, norm in enumerate(norms(network), 1):
        values = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        model.get_layer(f"norm{number}").set_weights([value.numpy() for value in values])
    model.get_layer("fc").set_weights([network.fc.weight.T.numpy(), network.fc.bias.numpy()])
    model.save(path)
    return path


FORMATS = {
    "onnx": lambda network, path: preserved_onnx(network, path / "m.onnx"),
    "onnx for one image": lambda network, path: preserved_onnx(network, path / "m.onnx", one=True),
    "pt2": lambda network, path: written.pt2(network, SHAPE, path / "m.pt2"),
    "pt2 decomposed": lambda network, path: written.pt2(
        network, SHAPE, path / "m.pt2", decomposed=True
    ),
    "pt2 for one image": lambda network, path: written.pt2(network, SHAPE, path / "m.pt2", batch=1),
    "torchscript": lambda network, path: written.torchscript(network, SHAPE, path / "m.pt"),
    "keras": lambda network, path: keras_file(network, path / "m.keras"),
    "h5": lambda network, path: keras_file(network, path / "m.h5"),
}


def opened(path):
    return open_model(ModelSource(file_at(path), programs=True), ())


def slow_deviations(network, pixels):
    """Return each image's deviation, channel by channel, from torch's own modules."""
    first = network.conv1(pixels)
    second = network.conv2(torch.relu(network.norm1(first)))
    third = functional.max_pool2d(torch.relu(network.norm2(second)), 2)
    found = []
    for row in range(len(pixels)):
        layers = [
            slow.slow_deviation(
                values[row].double().numpy(),
                norm.running_mean.tolist(),
                norm.running_var.tolist(),
                norm.eps,
            )
            for values, norm in zip((first, second, third), norms(network), strict=True)
        ]
        found.append(sum(layers) / len(layers))
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FORMATS)
def test_a_network_of_any_format_with_batchnorm_is_never_said_to_have_none(kind, network, tmp_path):
    model = opened(FORMATS[kind](network, tmp_path))
    layers = batchnorm_layers(model.network)
    assert Need.BATCHNORM in model.spec.offers
    assert [layer.eps for layer in layers] == pytest.approx(EPSILONS)
    for layer, norm in zip(layers, norms(network), strict=True):
        assert torch.allclose(layer.mean, norm.running_mean)
        assert torch.allclose(layer.variance, norm.running_var)
    pixels = images(4)
    found = extract_features(model.classifier(), pixels).batchnorm
    received = model.classifier().network_input(pixels)
    assert found.numpy() == pytest.approx(slow_deviations(network, received), rel=1e-3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FORMATS)
def test_statistics_of_the_batch_answer_as_torch_does_while_it_trains(kind, network, tmp_path):
    model, pixels = opened(FORMATS[kind](network, tmp_path)), images(6)
    classifier = model.classifier()
    trained = Normed()
    trained.load_state_dict(network.state_dict())
    with torch.no_grad(), unchanged(model.network), statistics_of_batch(model.network):
        found = classifier.network(classifier.network_input(pixels))
    with torch.no_grad():
        expected = trained.train()(classifier.network_input(pixels))
        assert torch.allclose(found, expected, atol=1e-4)
        as_before = classifier.network(classifier.network_input(pixels))
        assert torch.allclose(as_before, network(classifier.network_input(pixels)), atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_where_an_exporter_folded_batchnorm_away_none_is_visible(network, tmp_path):
    plain = nn.Sequential(network.conv1, network.norm1, nn.Flatten(), nn.Linear(4 * 196, 5)).eval()
    model = opened(preserved_onnx(plain, tmp_path / "m.onnx", folded=True))
    assert Need.BATCHNORM not in model.spec.offers
    assert "may have folded it" in model.spec.why_not(Need.BATCHNORM)
    assert "has no BatchNorm" not in model.spec.why_not(Need.BATCHNORM)


def test_modules_that_are_written_elsewhere_are_found_and_those_without_maps_are_not():
    frozen = FrozenBatchNorm2d(4)
    layers = batchnorm_layers(nn.Sequential(frozen, nn.BatchNorm1d(4), nn.GroupNorm(2, 4)))
    assert [layer.module for layer in layers] == [frozen]
    of_batch = nn.BatchNorm2d(4, track_running_stats=False)
    assert batchnorm_layers(nn.Sequential(of_batch)) == []


def test_epsilon_is_that_of_each_layer(network):
    running = running_statistics(network)
    assert running.eps == pytest.approx(np.repeat(EPSILONS, (4, 6, 6)))
    variances = torch.cat([norm.running_var for norm in norms(network)]).numpy()
    assert running.variance == pytest.approx(variances + running.eps)
    assert running.share.sum() == pytest.approx(1)
