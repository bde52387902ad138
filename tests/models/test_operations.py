import pytest
import torch

from diagnostics.models.layers import capture
from tests.networks_for_tests import Attends, swin, vit

WAYS = ["module", "fused", "softmax"]
LAYER = {"module": "attn.whole.attention", "fused": "attn.attention", "softmax": "attn.attention"}


def attended(way, images=3):
    torch.manual_seed(0)
    network = Attends(way).eval()
    return network, torch.rand(images, 1, 12, 12)


def by_hand(network, pixels):
    """Attention weights from the definition: softmax(Q K^T / sqrt(d))."""
    tokens = network.patches(pixels).flatten(2).mT
    tokens = torch.cat([network.token.expand(len(tokens), -1, -1), tokens], 1)
    queries, keys, _ = network.attn.split(network.norm1(tokens))
    return torch.softmax(queries @ keys.mT / 4**0.5, -1)


@pytest.mark.parametrize("way", WAYS)
def test_attention_weights_are_the_softmax_of_scaled_products(way):
    network, pixels = attended(way)
    with capture(network) as activations, torch.no_grad():
        network(pixels)
    weights = activations[LAYER[way]]
    assert weights.shape == (3, 2, 10, 10)
    assert torch.allclose(weights, by_hand(network, pixels), atol=1e-6)
    assert torch.allclose(weights.sum(-1), torch.ones(3, 2, 10), atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_hearing_attention_does_not_change_the_answer(way):
    network, pixels = attended(way)
    plain = network(pixels)
    with capture(network):
        heard = network(pixels)
    assert torch.allclose(plain, heard, atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_the_gradient_of_attention_weights_is_that_of_the_definition(way):
    """The head is linear in the attended values, so the gradient has a closed form."""
    network, pixels = attended(way)
    network.eval().requires_grad_(False)
    with capture(network) as activations:
        score = network(pixels.requires_grad_())[:, 1].sum()
    (found,) = torch.autograd.grad(score, activations[LAYER[way]])
    out = network.attn.whole.out_proj.weight.T @ network.head.weight[1]
    tokens = network.patches(pixels).flatten(2).mT
    tokens = torch.cat([network.token.expand(len(tokens), -1, -1), tokens], 1)
    _, _, values = network.attn.split(network.norm1(tokens))
    expected = torch.einsum("nhkd,hd->nhk", values, out.reshape(2, 4))
    assert torch.allclose(found[:, :, 0], expected, atol=1e-5)
    assert not found[:, :, 1:].any()


def test_masks_scales_and_shared_keys_are_those_of_the_fused_function():
    from diagnostics.models._operations import Operations

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
            found = fused(*arguments, **options)
        assert torch.allclose(found.nan_to_num(), expected.nan_to_num(), atol=1e-6), options


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
    heard = [name for name in activations if name.endswith("attention") and "layer_" in name]
    assert [activations[name].shape for name in heard if name.endswith(".attention")] == [
        (2, 2, 17, 17)
    ] * 2
