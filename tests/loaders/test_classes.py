"""Class names are read from whatever list a person has, and a wrong count is said."""

from __future__ import annotations

import json

import pytest

from diagnostics.errors import ClassesError
from diagnostics.loaders.classes import fitting, known_names, read_class_names

ANIMALS = ("cat", "dog", "great grey owl")


@pytest.fixture
def listed(tmp_path):
    def read(content):
        path = tmp_path / "classes"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_class_names(path, "classes.txt")

    return read


@pytest.mark.parametrize(
    "text",
    [
        "cat\ndog\ngreat grey owl\n",
        "cat\r\ndog\r\n\r\n  great grey owl  ",
        "\ufeffcat\ndog\ngreat grey owl",
        "index,name\n0,cat\n1,dog\n2,great grey owl\n",
        "2,great grey owl\n0,cat\n1,dog\n",
        json.dumps(ANIMALS),
        json.dumps({"0": "cat", "2": "great grey owl", "1": "dog"}),
        json.dumps({"dog": 1, "cat": 0, "great grey owl": 2}),
        json.dumps({"0": ["n01", "cat"], "1": ["n02", "dog"], "2": ["n03", "great grey owl"]}),
    ],
)
def test_every_common_kind_of_list_is_read(listed, text):
    assert listed(text) == ANIMALS


def test_twelve_numbered_classes_are_sorted_as_numbers(listed):
    names = tuple(f"class {index}" for index in range(12))
    given = {str(index): name for index, name in sorted(enumerate(names), key=lambda p: str(p[0]))}
    assert listed(json.dumps(given)) == names


def test_names_with_commas_in_plain_lines_stay_whole(listed):
    assert listed("tench, Tinca tinca\ngoldfish\n") == ("tench, Tinca tinca", "goldfish")


@pytest.mark.parametrize(
    "content",
    ["", "  \n", "[", '{"a": "b"}', "[]", b"\xff\xfe\x00", b"x\n" * 2_000_000],
    ids=["empty", "blank", "half", "no indices", "no names", "binary", "huge"],
)
def test_what_is_no_list_is_refused_in_a_sentence(listed, content):
    with pytest.raises(ClassesError) as caught:
        listed(content)
    assert "classes.txt" in caught.value.message


@pytest.mark.parametrize("count", [2, 4])
def test_a_wrong_count_names_both_counts(count):
    names, check = fitting(("a", "b", "c", "d")[:count], 3)
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
