"""What a page asks before the question itself: the cost of a pass, files of a folder."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

from diagnostics.data import samples
from diagnostics.errors import InputError
from diagnostics.execution.executor import Executor
from diagnostics.schema.request import File, ModelSource, Request
from diagnostics.schema.results.inspection import CostAnswer, FolderImagesAnswer
from tests.results import conforms

LETTERS = ModelSource(samples.model_files()["letters_conv"])


@pytest.fixture(scope="module")
def executor():
    return Executor()


def answer(result):
    """The method's own answer, without the model that the executor adds."""
    return {name: value for name, value in result.scores.items() if name != "model"}


def test_the_cost_of_a_pass_is_measured(executor):
    scores = answer(executor.execute(Request("inspection/cost", LETTERS)))
    conforms(CostAnswer, scores)
    assert 0 < scores["forward_seconds"] < 1
    assert 0 < scores["backward_seconds"] < 1


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "images" / "x"
    inside.mkdir(parents=True)
    for name in ("letter-x-fuzzy", "letter-p-thin"):
        shutil.copy(samples.image_files()[name].path, inside / f"{name}.png")
    return File(str(inside.parent), hashlib.sha256(b"images").hexdigest(), "images")


def test_files_of_a_folder_come_as_they_lie_in_it(executor, folder):
    names = ["x/letter-p-thin.png", "x/letter-x-fuzzy.png"]
    request = Request(
        "inspection/folder_images", LETTERS, folder=folder, options={"names": json.dumps(names)}
    )
    result = executor.execute(request)
    conforms(FolderImagesAnswer, answer(result))
    assert result.scores["names"] == names
    for index, name in enumerate(("letter-p-thin", "letter-x-fuzzy")):
        with open(samples.image_files()[name].path, "rb") as stream:
            assert result.arrays[f"image/{index}"].tobytes() == stream.read()


@pytest.mark.parametrize("names", ['["x/nothing.png"]', '["../secret.png"]', "no json", "3"])
def test_what_the_folder_does_not_hold_is_refused(executor, folder, names):
    request = Request("inspection/folder_images", LETTERS, folder=folder, options={"names": names})
    with pytest.raises(InputError, match="no such image"):
        executor.execute(request)
