"""Every output gets a name, and a wrong count of names is said."""

from __future__ import annotations

import pytest

from diagnostics.loaders.classes import known_names, match_names


@pytest.mark.parametrize("count", [2, 4])
def test_a_wrong_count_names_both_counts(count):
    names, check = match_names(("a", "b", "c", "d")[:count], 3)
    assert len(names) == 3
    assert check.status == "warned"
    assert f"{count} class names for 3 outputs" in check.message


def test_imagenet_names_are_those_of_torchvision():
    names, check = known_names("timm/resnet18", 1000)
    assert (names[0], names[281], names[282]) == ("tench", "tabby", "tiger cat")
    assert check.status == "passed"


def test_an_unknown_set_of_classes_gets_numbers_and_a_warning():
    names, check = known_names("torchvision/resnet18", 4)
    assert names == ("class 0", "class 1", "class 2", "class 3")
    assert check.status == "warned"
