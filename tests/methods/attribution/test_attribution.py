import contextlib

import captum.attr
import captum.metrics
import numpy as np
import pytest
import torch
from torch import nn

from diagnostics.errors import NotOfferedError
from diagnostics.methods.attribution import check, notes
from diagnostics.methods.attribution.attention_rollout import attention_rollout
from diagnostics.methods.attribution.grad_cam import grad_cam
from diagnostics.methods.attribution.gradient import gradient
from diagnostics.methods.attribution.gradient_rollout import gradient_rollout
from diagnostics.methods.attribution.input_x_gradient import input_x_gradient
from diagnostics.methods.attribution.integrated_gradients import integrated_gradients
from diagnostics.methods.attribution.occlusion import occlusion, without_rounding
from diagnostics.methods.attribution.score_cam import score_cam
from diagnostics.methods.attribution.smooth_grad import smooth_grad
from diagnostics.methods.registry import find, methods
from diagnostics.models.classifier import Counted, Margin
from diagnostics.schema.layouts import last_maps
from tests.independent.slow_insertion_deletion import area
from tests.independent.slow_occlusion import slow_occlusion
from tests.networks_for_tests import (
    Attends,
    FunctionalResidual,
    Gap,
    classifier,
    linear,
    mlp,
    swin,
    vit,
)

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


def test_occlusion_of_an_image_that_equals_its_fill_is_blank_and_says_so():
    """In float32 the network answers the same image a little differently in another batch."""
    model = classifier(seeded(FunctionalResidual(classes=4)), 8, 3)
    grey = torch.full((2, 3, 8, 8), 0.5)
    heatmap = occlusion(model, grey, TARGET, window=2, stride=1, fill="grey")
    assert not heatmap.values.any()
    assert all("rounding" in note for note in notes(heatmap))
    noise = 3e-6 * torch.rand(4, 4)
    assert not without_rounding(noise, torch.tensor([20.0, -3.0])).any()
    assert torch.equal(without_rounding(10 * noise, torch.tensor([0.1])), 10 * noise)


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


def test_input_times_gradient_is_captums():
    network = seeded(FunctionalResidual(classes=4))
    model, images = classifier(network, 8, 3), pixels(3)
    expected = captum.attr.InputXGradient(model.logits).attribute(images.requires_grad_(), TARGET)
    found = input_x_gradient(model, images, TARGET).values
    assert torch.allclose(found, expected.sum(1), atol=1e-6)


@pytest.mark.parametrize("baseline", ["black", "grey", "white"])
def test_integrated_gradients_of_a_linear_network_are_weights_times_the_way(baseline):
    network = seeded(linear(64))
    model = classifier(network, 8, dtype=torch.float64)
    images = pixels(dtype=torch.float64)
    found = integrated_gradients(model, images, TARGET, baseline=baseline)
    start = {"black": 0.0, "grey": 0.5, "white": 1.0}[baseline]
    expected = network[1].weight[TARGET].reshape(2, 8, 8) * (images[:, 0] - start)
    assert torch.allclose(found.values, expected, atol=1e-8)


def test_integrated_gradients_add_up_to_the_difference_of_the_logits():
    network = seeded(FunctionalResidual(classes=4))
    model = classifier(network, 8, 3, dtype=torch.float64)
    images = pixels(3, dtype=torch.float64)
    found = integrated_gradients(model, images, TARGET, steps=300)
    logits = model.logits(images) - model.logits(torch.zeros_like(images))
    difference = logits.gather(1, TARGET[:, None])[:, 0]
    assert torch.allclose(found.values.sum((1, 2)), difference, rtol=2e-3)
    stated = [float(remark.split()[6].replace("−", "-")) for remark in found.remarks]
    assert stated == pytest.approx(difference.tolist(), rel=0.01)


def test_the_gradient_of_a_linear_network_is_perfectly_faithful():
    """Infidelity of Yeh et al. 2019, computed by captum: zero where the network is linear."""
    model = classifier(seeded(linear(64)), 8, dtype=torch.float64)
    images = pixels(dtype=torch.float64)
    found = gradient(model, images, TARGET, signed=True).values[:, None]

    def disturbed(inputs):
        change = 0.1 * torch.randn_like(inputs)
        return change, inputs - change

    wrong = captum.metrics.infidelity(model.logits, disturbed, images, found, target=TARGET)
    assert wrong.max() < 1e-12


@pytest.mark.parametrize("method", [input_x_gradient, integrated_gradients, occlusion])
def test_pixels_go_in_the_order_of_what_they_gave(method):
    """Contributions 3, 2, 1 and −1: the areas are known."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False))
    network[1].weight.data = torch.tensor([[3.0, 2.0, 1.0, -1.0]])
    model = classifier(network.double(), 2, dtype=torch.float64)
    options = {"fill": "black", "window": 1, "stride": 1} if method is occlusion else {}
    heatmap = method(model, torch.ones(1, 1, 2, 2).double(), torch.tensor([0]), **options)

    def score(image):
        with torch.no_grad():
            return float(model.logits(torch.from_numpy(image)[None, None]))

    whole, blank, values = np.ones((2, 2)), np.zeros((2, 2)), heatmap.values[0].numpy()
    assert area(score, whole, blank, values, insert=False) == pytest.approx(0.875)
    assert area(score, whole, blank, values, insert=True) == pytest.approx(4.125)


def test_smooth_grad_of_a_linear_network_is_its_gradient():
    network = seeded(linear(64))
    model, images = classifier(network, 8), pixels()
    found = smooth_grad(model, images, TARGET, samples=7, signed=True)
    expected = gradient(model, images, TARGET, signed=True)
    assert torch.allclose(found.values, expected.values, atol=1e-6)


def test_smooth_grad_is_the_mean_gradient_of_the_noisy_images():
    network = seeded(FunctionalResidual(classes=4))
    model, images = classifier(network, 8, 3), pixels(3)
    torch.manual_seed(5)
    found = smooth_grad(model, images, TARGET, samples=23, noise=0.2).values
    for row, image in enumerate(images):
        # Noise comes in the same order however many are drawn at once, see the chunks of ten.
        generator = torch.Generator().manual_seed(5)
        chunks = [torch.randn((n, 3, 8, 8), generator=generator) for n in (10, 10, 3)]
        noisy = (image + 0.2 * torch.cat(chunks)).requires_grad_()
        peer = captum.attr.Saliency(model.logits)
        each = peer.attribute(noisy, TARGET[row].expand(23), abs=False)
        assert torch.allclose(found[row], each.mean(0).abs().amax(0), atol=1e-6)


def test_smooth_grad_is_the_same_for_the_same_seed_and_another_for_another():
    model, images = classifier(seeded(FunctionalResidual(classes=4)), 8, 3), pixels(3)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(smooth_grad(model, images, TARGET).values)
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2])


def test_occlusion_of_a_linear_network_is_what_the_covered_pixels_gave():
    """Windows side by side: the fall of the logit is the window's part of the sum."""
    network = seeded(linear(64))
    model, images = classifier(network, 8), pixels()
    found = occlusion(model, images, TARGET, window=2, stride=2, fill="black").values
    parts = network[1].weight[TARGET].reshape(2, 8, 8) * images[:, 0]
    sums = parts.reshape(2, 4, 2, 4, 2).sum((2, 4))
    expected = sums.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.allclose(found, expected, atol=1e-4)


def test_occlusion_with_overlap_is_the_mean_over_the_windows_of_a_pixel():
    model, images = classifier(seeded(FunctionalResidual(classes=4)), 8, 3), pixels(3)
    found = occlusion(model, images, TARGET, window=2, stride=1, fill="grey").values
    expected = slow_occlusion(model, images, TARGET, window=2, stride=1, value=0.5)
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("window", "stride"), [(2, 2), (2, 1), (3, 2)])
@pytest.mark.parametrize("side", [8, 13])
def test_occlusion_covers_borders_that_windows_do_not_tile(window, stride, side):
    model, images = classifier(seeded(linear(side**2)), side), pixels(side=side)
    found = occlusion(model, images, TARGET, window=window, stride=stride, fill="black").values
    window, stride = min(window, side // 4), min(stride, window, side // 4)
    expected = slow_occlusion(model, images, TARGET, window=window, stride=stride, value=0.0)
    assert torch.allclose(found, expected, atol=1e-4)


def test_score_cam_weighs_maps_by_what_they_leave_of_the_logit():
    network = seeded(Gap())
    model, images = classifier(network, 8), pixels()
    found = score_cam(model, images, TARGET, layer="conv").values
    maps = network.conv(model.network_input(images))
    for row in range(2):
        weights = []
        for one in maps[row]:
            mask = (one - one.min()) / (one.max() - one.min())
            weights.append(model.logits(images[row : row + 1] * mask)[0, TARGET[row]])
        shares = torch.stack(weights).softmax(0)
        expected = (shares[:, None, None] * maps[row]).sum(0).relu()
        assert torch.allclose(found[row], expected, atol=1e-5)


def test_rollout_of_one_layer_is_half_of_its_mean_attention():
    network = seeded(Attends("fused"))
    model, images = classifier(network, 12), pixels(side=12)
    found = attention_rollout(model, images, TARGET).values
    weights = model.trace(images, ["attn.attention"]).activations["attn.attention"]
    expected = 0.5 * weights.mean(1)[:, 0, 1:].reshape(2, 3, 3)
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("method", "kept"), [(attention_rollout, 0.5), (gradient_rollout, 1.0)])
def test_rollout_follows_the_layers_one_by_one(method, kept):
    """A slow second implementation: one matrix product after the other, per image."""
    network = seeded(vit())
    model, images = classifier(network, 16, 3), pixels(3, 16)
    names = [layer.name for layer in model.spec.layers if layer.kind == "attention"]
    trace = model.trace(images, names)
    found = method(model, images, TARGET).values
    for row in range(2):
        reached = torch.eye(17)
        for name in names:
            weights = trace.activations[name][row]
            if kept == 1.0:
                slope = trace.layer_gradient(TARGET, name)[row]
                mix = torch.clamp(slope * weights, min=0).mean(0)
            else:
                mix = weights.mean(0) / 2
            reached = kept * reached + mix @ reached
        expected = reached[0, 1:].reshape(4, 4)
        assert torch.allclose(found[row], expected, atol=1e-5)


def test_a_rollout_follows_the_tokens_that_the_answer_is_read_from():
    """With a class token that the head does not read, the patches' mean is followed."""
    network = seeded(Attends("fused", reads="mean"))
    model, images = classifier(network, 12), pixels(side=12)
    weights = model.trace(images, ["attn.attention"]).activations["attn.attention"].mean(1)
    expected = 0.5 * weights[:, 1:, 1:].mean(1) + 0.5 / 9
    found = attention_rollout(model, images, TARGET).values
    assert torch.allclose(found, expected.reshape(2, 3, 3), atol=1e-6)


@pytest.mark.parametrize("way", ["module", "fused", "softmax"])
def test_grad_cam_on_tokens_weighs_them_on_their_grid(way):
    network = seeded(Attends(way))
    model, images = classifier(network, 12), pixels(side=12)
    found = grad_cam(model, images, TARGET).values
    assert last_maps(model.spec) == "norm1"
    trace = model.trace(images, ["norm1"])
    tokens = trace.activations["norm1"][:, 1:].reshape(2, 3, 3, 8)
    slopes = trace.layer_gradient(TARGET, "norm1")[:, 1:].mean(1)
    expected = torch.einsum("nhwc,nc->nhw", tokens, slopes).relu()
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("against", [2, None])
def test_a_margin_is_the_difference_of_two_logits(against):
    network = seeded(linear(64))
    model, images = classifier(network, 8), pixels()
    margin = Margin(model, against)
    logits = model.logits(images)
    for row in range(2):
        for index in range(4):
            others = [k for k in range(4) if k != index]
            other = against if against is not None else max(others, key=lambda k: logits[row, k])
            expected = logits[row, index] - logits[row, other]
            assert margin.logits(images)[row, index] == pytest.approx(expected.item(), abs=1e-5)
    strongest = [
        max((k for k in range(4) if k != t), key=lambda k: logits[r, k])
        for r, t in enumerate(TARGET)
    ]
    other = [against] * 2 if against is not None else strongest
    weights = network[1].weight
    expected = (weights[TARGET] - weights[other]).reshape(2, 8, 8)
    assert torch.allclose(gradient(margin, images, TARGET, signed=True).values, expected)


NETWORKS = {
    "residual": (lambda channels: FunctionalResidual(channels, 4), 8),
    "mlp": (lambda channels: mlp(64, 4, channels), 8),
    "vit": (vit, 16),
    "swin": (swin, 16),
    "attention": (lambda channels: Attends("fused", channels), 12),
}
NEED_MAPS = {"attribution/grad_cam", "attribution/score_cam"}
NEED_TOKENS = {"attribution/attention_rollout", "attribution/gradient_rollout"}
NEED_RULES = {"attribution/deep_lift", "attribution/guided_backprop"}  # for every activation


def answers(method, network):
    """Say whether a method should answer for a network; in words why not is tested below."""
    if method in NEED_RULES:
        return network in ("residual", "mlp")
    if method in NEED_TOKENS:
        return network in ("vit", "attention")
    return method not in NEED_MAPS or network != "mlp"


def every_attribution():
    return [method for method in methods("map")]


@pytest.mark.parametrize("method", every_attribution(), ids=lambda method: method.info.id)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_method_keeps_the_familys_promise(method, channels, name):
    make, side = NETWORKS[name]
    model = classifier(seeded(make(channels)), side, channels)
    images, before = pixels(channels, side), torch.get_rng_state()
    if not answers(method.info.id, name):
        missing = set(method.info.needs) - model.spec.offers
        with pytest.raises(NotOfferedError) if not missing else contextlib.nullcontext():
            assert missing or method.function(model, images, TARGET)
        return
    heatmap = method.function(model, images, TARGET)
    check(heatmap, images)
    assert torch.isfinite(heatmap.values).all()
    assert heatmap.values.any() or all(notes(heatmap))
    alone = method.function(model, images[:1], TARGET[:1])
    assert torch.allclose(heatmap.values[:1], alone.values, atol=1e-4)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in model.network.parameters())
    assert not any(len(module._forward_hooks) for module in model.network.modules())


@pytest.mark.parametrize("method", every_attribution(), ids=lambda method: method.info.id)
def test_a_method_asks_as_often_as_it_says(method):
    network = mlp(144, 4, 3) if method.info.id in NEED_RULES else Attends("fused", 3)
    model = classifier(seeded(network), 12, 3)
    asked = []
    counted = Counted(model, asked.append)
    settings = method.info.check({})
    method.function(counted, pixels(3, 12), TARGET, **settings)
    passes = method.forward_passes(model.spec, **settings)
    assert sum(asked) == pytest.approx(2 * passes, abs=2)
    assert method.info.expensive == (passes > 1)


@pytest.mark.parametrize("method", every_attribution(), ids=lambda method: method.info.id)
def test_every_method_says_what_it_is(method):
    assert method.info.summary.endswith(".")
    assert method.info.source
    assert all(option.help for option in method.info.options)
    assert find(method.info.id) is method
