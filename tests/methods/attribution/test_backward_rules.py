"""Guided backpropagation and DeepLift, whatever way a network calls its activations."""

from __future__ import annotations

import captum.attr
import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import resnet18

from diagnostics.errors import NotOfferedError
from diagnostics.methods.attribution import baseline_image, notes
from diagnostics.methods.attribution.deep_lift import deep_lift
from diagnostics.methods.attribution.guided_backprop import guided_backprop
from diagnostics.methods.attribution.input_x_gradient import input_x_gradient
from tests.networks_for_tests import Attends, classifier, linear, seeded, vit

TARGET = torch.tensor([1, 3])
pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting (back|for)ward"),  # captum tells so
    pytest.mark.filterwarnings("ignore:Input Tensor"),
]


class Net(nn.Module):
    """Two convolutions and two dense layers, their ReLUs called in one of many ways."""

    def __init__(self, call="modules", pool=nn.MaxPool2d, last=nn.MaxPool2d):
        super().__init__()
        self.call = call
        self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3)
        self.pool, self.last = pool(2), last(2)
        self.dense, self.head = nn.Linear(4, 6), nn.Linear(6, 4)
        if call in ("modules", "in place"):
            inplace = call == "in place"
            self.first, self.second, self.third = (nn.ReLU(inplace) for _ in range(3))
        if call == "reused":
            self.first = self.second = self.third = nn.ReLU(inplace=True)

    def relu(self, values, name):
        if self.call == "functional":
            return functional.relu(values)
        if self.call == "overwritten":
            torch.relu_(values)
            return values
        if self.call == "clamped":
            return values.clamp(min=0)
        if self.call == "up to a limit":
            return functional.hardtanh(values, 0.0, 1e6)
        return getattr(self, name)(values)

    def forward(self, values):
        values = self.pool(self.relu(self.one(values), "first"))
        values = self.last(self.relu(self.two(values), "second"))
        return self.head(self.relu(self.dense(values.flatten(1)), "third"))


class Gated(nn.Module):
    """Channels weighed by what they are on the whole, a smooth activation, probabilities."""

    def __init__(self, ends):
        super().__init__()
        self.one, self.gate, self.head = nn.Conv2d(3, 5, 3), nn.Linear(5, 5), nn.Linear(5, 4)
        self.ends = ends

    def forward(self, values):
        values = functional.silu(self.one(values))
        values = values * torch.sigmoid(self.gate(values.mean((2, 3))))[..., None, None]
        logits = self.head(values.mean((2, 3)))
        return logits.softmax(1) if self.ends else logits


def drawn(network):
    return seeded(network, 3, std=0.6).eval().double()


def pixels(side=8):
    torch.manual_seed(4)
    return torch.rand(2, 3, side, side, dtype=torch.float64)


def model(network, side=8):
    return classifier(network, side, 3, dtype=torch.float64)


CALLS = ("modules", "in place", "reused", "functional", "overwritten", "clamped", "up to a limit")


@pytest.mark.parametrize("call", CALLS)
def test_guided_backpropagation_is_captums_however_the_relus_are_called(call):
    peer = captum.attr.GuidedBackprop(drawn(Net()))
    expected = peer.attribute(pixels().requires_grad_(), TARGET).detach()
    values = guided_backprop(model(drawn(Net(call))), pixels(), TARGET, signed=True).values
    assert torch.allclose(values, expected.sum(1), atol=1e-12)
    plain = captum.attr.Saliency(drawn(Net())).attribute(pixels(), TARGET, abs=False)
    assert not torch.allclose(values, plain.sum(1), atol=1e-2)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("last", [nn.AvgPool2d, nn.MaxPool2d])
def test_deep_lift_is_captums_however_the_relus_are_called(call, last):
    """Captum's own map does not add up where a maximum is taken first, see the next test."""
    pools = (nn.AvgPool2d, last)
    peer = captum.attr.DeepLift(drawn(Net("modules", *pools)))
    expected = peer.attribute(pixels(), baseline_image(pixels(), "blur"), TARGET).detach().sum(1)
    values = deep_lift(model(drawn(Net(call, *pools))), pixels(), TARGET, baseline="blur").values
    assert torch.allclose(values, expected, atol=1e-12)


@pytest.mark.parametrize("baseline", ["black", "grey", "blur"])
def test_deep_lift_adds_up_through_maxima(baseline):
    explained = model(drawn(Net("reused")))
    values = deep_lift(explained, pixels(), TARGET, baseline=baseline).values
    logits = explained.logits(pixels()) - explained.logits(baseline_image(pixels(), baseline))
    rises = logits.gather(1, TARGET[:, None])[:, 0]
    assert torch.allclose(values.sum((1, 2)), rises, atol=1e-12)


def test_deep_lift_of_a_linear_network_is_weights_times_the_difference():
    network = drawn(linear(64, channels=3))
    values = deep_lift(model(network), pixels(), TARGET).values
    expected = (network[1].weight[TARGET].reshape(2, 3, 8, 8) * pixels()).sum(1)
    assert torch.allclose(values, expected.detach(), atol=1e-12)


@pytest.mark.parametrize("ends", [False, True], ids=["logits", "probabilities"])
def test_deep_lift_adds_up_through_gates_and_a_softmax(ends):
    explained = model(drawn(Gated(ends)))
    heatmap = deep_lift(explained, pixels(), TARGET, baseline="white")
    logits = explained.logits(pixels()) - explained.logits(torch.ones_like(pixels()))
    rises = logits.gather(1, TARGET[:, None])[:, 0].detach()
    assert torch.allclose(heatmap.values.sum((1, 2)), rises, atol=1e-10)
    assert heatmap.rises == pytest.approx(rises.tolist(), abs=1e-10)
    naive = (input_x_gradient(explained, pixels(), TARGET).values).sum((1, 2))
    assert not torch.allclose(naive, rises, atol=1e-2)


def test_deep_lift_adds_up_on_a_network_that_reuses_its_relus():
    torch.manual_seed(0)
    explained = classifier(resnet18(num_classes=4), 32, 3)
    heatmap = deep_lift(explained, pixels(32).float(), TARGET)
    assert torch.allclose(heatmap.values.sum((1, 2)), torch.tensor(heatmap.rises), rtol=1e-3)
    assert guided_backprop(explained, pixels(32).float(), TARGET).values.any()


def test_one_image_that_is_its_own_baseline_is_blank_and_spoils_no_other():
    images = pixels()
    images[0] = 0
    heatmap = deep_lift(model(drawn(Net())), images, TARGET)
    assert not heatmap.values[0].any()
    assert heatmap.values[1].any()
    assert "baseline" in notes(heatmap)[0]


@pytest.mark.parametrize(
    ("network", "named"),
    [
        (nn.Sequential(nn.Conv2d(3, 2, 3), nn.GELU(), nn.Flatten(), nn.Linear(72, 4)), "gelu in 1"),
        (nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 4)), "no ReLU"),
    ],
    ids=["another activation", "none"],
)
def test_guided_backpropagation_is_refused_by_name(network, named):
    with pytest.raises(NotOfferedError, match=named):
        guided_backprop(model(drawn(network)), pixels(), TARGET)


def test_deep_lift_is_refused_by_name():
    with pytest.raises(NotOfferedError, match=r"layer_norm in encoder.layers.encoder_layer_0.ln_1"):
        deep_lift(model(drawn(vit()), 16), pixels(16), TARGET)
    with pytest.raises(NotOfferedError, match=r"layer_norm in norm1"):
        deep_lift(model(drawn(Attends("fused", 3)), 12), pixels(12), TARGET)


class Hidden(nn.Module):
    """Calls its ReLU from inside a compiled program, where no override sees it."""

    def __init__(self):
        super().__init__()
        self.one, self.head = nn.Conv2d(3, 2, 3), nn.Linear(72, 4)
        tensor = torch.rand(1, 2, 6, 6, dtype=torch.float64)
        self.act = torch.jit.trace(nn.ReLU().double(), tensor)

    def forward(self, values):
        return self.head(self.act(self.one(values)).flatten(1))


@pytest.mark.filterwarnings("ignore:.torch.jit")
@pytest.mark.parametrize("method", [guided_backprop, deep_lift])
def test_a_relu_that_no_override_sees_is_noticed(method):
    explained = model(drawn(Hidden()))
    with pytest.raises(NotOfferedError, match=r"relu.*cannot be overridden"):
        method(explained, pixels(), TARGET)


class Squares(nn.Module):
    """Multiplies a row of values with itself along the batch's back: no rule sees that."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(192, 4)

    def forward(self, values):
        return self.head(torch.addcmul(torch.zeros_like(values), values, values).flatten(1))


def test_deep_lift_is_refused_where_the_map_does_not_add_up():
    with pytest.raises(NotOfferedError, match="where the logit rises by"):
        deep_lift(model(drawn(Squares())), pixels(), TARGET)
