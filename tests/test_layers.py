import pytest
import torch
from torch import nn

from diagnostics.layers import capture, list_layers
from diagnostics.shapes import layout, representative
from diagnostics.spec import LayerInfo
from tests.networks_for_tests import FunctionalResidual


def hooks(network):
    return sum(len(m._forward_hooks) + len(m._backward_hooks) for m in network.modules())


def test_an_in_place_operation_does_not_overwrite_what_was_recorded():
    torch.manual_seed(0)
    network = FunctionalResidual().eval()
    pixels = torch.rand(2, 3, 8, 8)
    with capture(network, ["norm", "act"]) as activations:
        network(pixels)
    expected = network.norm(network.stem(pixels))
    assert torch.equal(activations["norm"], expected)
    assert activations["norm"].min() < 0
    assert torch.equal(activations["act"], expected.relu())


def test_listening_does_not_change_the_answer_or_the_gradient():
    torch.manual_seed(0)
    network = FunctionalResidual().eval()
    pixels = torch.rand(2, 3, 8, 8, requires_grad=True)
    plain = network(pixels)
    (gradient,) = torch.autograd.grad(plain.sum(), pixels)
    with capture(network, [name for name, _ in network.named_modules() if name]):
        heard = network(pixels)
    (same,) = torch.autograd.grad(heard.sum(), pixels)
    assert torch.equal(plain, heard)
    assert torch.allclose(gradient, same, atol=1e-7)


def test_hooks_are_gone_after_an_error():
    network = FunctionalResidual().eval()
    with pytest.raises(RuntimeError), capture(network, ["stem", "norm"]):
        network(torch.rand(1, 4, 8, 8))
    assert hooks(network) == 0


def test_a_layer_that_runs_twice_is_recorded_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, values):
            return self.act(self.act(values) - 1)

    network, values = Twice(), torch.linspace(-2, 2, 5)[None]
    with capture(network, ["act"]) as activations:
        network(values)
    assert torch.equal(activations["act"], values.relu())
    assert torch.equal(activations["act#2"], (values.relu() - 1).relu())


def test_a_layer_that_never_ran_is_listed_last_and_without_a_shape():
    layers = list_layers(FunctionalResidual().eval(), torch.rand(1, 3, 8, 8))
    assert [layer.name for layer in layers] == ["stem", "norm", "act", "body", "fc", "unused"]
    assert layers[-1].shape == ()
    assert layers[0] == LayerInfo("stem", "Conv2d", (8, 8, 8))


def test_a_container_shares_its_last_layers_values_and_both_are_true():
    network = nn.Sequential(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), nn.ReLU(inplace=True))
    values = torch.randn(2, 4)
    with capture(network, ["0", "0.1", "1"]) as activations:
        network(values)
    assert torch.equal(activations["0"], network[0](values))
    assert torch.equal(activations["0.1"], network[0](values))
    assert torch.equal(activations["1"], network[0](values).relu())


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((64, 56, 56), "channels"),
        ((56, 56, 96), "channels last"),
        ((512, 1, 1), "channels"),
        ((10,), "dense"),
        ((197, 768), "tokens"),
        ((), "not captured"),
        ((2, 3, 4, 5), "other"),
    ],
)
def test_outputs_are_told_apart_by_their_shape(shape, expected):
    assert layout(shape, (224, 224)) == expected


def test_the_representative_layers_end_each_size():
    shapes = {"a": (4, 8, 8), "b": (4, 8, 8), "c": (8, 4, 4), "d": (8, 1, 1), "e": (10,)}
    layers = [LayerInfo(name, "Conv2d", shape) for name, shape in shapes.items()]
    assert representative(layers, (8, 8)) == ("b", "c", "e")
