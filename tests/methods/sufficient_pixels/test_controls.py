"""The controls beside a subset: each measures what it says, on models whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diagnostics.errors import OptionError
from diagnostics.methods.sufficient_pixels._backward_selection import MaskedImage
from diagnostics.methods.sufficient_pixels._controls import (
    border_mask,
    box_mask,
    dilate,
    draw_wrong_classes,
    measure_region,
    other_fills,
    widened_subset,
)
from diagnostics.methods.sufficient_pixels._infill import Infill
from diagnostics.methods.sufficient_pixels._verdict import wrong_classes_hold
from diagnostics.schema.results.sufficient_pixels import WrongClass, WrongClasses
from tests.methods.sufficient_pixels.models import SIZE, Constant, Spots
from tests.networks_for_tests import classifier


def test_a_subset_of_another_class_does_harm_where_it_is_not_twice_as_large():
    classes = [
        WrongClass(index=index, name=f"class {index}", size=size, confidence=0.9, one_minus_p=0.1)
        for index, size in enumerate((40, None))
    ]
    sizes = WrongClasses(classes=classes, n_found=1)
    assert wrong_classes_hold(sizes, 20) is True
    assert wrong_classes_hold(sizes, 21) is False
    assert wrong_classes_hold(WrongClasses(classes=classes[1:], n_found=0), 41) is True
    assert wrong_classes_hold(WrongClasses(classes=[], n_found=0), 11) is None


def test_a_widened_subset_has_the_eight_around_each_pixel():
    kept = np.zeros((5, 6), bool)
    kept[0, 0] = kept[3, 4] = True
    assert dilate(kept).sum() == 4 + 9
    assert dilate(kept)[2:5, 3:6].all()
    masked = MaskedImage(classifier(Constant(), SIZE), black(), 1)
    diagonal = np.eye(SIZE, dtype=bool)
    assert widened_subset(masked, diagonal)["size"] == dilate(diagonal).sum()


def black():
    pixels = torch.rand(1, 1, SIZE, SIZE)
    return Infill("black", pixels, torch.zeros_like(pixels))


def test_fills_that_show_the_same_are_asked_once():
    """The model's preprocessing subtracts nothing, so its mean colour is black."""
    masked = MaskedImage(classifier(Constant(), SIZE), black(), 1)
    names = [one["fill"] for one in other_fills(masked, np.eye(SIZE, dtype=bool), 0)["fills"]]
    assert names == ["image_mean", "road", "noise"]


def test_the_border_is_a_tenth_on_each_side_and_a_region_is_tested_by_hiding_it():
    assert border_mask(10, 20).mean() == pytest.approx(1 - 0.8**2)
    pixels = torch.zeros(1, 1, SIZE, SIZE)
    pixels[0, 0, 4, 4] = 1
    masked = MaskedImage(
        classifier(Spots(), SIZE), Infill("black", pixels, torch.zeros_like(pixels)), 1
    )
    kept = np.zeros((SIZE, SIZE), bool)
    kept[4, 4] = kept[0, 0] = True
    region = measure_region(masked, kept, ~border_mask(SIZE, SIZE))
    assert region["share"] == 0.5
    assert region["area"] == pytest.approx(36 / 64)
    assert region["region_alone"]["confidence"] > 0.99
    assert region["region_hidden"]["confidence"] == pytest.approx(0.25)


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "50,0,20,100", "0,0,100,100", "0,0,1,1"])
def test_a_box_that_is_none_is_refused(box):
    with pytest.raises(OptionError, match="four numbers"):
        box_mask(box, SIZE, SIZE)


def test_wrong_classes_are_others_and_the_same_for_one_seed():
    assert sorted(draw_wrong_classes(2, 4, 7)) == [0, 1, 3]
    assert draw_wrong_classes(2, 4, 7) == draw_wrong_classes(2, 4, 7)
    assert draw_wrong_classes(2, 3, 1) != [2]
    assert len({tuple(draw_wrong_classes(2, 4, seed)) for seed in range(20)}) > 1
