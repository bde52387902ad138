import numpy as np
import pytest
import torch

from diagnostics.errors import NotOfferedError
from diagnostics.models.activations import count_silent, view
from diagnostics.models.attention import followed, global_layers, seen_from, tokens_read
from diagnostics.schema.spec import LayerInfo
from tests.networks_for_tests import classifier, swin, vit

SIZE = (8, 8)


def viewed(values, kind="Conv2d", drawn=True, **options):
    layer = LayerInfo("layer", kind, tuple(values.shape[1:]))
    names = ["layer"] if drawn else []
    found = view([layer], {"layer": values}, names, SIZE, len(values), **{"most": 24, **options})
    count_silent(found)
    return [one[0] for one in found]


def slow_numbers(image, unit_axis):
    """Statistics from their definitions, in float64."""
    values = image.double().numpy()
    units = np.moveaxis(values, unit_axis, 0).reshape(values.shape[unit_axis], -1)
    strength = np.abs(units).mean(1)
    return {
        "low": values.min(),
        "high": values.max(),
        "mean": values.mean(),
        "std": values.std(),
        "zeros": (values == 0).mean(),
        "participation": strength.sum() ** 2 / (len(strength) * (strength**2).sum()),
    }


ARRANGEMENTS = {
    "channels": ((5, 4, 4), "Conv2d", 0),
    "channels last": ((4, 4, 5), "LayerNorm", 2),
    "dense": ((7,), "Linear", 0),
    "tokens": ((17, 6), "Linear", 1),
    "attention": ((3, 17, 17), "attention", 0),
    "windows": ((4, 3, 4, 4), "attention", 1),
}


@pytest.mark.parametrize("name", ARRANGEMENTS)
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_statistics_are_those_of_the_definitions(name, memory):
    shape, kind, axis = ARRANGEMENTS[name]
    torch.manual_seed(0)
    values = torch.randn(3, *shape).relu() - 0.1 * torch.rand(3, *shape).round()
    if values.ndim == 4:
        values = values.contiguous(memory_format=memory)
    for image, one in zip(values, viewed(values, kind), strict=True):
        expected = slow_numbers(image, axis)
        if kind == "attention":  # its rows sum to one, so that all heads are equally active
            assert one.entry["participation"] is None
            expected.pop("participation")
        assert {key: one.entry[key] for key in expected} == pytest.approx(expected, rel=1e-5)


def test_units_are_silent_when_nothing_moves_them():
    values = torch.rand(3, 5, 4, 4) + 0.1
    values[:, 1] = 0
    values[:, 3] = 0.7
    values[2, 4] = values[1, 4] = values[0, 4]
    (one, *_) = viewed(values)
    assert one.entry["silent"] == {"units": 5, "silent": 2, "images": 3}


def test_a_single_value_is_silent_only_when_it_is_zero():
    (one,) = viewed(torch.tensor([[0.0, 1.0, -2.0, 0.0]]), "Linear")
    assert one.entry["silent"] == {"units": 4, "silent": 2, "images": 1}
    one, _ = viewed(torch.tensor([[0.0, 1.0, 3.0, 0.0], [0.0, 1.0, 4.0, 1.0]]), "Linear")
    assert one.entry["silent"] == {"units": 4, "silent": 2, "images": 2}


def test_one_active_unit_has_a_participation_of_one_over_their_number():
    values = torch.zeros(2, 8)
    values[0, 3], values[1] = 5.0, 2.0
    one, other = viewed(values, "Linear")
    assert one.entry["participation"] == pytest.approx(1 / 8)
    assert other.entry["participation"] == pytest.approx(1)


def test_values_that_are_no_numbers_are_no_statistics_and_no_error():
    values = torch.rand(2, 3, 4, 4)
    values[1, 1, 0, 0] = float("nan")
    one, other = viewed(values)
    assert one.entry["high"] is not None
    assert other.entry["high"] is None
    assert one.entry["silent"]["images"] == 1


def test_the_strongest_maps_are_drawn_and_named():
    values = torch.stack([torch.full((4, 4), level) for level in (1.0, 3.0, -4.0, 2.0)])[None]
    (one,) = viewed(values, most=3)
    assert one.entry["channels"] == [2, 1, 3]
    assert one.drawn[:, 0, 0].tolist() == [-4.0, 3.0, 2.0]


def test_tokens_are_drawn_on_their_grid_without_the_class_token():
    tokens = torch.arange(17.0)[:, None].repeat(1, 2)[None]
    (one,) = viewed(tokens, "LayerNorm")
    assert one.drawn.shape == (2, 4, 4)
    assert (one.drawn[0] == np.arange(1, 17).reshape(4, 4)).all()
    assert one.entry["note"] == "1 extra token left out"


def test_tokens_without_a_grid_stay_a_table():
    (one,) = viewed(torch.rand(1, 30, 6), "Linear")
    assert one.entry["layout"] == "tokens"
    assert one.drawn.shape == (30, 6)


def test_attention_is_drawn_from_the_class_token_unless_another_is_asked_for():
    weights = torch.rand(3, 17, 17)
    maps, words = seen_from(weights, SIZE)
    assert torch.equal(maps, weights[:, 0, 1:].reshape(3, 4, 4))
    assert words == "query: the class token"
    maps, words = seen_from(weights, SIZE, 7)
    assert torch.equal(maps, weights[:, 7, 1:].reshape(3, 4, 4))
    assert words == "query: the token at row 1, column 2"
    assert seen_from(weights, SIZE, 99)[1] == "query: the token at row 3, column 3"


def test_without_a_class_token_the_middle_one_asks():
    weights = torch.rand(2, 16, 16)
    maps, words = seen_from(weights, SIZE)
    assert torch.equal(maps, weights[:, 10].reshape(2, 4, 4))
    assert words == "query: the token at row 2, column 2"


def test_in_windows_the_window_is_named():
    weights = torch.rand(16, 2, 4, 4)
    maps, words = seen_from(weights, SIZE)
    assert torch.equal(maps, weights[10, :, 3].reshape(2, 2, 2))
    assert words == "query: the token at row 1, column 1 of window 10, of 16 windows"
    maps, _ = seen_from(weights, SIZE, 5)
    assert torch.equal(maps, weights[1, :, 1].reshape(2, 2, 2))


def test_a_rollout_that_mixes_nothing_keeps_the_class_token_to_itself():
    spec = classifier(vit(), 16, 3).spec
    nothing = [torch.zeros(1, 17, 17)] * 3
    read = torch.zeros(1, 17)
    read[0, 0] = 1
    assert not followed(nothing, 1.0, spec, read).any()
    even = [torch.full((1, 17, 17), 0.5 / 17)] * 4
    expected = (1 - 0.5**4) / 17
    assert followed(even, 0.5, spec, read).flatten().tolist() == pytest.approx([expected] * 16)


def test_the_tokens_that_are_read_are_those_whose_attention_matters():
    slope = torch.zeros(2, 3, 5, 5)
    slope[0, 1, 0, 2] = 1.0  # a class token
    slope[1, 0, 0, 4] = slope[1, 2, 1, 3] = -2.0  # and one of distillation beside it
    expected = torch.tensor([[1, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0]])
    assert torch.equal(tokens_read(slope), expected)
    assert torch.equal(tokens_read(torch.zeros(1, 1, 4, 4)), torch.full((1, 4), 0.25))


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
