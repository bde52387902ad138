import numpy as np
import pytest
import torch

from diagnostics.models.activations import count_silent, view
from diagnostics.schema.spec import LayerInfo

SIZE = (8, 8)


def views_of(values, kind="Conv2d", drawn=True, **options):
    layer = LayerInfo("layer", kind, tuple(values.shape[1:]))
    names = ["layer"] if drawn else []
    views = view(
        [layer], {"layer": values}, names, SIZE, len(values), **{"max_maps": 24, **options}
    )
    count_silent(views)
    return [layers[0] for layers in views]


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
    for image, view_of_image in zip(values, views_of(values, kind), strict=True):
        expected = slow_numbers(image, axis)
        if kind == "attention":  # its rows sum to one, so that all heads are equally active
            assert view_of_image.entry["participation"] is None
            expected.pop("participation")
        assert {key: view_of_image.entry[key] for key in expected} == pytest.approx(
            expected, rel=1e-5
        )


def test_units_are_silent_when_nothing_moves_them():
    values = torch.rand(3, 5, 4, 4) + 0.1
    values[:, 1] = 0
    values[:, 3] = 0.7
    values[2, 4] = values[1, 4] = values[0, 4]
    (view_of_image, *_) = views_of(values)
    assert view_of_image.entry["silent"] == {"units": 5, "silent": 2, "images": 3}


def test_a_single_value_is_silent_only_when_it_is_zero():
    (view_of_image,) = views_of(torch.tensor([[0.0, 1.0, -2.0, 0.0]]), "Linear")
    assert view_of_image.entry["silent"] == {"units": 4, "silent": 2, "images": 1}
    view_of_image, _ = views_of(
        torch.tensor([[0.0, 1.0, 3.0, 0.0], [0.0, 1.0, 4.0, 1.0]]), "Linear"
    )
    assert view_of_image.entry["silent"] == {"units": 4, "silent": 2, "images": 2}


def test_one_active_unit_has_a_participation_of_one_over_their_number():
    values = torch.zeros(2, 8)
    values[0, 3], values[1] = 5.0, 2.0
    view_of_image, other = views_of(values, "Linear")
    assert view_of_image.entry["participation"] == pytest.approx(1 / 8)
    assert other.entry["participation"] == pytest.approx(1)


def test_values_that_are_no_numbers_are_no_statistics_and_no_error():
    values = torch.rand(2, 3, 4, 4)
    values[1, 1, 0, 0] = float("nan")
    view_of_image, other = views_of(values)
    assert view_of_image.entry["high"] is not None
    assert other.entry["high"] is None
    assert view_of_image.entry["silent"]["images"] == 1


def test_the_strongest_maps_are_drawn_and_named():
    values = torch.stack([torch.full((4, 4), level) for level in (1.0, 3.0, -4.0, 2.0)])[None]
    (view_of_image,) = views_of(values, max_maps=3)
    assert view_of_image.entry["channels"] == [2, 1, 3]
    assert view_of_image.values[:, 0, 0].tolist() == [-4.0, 3.0, 2.0]


def test_tokens_are_drawn_on_their_grid_without_the_class_token():
    tokens = torch.arange(17.0)[:, None].repeat(1, 2)[None]
    (view_of_image,) = views_of(tokens, "LayerNorm")
    assert view_of_image.values.shape == (2, 4, 4)
    assert (view_of_image.values[0] == np.arange(1, 17).reshape(4, 4)).all()
    assert view_of_image.entry["note"] == "1 extra token left out"


def test_tokens_without_a_grid_stay_a_table():
    (view_of_image,) = views_of(torch.rand(1, 30, 6), "Linear")
    assert view_of_image.entry["layout"] == "tokens"
    assert view_of_image.values.shape == (30, 6)
