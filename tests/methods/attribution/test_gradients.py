"""Gradient, input × gradient, SmoothGrad and integrated gradients, against captum and by hand."""

from __future__ import annotations

import captum.attr
import captum.metrics
import pytest
import torch

from diagnostics.methods.attribution import notes
from diagnostics.methods.attribution.gradient import gradient
from diagnostics.methods.attribution.input_x_gradient import input_x_gradient
from diagnostics.methods.attribution.integrated_gradients import integrated_gradients
from diagnostics.methods.attribution.smooth_grad import smooth_grad
from diagnostics.models import batch_size
from diagnostics.models.classifier import Counted
from tests.methods.attribution.images import TARGET, pixels
from tests.networks_for_tests import FunctionalResidual, classifier, linear, seeded


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


def test_the_logit_is_explained_also_where_the_probability_is_saturated():
    network = seeded(linear(64))
    network[1].weight.data *= 1000
    model, images = classifier(network, 8), pixels()
    assert model.logits(images).softmax(1).max() == 1.0
    assert gradient(model, images, TARGET).values.amax() > 100


def test_a_map_with_nan_says_how_many_cells():
    network = seeded(linear(64))
    network[1].weight.data[1, :3] = float("nan")
    heatmap = gradient(classifier(network, 8), pixels(), TARGET)
    assert notes(heatmap)[0].startswith("3 of 64")
    assert "finite" in notes(heatmap)[0]


def test_the_gradient_of_a_linear_network_is_perfectly_faithful():
    """Infidelity of Yeh et al. 2019, computed by captum: zero where the network is linear."""
    model = classifier(seeded(linear(64)), 8, dtype=torch.float64)
    images = pixels(dtype=torch.float64)
    values = gradient(model, images, TARGET, signed=True).values[:, None]

    def disturbed(inputs):
        change = 0.1 * torch.randn_like(inputs)
        return change, inputs - change

    wrong = captum.metrics.infidelity(model.logits, disturbed, images, values, target=TARGET)
    assert wrong.max() < 1e-12


def test_input_times_gradient_is_captums():
    network = seeded(FunctionalResidual(classes=4))
    model, images = classifier(network, 8, 3), pixels(3)
    expected = captum.attr.InputXGradient(model.logits).attribute(images.requires_grad_(), TARGET)
    values = input_x_gradient(model, images, TARGET).values
    assert torch.allclose(values, expected.sum(1), atol=1e-6)


@pytest.mark.parametrize("baseline", ["black", "grey", "white"])
def test_integrated_gradients_of_a_linear_network_are_weights_times_the_difference(baseline):
    network = seeded(linear(64))
    model = classifier(network, 8, dtype=torch.float64)
    images = pixels(dtype=torch.float64)
    heatmap = integrated_gradients(model, images, TARGET, baseline=baseline)
    start = {"black": 0.0, "grey": 0.5, "white": 1.0}[baseline]
    expected = network[1].weight[TARGET].reshape(2, 8, 8) * (images[:, 0] - start)
    assert torch.allclose(heatmap.values, expected, atol=1e-8)


def test_integrated_gradients_add_up_to_the_difference_of_the_logits():
    network = seeded(FunctionalResidual(classes=4))
    model = classifier(network, 8, 3, dtype=torch.float64)
    images = pixels(3, dtype=torch.float64)
    heatmap = integrated_gradients(model, images, TARGET, steps=300)
    logits = model.logits(images) - model.logits(torch.zeros_like(images))
    difference = logits.gather(1, TARGET[:, None])[:, 0]
    assert torch.allclose(heatmap.values.sum((1, 2)), difference, rtol=2e-3)
    stated = [float(remark.split()[6].replace("−", "-")) for remark in heatmap.remarks]
    assert stated == pytest.approx(difference.tolist(), rel=0.01)


def test_integrated_gradients_are_captums():
    network = seeded(FunctionalResidual(classes=4))
    model, images = classifier(network, 8, 3), pixels(3)
    expected, delta = captum.attr.IntegratedGradients(model.logits).attribute(
        images, 0.5, TARGET, n_steps=21, return_convergence_delta=True
    )
    heatmap = integrated_gradients(model, images, TARGET, steps=21, baseline="grey")
    assert torch.allclose(heatmap.values, expected.sum(1), rtol=1e-5, atol=1e-6)
    missing = heatmap.values.sum((1, 2)) - torch.tensor(heatmap.rises)
    assert torch.allclose(missing, delta, atol=1e-4)


@pytest.mark.parametrize("method", [integrated_gradients, smooth_grad])
def test_maps_do_not_depend_on_how_many_images_go_through_at_once(method, monkeypatch):
    model, images = classifier(seeded(FunctionalResidual(classes=4)), 9, 3), pixels(3, 9)
    together = method(model, images, TARGET)
    monkeypatch.setattr(batch_size, "MAX_BATCH", 7)
    monkeypatch.setattr(batch_size, "MIN_BATCH", 1)
    sizes = []
    parts = method(Counted(model, sizes.append), images, TARGET)
    assert max(sizes) == 7
    assert torch.allclose(parts.values, together.values, rtol=1e-5, atol=1e-6)


def test_smooth_grad_of_a_linear_network_is_its_gradient():
    network = seeded(linear(64))
    model, images = classifier(network, 8), pixels()
    heatmap = smooth_grad(model, images, TARGET, samples=7, signed=True)
    expected = gradient(model, images, TARGET, signed=True)
    assert torch.allclose(heatmap.values, expected.values, atol=1e-6)


def test_smooth_grad_is_the_mean_gradient_of_the_noisy_images():
    network = seeded(FunctionalResidual(classes=4))
    model, images = classifier(network, 8, 3), pixels(3)
    torch.manual_seed(5)
    values = smooth_grad(model, images, TARGET, samples=23, noise=0.2).values
    for row, image in enumerate(images):
        generator = torch.Generator().manual_seed(5)
        drawn = [torch.randn((3, 8, 8), generator=generator) for _ in range(23)]
        noisy = (image + 0.2 * torch.stack(drawn)).requires_grad_()
        peer = captum.attr.Saliency(model.logits)
        each = peer.attribute(noisy, TARGET[row].expand(23), abs=False)
        assert torch.allclose(values[row], each.mean(0).abs().amax(0), atol=1e-6)


def test_smooth_grad_is_the_same_for_the_same_seed_and_another_for_another():
    model, images = classifier(seeded(FunctionalResidual(classes=4)), 8, 3), pixels(3)
    maps = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        maps.append(smooth_grad(model, images, TARGET).values)
    assert torch.equal(maps[0], maps[1])
    assert not torch.allclose(maps[0], maps[2])
