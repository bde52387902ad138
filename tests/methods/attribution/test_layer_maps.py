"""Grad-CAM and Score-CAM: a layer's maps, weighed."""

from __future__ import annotations

import captum.attr
import pytest
import torch

from diagnostics.errors import NotOfferedError
from diagnostics.methods.attribution import notes
from diagnostics.methods.attribution.grad_cam import grad_cam
from diagnostics.methods.attribution.score_cam import score_cam
from diagnostics.schema.layouts import last_maps
from tests.methods.attribution.images import TARGET, pixels
from tests.networks_for_tests import Attends, FunctionalResidual, Gap, classifier, linear, seeded


@pytest.mark.parametrize("layer", ["stem", "norm", "act", "body"])
def test_grad_cam_is_captums_at_every_layer(layer):
    """In-place layers need a twin without in-place operations for captum."""
    network = seeded(FunctionalResidual(classes=4))
    model, images = classifier(network, 8, 3), pixels(3)
    heatmap = grad_cam(model, images, TARGET, layer=layer)
    network.act.inplace = False
    peer = captum.attr.LayerGradCam(model.logits, getattr(network, layer))
    expected = peer.attribute(images.requires_grad_(), TARGET, relu_attributions=True)
    assert torch.allclose(heatmap.values, expected[:, 0], atol=1e-6)


def test_grad_cam_of_an_averaging_network_is_cam_over_its_cells():
    network = seeded(Gap())
    model = classifier(network, 8, dtype=torch.float64)
    images = pixels(dtype=torch.float64)
    heatmap = grad_cam(model, images, TARGET, layer="conv")
    maps = network.conv(model.network_input(images))
    cam = torch.einsum("nchw,nc->nhw", maps, network.fc.weight[TARGET]) / 64
    assert torch.allclose(heatmap.values, cam.relu(), atol=1e-10)


def test_grad_cam_needs_a_layer_with_maps():
    with pytest.raises(NotOfferedError, match="maps"):
        grad_cam(classifier(linear(64), 8), pixels(), TARGET)


def test_a_layer_that_did_not_run_is_named():
    model = classifier(FunctionalResidual(classes=4), 8, 3)
    with pytest.raises(NotOfferedError, match="unused"):
        grad_cam(model, pixels(3), TARGET, layer="unused")


def test_the_default_layer_is_the_last_with_maps():
    assert last_maps(classifier(FunctionalResidual(classes=4), 8, 3).spec) == "relu"


def test_a_blank_map_says_why():
    network = seeded(Gap())
    network.fc.weight.data.zero_()
    heatmap = grad_cam(classifier(network, 8), pixels(), TARGET, layer="conv")
    assert all("positive part" in note for note in notes(heatmap))


@pytest.mark.parametrize("way", ["module", "fused", "softmax"])
def test_grad_cam_on_tokens_weighs_them_on_their_grid(way):
    network = seeded(Attends(way))
    model, images = classifier(network, 12), pixels(side=12)
    values = grad_cam(model, images, TARGET).values
    assert last_maps(model.spec) == "norm1"
    trace = model.trace(images, ["norm1"])
    tokens = trace.activations["norm1"][:, 1:].reshape(2, 3, 3, 8)
    slopes = trace.layer_gradient(TARGET, "norm1")[:, 1:].mean(1)
    expected = torch.einsum("nhwc,nc->nhw", tokens, slopes).relu()
    assert torch.allclose(values, expected, atol=1e-5)


def test_score_cam_weighs_maps_by_what_they_leave_of_the_logit():
    network = seeded(Gap())
    model, images = classifier(network, 8), pixels()
    values = score_cam(model, images, TARGET, layer="conv").values
    maps = network.conv(model.network_input(images))
    for row in range(2):
        weights = []
        for layer_map in maps[row]:
            mask = (layer_map - layer_map.min()) / (layer_map.max() - layer_map.min())
            weights.append(model.logits(images[row : row + 1] * mask)[0, TARGET[row]])
        shares = torch.stack(weights).softmax(0)
        expected = (shares[:, None, None] * maps[row]).sum(0).relu()
        assert torch.allclose(values[row], expected, atol=1e-5)
