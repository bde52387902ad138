"""Class names are read from whatever list or folders a person has."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from diagnostics.data import class_names
from diagnostics.errors import ClassesError

ANIMALS = ("cat", "dog", "great grey owl")


@pytest.fixture
def listed(tmp_path):
    def read(content):
        path = tmp_path / "classes.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return class_names.at(path)

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


@pytest.mark.parametrize(
    "content",
    ['{"a": 1e400, "b": 0}', "²,squared\n³,cubed\n", '"' + "x" * 200_000 + '"\n', "9" * 5000 + ",a",
     '["\\ud800"]', "cat\rdog"],
    ids=["infinite", "superscript", "long field", "long index", "half a character", "old Mac"],
)  # fmt: skip
def test_a_list_of_classes_never_ends_in_a_traceback(listed, content):
    with suppress(ClassesError):
        assert listed(content)


def test_the_folders_of_a_training_set_are_its_classes(tmp_path):
    """In the order of strings, as torchvision's ImageFolder numbers them."""
    for name in ("dog", "cat", "10", "9"):
        (tmp_path / name).mkdir()
    (tmp_path / "labels.txt").write_text("x")
    assert class_names.at(tmp_path) == ("10", "9", "cat", "dog")
    assert class_names.of_folders(["set/dog/1.png", "set/cat/2.png", "set/cat/3.png"]) == (
        "cat",
        "dog",
    )


@pytest.mark.parametrize("paths", [[], ["1.png", "2.png"], ["cat/1.png", "cat/2.png"]])
def test_fewer_than_two_folders_are_no_classes(paths):
    with pytest.raises(ClassesError, match="folder for each class"):
        class_names.of_folders(paths)


def test_a_missing_list_is_said(tmp_path):
    with pytest.raises(ClassesError, match=r"gone\.txt cannot be read"):
        class_names.at(tmp_path / "gone.txt")
