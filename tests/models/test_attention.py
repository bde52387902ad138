import pytest
import timm
import torch
from torch import nn

from diagnostics.errors import NotOfferedError
from diagnostics.methods.attribution.attention_rollout import attention_rollout
from diagnostics.methods.attribution.gradient_rollout import gradient_rollout
from diagnostics.models.attention import (
    attention_of_token,
    global_layers,
    pooled_tokens,
    read_tokens,
    rollout,
    token_pool,
)
from diagnostics.schema.spec import LayerInfo, Need
from tests.networks_for_tests import classifier, swin, vit

SIZE = (8, 8)


def test_attention_is_drawn_from_the_class_token_unless_another_is_asked_for():
    weights = torch.rand(3, 17, 17)
    maps, words = attention_of_token(weights, SIZE)
    assert torch.equal(maps, weights[:, 0, 1:].reshape(3, 4, 4))
    assert words == "query: the class token"
    maps, words = attention_of_token(weights, SIZE, 7)
    assert torch.equal(maps, weights[:, 7, 1:].reshape(3, 4, 4))
    assert words == "query: the token at row 1, column 2"
    assert attention_of_token(weights, SIZE, 99)[1] == "query: the token at row 3, column 3"


def test_without_a_class_token_the_middle_one_asks():
    weights = torch.rand(2, 16, 16)
    maps, words = attention_of_token(weights, SIZE)
    assert torch.equal(maps, weights[:, 10].reshape(2, 4, 4))
    assert words == "query: the token at row 2, column 2"


def test_the_middle_token_of_a_grid_that_is_no_square_lies_in_its_middle_row_and_column():
    weights = torch.rand(2, 8, 8)
    maps, words = attention_of_token(weights, (8, 16))
    assert torch.equal(maps, weights[:, 6].reshape(2, 2, 4))
    assert words == "query: the token at row 1, column 2"
    maps, words = attention_of_token(weights, (16, 8))
    assert torch.equal(maps, weights[:, 5].reshape(2, 4, 2))
    assert words == "query: the token at row 2, column 1"


def test_in_windows_the_window_is_named():
    weights = torch.rand(16, 2, 4, 4)
    maps, words = attention_of_token(weights, SIZE)
    assert torch.equal(maps, weights[10, :, 3].reshape(2, 2, 2))
    assert words == "query: the token at row 1, column 1 of window 10, of 16 windows"
    maps, _ = attention_of_token(weights, SIZE, 5)
    assert torch.equal(maps, weights[1, :, 1].reshape(2, 2, 2))


def test_a_rollout_that_mixes_nothing_keeps_the_class_token_to_itself():
    spec = classifier(vit(), 16, 3).spec
    nothing = [torch.zeros(1, 17, 17)] * 3
    read = torch.zeros(1, 17)
    read[0, 0] = 1
    assert not rollout(nothing, 1.0, spec, read).any()
    even = [torch.full((1, 17, 17), 0.5 / 17)] * 4
    expected = (1 - 0.5**4) / 17
    assert rollout(even, 0.5, spec, read).flatten().tolist() == pytest.approx([expected] * 16)


def test_a_rollout_follows_the_layers_from_the_first_to_the_last():
    """Token 5 takes from token 9 in the first layer, and the class token from 5 in the second."""
    spec = classifier(vit(), 16, 3).spec
    first, second = torch.zeros(1, 17, 17), torch.zeros(1, 17, 17)
    first[0, 5, 9] = second[0, 0, 5] = 1
    read = torch.zeros(1, 17)
    read[0, 0] = 1
    reached = rollout([first, second], 1.0, spec, read).flatten().nonzero().flatten()
    assert reached.tolist() == [4, 8]  # the class token is no patch
    reached = rollout([second, first], 1.0, spec, read).flatten().nonzero().flatten()
    assert reached.tolist() == [4]


def test_the_tokens_that_are_read_are_those_whose_attention_matters():
    gradient = torch.zeros(2, 3, 5, 5)
    gradient[0, 1, 0, 2] = 1.0  # a class token
    gradient[1, 0, 0, 4] = gradient[1, 2, 1, 3] = -2.0  # and one of distillation beside it
    expected = torch.tensor([[1, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0]])
    assert torch.equal(read_tokens(gradient), expected)
    assert torch.equal(read_tokens(torch.zeros(1, 1, 4, 4)), torch.full((1, 4), 0.25))


def test_windows_beside_whole_images_have_no_rollout():
    """The last layers of a Swin see the whole image; following those alone would be no rollout."""
    layers = (
        LayerInfo("first", "attention", (4, 3, 4, 4)),
        LayerInfo("last", "attention", (3, 16, 16)),
    )
    with pytest.raises(NotOfferedError, match="same tokens"):
        global_layers(layers, (16, 16))
    assert global_layers(layers[1:], (16, 16)) == layers[1:]


def test_a_network_that_merges_tokens_has_no_rollout():
    with pytest.raises(NotOfferedError, match="same tokens"):
        global_layers(classifier(swin(), 16, 3).spec.layers, (16, 16))


def test_nobody_says_that_swin_has_no_attention():
    spec = classifier(swin(), 16, 3).spec
    assert any(layer.kind == "attention" for layer in spec.layers)
    assert Need.ATTENTION not in spec.offers
    assert "no attention" not in spec.why_not(Need.ATTENTION)
    assert "works in windows" in spec.why_not(Need.ATTENTION)


def test_the_query_that_pools_all_tokens_is_no_class_token():
    weights = torch.rand(2, 1, 16)
    maps, words = attention_of_token(weights, SIZE)
    assert torch.equal(maps, weights[:, 0].reshape(2, 4, 4))
    assert words == "query: the one that pools all tokens"


def siglip():
    """timm's SigLIP, made small: 4 × 4 patches, and a pool of one query that reads all of them."""
    torch.manual_seed(0)
    size = {"img_size": 16, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2}
    network = timm.create_model("vit_base_patch16_siglip_224", num_classes=4, **size).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


def test_siglip_has_attention_and_its_rollout_reads_what_its_pool_reads():
    """A slow second implementation: one matrix product after the other, per image."""
    model = classifier(siglip(), 16, 3)
    assert Need.ATTENTION in model.spec.offers
    pool = token_pool(model.spec.layers)
    names = [layer.name for layer in global_layers(model.spec.layers, (16, 16))]
    assert len(names) == 2
    assert pool.shape == (2, 1, 16)
    images, target = torch.rand(2, 3, 16, 16), torch.tensor([1, 3])
    trace = model.trace(images, [*names, pool.name])
    values = attention_rollout(model, images, target).values
    raised = gradient_rollout(model, images, target).values
    for row in range(2):
        reached, relevant = torch.eye(16), torch.eye(16)
        for name in names:
            weights = trace.activations[name][row]
            slope = trace.layer_gradient(target, name)[row]
            reached = 0.5 * reached + 0.5 * weights.mean(0) @ reached
            relevant = relevant + torch.clamp(slope * weights, min=0).mean(0) @ relevant
        read = trace.activations[pool.name][row].mean(0)
        assert torch.allclose(values[row].flatten(), (read @ reached)[0], atol=1e-5)
        slope = trace.layer_gradient(target, pool.name)[row]
        read = torch.clamp(slope * trace.activations[pool.name][row], min=0).mean(0)
        assert torch.allclose(raised[row].flatten(), (read @ relevant)[0] / read.sum(), atol=1e-5)
    assert values.sum((1, 2)).tolist() == pytest.approx([1, 1])


def test_a_pool_that_reads_nothing_has_equal_shares():
    mix = torch.zeros(2, 1, 4)
    mix[0, 0, 2] = 3.0
    assert pooled_tokens(mix).tolist() == [[0, 0, 1, 0], [0.25] * 4]


def test_a_pool_beside_the_answer_is_not_followed():
    """The SigLIP of transformers averages its tokens, and computes its pool for nobody."""
    transformers = pytest.importorskip("transformers")
    settings = {"image_size": 16, "patch_size": 4, "hidden_size": 16, "intermediate_size": 16}
    vision = settings | {"num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.SiglipConfig(vision_config=vision, num_labels=4)
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    network = transformers.SiglipForImageClassification(config).eval()
    model = classifier(Logits(network), 16, 3)
    assert Need.ATTENTION in model.spec.offers
    images, target = torch.rand(2, 3, 16, 16), torch.tensor([1, 3])
    names = [layer.name for layer in global_layers(model.spec.layers, (16, 16))]
    trace = model.trace(images, names)
    values = attention_rollout(model, images, target).values
    for row in range(2):
        reached = torch.eye(16)
        for name in names:
            reached = 0.5 * reached + 0.5 * trace.activations[name][row].mean(0) @ reached
        assert torch.allclose(values[row].flatten(), reached.mean(0), atol=1e-5)


class Logits(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(pixel_values=images).logits
