import pytest
import torch
from torch import nn

from diagnostics.models.layers import Operations, capture, list_layers
from diagnostics.schema.layouts import layout, representative, token_grid
from diagnostics.schema.spec import LayerInfo
from tests.networks_for_tests import Attends, FunctionalResidual, classifier, swin, vit


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
        recorded = network(pixels)
    (same,) = torch.autograd.grad(recorded.sum(), pixels)
    assert torch.equal(plain, recorded)
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
    with capture(network, ["act", "act#2"]) as activations:
        network(values)
    assert torch.equal(activations["act"], values.relu())
    assert torch.equal(activations["act#2"], (values.relu() - 1).relu())
    with capture(network, ["act#2"]) as activations:
        network(values)
    assert list(activations) == ["act#2"]


def test_a_layer_that_never_ran_is_listed_last_and_without_a_shape():
    layers = list_layers(FunctionalResidual().eval(), torch.rand(2, 3, 8, 8))
    names = [layer.name for layer in layers]
    assert names == ["stem", "norm", "act", "body", "add", "relu", "mean", "fc", "unused"]
    assert layers[-1].shape == ()
    assert layers[0] == LayerInfo("stem", "Conv2d", (8, 8, 8))
    assert layers[4] == LayerInfo("add", "add", (8, 8, 8))


def test_a_container_shares_its_last_layers_values_and_both_are_true():
    network = nn.Sequential(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), nn.ReLU(inplace=True))
    values = torch.randn(2, 4)
    with capture(network, ["0", "0.1", "1"]) as activations:
        network(values)
    assert torch.equal(activations["0"], network[0](values))
    assert torch.equal(activations["0.1"], network[0](values))
    assert torch.equal(activations["1"], network[0](values).relu())


def test_functional_operations_are_recorded_with_what_they_gave():
    torch.manual_seed(0)
    network = FunctionalResidual().eval()
    pixels = torch.rand(2, 3, 8, 8)
    with capture(network) as activations:
        network(pixels)
    before = network.norm(network.stem(pixels)).relu()
    total = before + network.body(before)
    assert torch.equal(activations["add"], total)
    assert torch.equal(activations["relu"], total.relu())
    assert torch.equal(activations["mean"], total.relu().mean((2, 3)))


def test_a_sum_in_place_is_recorded_and_leaves_what_it_overwrote():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, values):
            result = self.first(values)
            result += values
            result.relu_()
            return self.second(result)

    network, values = InPlace(), torch.randn(3, 4)
    with capture(network) as activations:
        answer = network(values)
    first = network.first(values)
    assert torch.equal(activations["first"], first)
    assert torch.equal(activations["add"], first + values)
    assert torch.equal(answer, network.second((first + values).relu()))
    assert "relu" not in activations or torch.equal(activations["relu"], (first + values).relu())


def test_gradients_reach_functional_operations():
    torch.manual_seed(0)
    network = FunctionalResidual(classes=4).eval()
    model = classifier(network, 8, 3)
    trace = model.trace(torch.rand(2, 3, 8, 8), ["relu", "mean"])
    target = torch.tensor([1, 3])
    expected = network.fc.weight[target]
    assert torch.allclose(trace.layer_gradient(target, "mean"), expected)
    assert torch.allclose(trace.layer_gradient(target, "relu").sum((2, 3)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((64, 56, 56), "channels"),
        ((56, 56, 96), "channels last"),
        ((512, 1, 1), "channels"),
        ((64, 55, 56), "channels"),
        ((3, 197, 64), "other"),
        ((10,), "dense"),
        ((197, 768), "tokens"),
        ((), "not captured"),
        ((2, 3, 4, 5), "other"),
    ],
)
def test_outputs_are_told_apart_by_their_shape(shape, expected):
    assert layout(LayerInfo("layer", "Conv2d", shape), (224, 224)) == expected


@pytest.mark.parametrize(
    ("tokens", "size", "expected"),
    [
        (197, (224, 224), (1, 14, 14)),
        (196, (224, 224), (0, 14, 14)),
        (201, (224, 224), (5, 14, 14)),
        (50, (224, 224), (1, 7, 7)),
        (1 + 14 * 28, (224, 448), (1, 14, 28)),
        (1, (224, 224), None),
        (30, (224, 448), None),
    ],
)
def test_the_grid_of_tokens_has_the_images_proportions(tokens, size, expected):
    assert token_grid(tokens, size) == expected


def test_the_representative_layers_end_each_size():
    shapes = {"a": (4, 8, 8), "b": (4, 8, 8), "c": (8, 4, 4), "d": (8, 1, 1), "e": (10,)}
    layers = [LayerInfo(name, "Conv2d", shape) for name, shape in shapes.items()]
    assert representative(layers, (8, 8)) == ("b", "c", "e")


STYLES = ["module", "fused", "softmax"]
LAYER = {"module": "attn.whole.attention", "fused": "attn.attention", "softmax": "attn.attention"}


def attending_network(style, images=3):
    torch.manual_seed(0)
    network = Attends(style).eval()
    return network, torch.rand(images, 1, 12, 12)


def by_hand(network, pixels):
    """Attention weights from the definition: softmax(Q K^T / sqrt(d))."""
    tokens = network.patches(pixels).flatten(2).mT
    tokens = torch.cat([network.token.expand(len(tokens), -1, -1), tokens], 1)
    queries, keys, _ = network.attn.split(network.norm1(tokens))
    return torch.softmax(queries @ keys.mT / 4**0.5, -1)


@pytest.mark.parametrize("style", STYLES)
def test_attention_weights_are_the_softmax_of_scaled_products(style):
    network, pixels = attending_network(style)
    with capture(network) as activations, torch.no_grad():
        network(pixels)
    weights = activations[LAYER[style]]
    assert weights.shape == (3, 2, 10, 10)
    assert torch.allclose(weights, by_hand(network, pixels), atol=1e-6)
    assert torch.allclose(weights.sum(-1), torch.ones(3, 2, 10), atol=1e-6)


@pytest.mark.parametrize("style", STYLES)
def test_hearing_attention_does_not_change_the_answer(style):
    network, pixels = attending_network(style)
    plain = network(pixels)
    with capture(network):
        recorded = network(pixels)
    assert torch.allclose(plain, recorded, atol=1e-6)


@pytest.mark.parametrize("style", STYLES)
def test_the_gradient_of_attention_weights_is_that_of_the_definition(style):
    """The head is linear in the attended values, so the gradient has a closed form."""
    network, pixels = attending_network(style)
    network.eval().requires_grad_(False)
    with capture(network) as activations:
        score = network(pixels.requires_grad_())[:, 1].sum()
    (gradient,) = torch.autograd.grad(score, activations[LAYER[style]])
    out = network.attn.whole.out_proj.weight.T @ network.head.weight[1]
    tokens = network.patches(pixels).flatten(2).mT
    tokens = torch.cat([network.token.expand(len(tokens), -1, -1), tokens], 1)
    _, _, values = network.attn.split(network.norm1(tokens))
    expected = torch.einsum("nhkd,hd->nhk", values, out.reshape(2, 4))
    assert torch.allclose(gradient[:, :, 0], expected, atol=1e-5)
    assert not gradient[:, :, 1:].any()


def test_masks_scales_and_shared_keys_are_those_of_the_fused_function():
    fused = torch.nn.functional.scaled_dot_product_attention
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 5, 3), torch.randn(2, 2, 5, 3), torch.randn(2, 2, 5, 3)
    wide = key.repeat_interleave(2, 1)
    ways = [
        ((query, wide, wide), {"is_causal": True}),
        ((query, wide, wide), {"scale": 0.3}),
        ((query, wide, wide), {"attn_mask": torch.rand(5, 5) > 0.3}),
        ((query, wide, wide), {"attn_mask": torch.randn(2, 4, 5, 5)}),
        ((query, key, value), {"enable_gqa": True}),
    ]
    for arguments, options in ways:
        expected = fused(*arguments, **options)
        with Operations(lambda _, result: result):
            gradient = fused(*arguments, **options)
        assert torch.allclose(gradient.nan_to_num(), expected.nan_to_num(), atol=1e-6), options


def test_windows_are_kept_apart_for_every_image():
    torch.manual_seed(0)
    network, pixels = swin().eval(), torch.rand(3, 3, 16, 16)
    with capture(network) as activations, torch.no_grad():
        answer = network(pixels)
    weights = activations["features.1.0.attn.attention"]
    assert weights.shape == (3, 16, 2, 4, 4)
    with capture(network) as alone, torch.no_grad():
        network(pixels[1:2])
    assert torch.allclose(weights[1:2], alone["features.1.0.attn.attention"], atol=1e-6)
    assert torch.allclose(answer, network(pixels), atol=1e-6)


def test_a_transformer_of_torchvision_is_heard_in_every_block():
    network, pixels = vit().eval(), torch.rand(2, 3, 16, 16)
    with capture(network) as activations, torch.no_grad():
        network(pixels)
    recorded = [name for name in activations if name.endswith("attention") and "layer_" in name]
    assert [activations[name].shape for name in recorded if name.endswith(".attention")] == [
        (2, 2, 17, 17)
    ] * 2
