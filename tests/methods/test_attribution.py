import captum.attr
import pytest
import torch
from torch import nn

from diagnostics.errors import NotOfferedError
from diagnostics.method import find, methods
from diagnostics.methods.attribution import check, notes
from diagnostics.methods.attribution.grad_cam import grad_cam
from diagnostics.methods.attribution.gradient import gradient
from diagnostics.shapes import last_maps
from tests.networks_for_tests import FunctionalResidual, Gap, classifier, linear

TARGET = torch.tensor([1, 3])


def seeded(network, seed=0):
    torch.manual_seed(seed)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    return network


def pixels(channels=1, side=8, dtype=torch.float32):
    return torch.rand(2, channels, side, side, dtype=dtype)


def test_the_gradient_of_a_linear_classifier_is_its_weights():
    network = seeded(linear(64))
    heatmap = gradient(classifier(network, 8), pixels(), TARGET, signed=True)
    assert torch.equal(heatmap.values, network[1].weight[TARGET].reshape(2, 8, 8))
    magnitude = gradient(classifier(network, 8), pixels(), TARGET)
    assert torch.equal(magnitude.values, heatmap.values.abs())


def test_the_gradient_is_captums_saliency():
    network = seeded(FunctionalResidual(classes=4))
    model, images = classifier(network, 8, 3), pixels(3)
    expected = captum.attr.Saliency(model.logits).attribute(images.requires_grad_(), TARGET)
    assert torch.allclose(gradient(model, images, TARGET).values, expected.amax(1), atol=1e-6)


@pytest.mark.parametrize("layer", ["stem", "norm", "act", "body"])
def test_grad_cam_is_captums_at_every_layer(layer):
    """In-place layers need a twin without in-place operations for captum."""
    network = seeded(FunctionalResidual(classes=4))
    model, images = classifier(network, 8, 3), pixels(3)
    found = grad_cam(model, images, TARGET, layer=layer)
    network.act.inplace = False
    peer = captum.attr.LayerGradCam(model.logits, getattr(network, layer))
    expected = peer.attribute(images.requires_grad_(), TARGET, relu_attributions=True)
    assert torch.allclose(found.values, expected[:, 0], atol=1e-6)


def test_grad_cam_of_an_averaging_network_is_cam_over_its_cells():
    network = seeded(Gap())
    model = classifier(network, 8, dtype=torch.float64)
    images = pixels(dtype=torch.float64)
    found = grad_cam(model, images, TARGET, layer="conv")
    maps = network.conv(model.network_input(images))
    cam = torch.einsum("nchw,nc->nhw", maps, network.fc.weight[TARGET]) / 64
    assert torch.allclose(found.values, cam.relu(), atol=1e-10)


def test_the_logit_is_explained_also_where_the_probability_is_saturated():
    network = seeded(linear(64))
    network[1].weight.data *= 1000
    model, images = classifier(network, 8), pixels()
    assert model.logits(images).softmax(1).max() == 1.0
    assert gradient(model, images, TARGET).values.amax() > 100


def test_a_dense_network_is_told_that_grad_cam_needs_maps():
    with pytest.raises(NotOfferedError, match="maps"):
        grad_cam(classifier(linear(64), 8), pixels(), TARGET)


def test_a_layer_that_did_not_run_is_named():
    model = classifier(FunctionalResidual(classes=4), 8, 3)
    with pytest.raises(NotOfferedError, match="unused"):
        grad_cam(model, pixels(3), TARGET, layer="unused")


def test_the_last_layer_with_maps_is_found():
    assert last_maps(classifier(FunctionalResidual(classes=4), 8, 3).spec) == "relu"


def test_a_blank_map_says_why():
    network = seeded(Gap())
    network.fc.weight.data.zero_()
    heatmap = grad_cam(classifier(network, 8), pixels(), TARGET, layer="conv")
    assert all("positive part" in note for note in notes(heatmap))


def test_a_map_with_nan_says_how_many_cells():
    network = seeded(linear(64))
    network[1].weight.data[1, :3] = float("nan")
    heatmap = gradient(classifier(network, 8), pixels(), TARGET)
    assert notes(heatmap)[0].startswith("3 of 64")
    assert "finite" in notes(heatmap)[0]


def every_attribution():
    return [method for method in methods("attribution")]


@pytest.mark.parametrize("method", every_attribution(), ids=lambda method: method.info.id)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_method_keeps_the_familys_promise(method, channels):
    model = classifier(seeded(FunctionalResidual(channels, 4)), 8, channels)
    images = pixels(channels)
    heatmap = method.function(model, images, TARGET)
    check(heatmap, images)
    alone = method.function(model, images[:1], TARGET[:1])
    assert torch.allclose(heatmap.values[:1], alone.values, atol=1e-5)
    assert all(parameter.grad is None for parameter in model.network.parameters())
    assert not any(len(module._forward_hooks) for module in model.network.modules())


@pytest.mark.parametrize("method", every_attribution(), ids=lambda method: method.info.id)
def test_every_method_says_what_it_is(method):
    assert method.info.summary.endswith(".")
    assert method.info.source
    assert all(option.help for option in method.info.options)
    assert find(method.info.id) is method
