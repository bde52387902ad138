"""The Python API: folders, a reference and a seed reach the methods that take them."""

from __future__ import annotations

import numpy as np
import pytest

import diagnostics
from diagnostics.data import samples
from diagnostics.errors import InputError
from diagnostics.report import export

KNOWN, STRANGE = (
    samples.folders()[role].path for role in ("in_distribution", "out_of_distribution")
)
IMAGES = [samples.image_files()[name].path for name in ("letter-x-fuzzy", "noise-uniform")]


@pytest.fixture(scope="module")
def model():
    return diagnostics.load(samples.model_files()["letters_conv"].path)


def test_the_python_door_takes_a_folder_strangers_a_reference_and_a_seed(model, tmp_path):
    built = diagnostics.run("ood/fit_reference", model, folder=KNOWN, seed=5)
    assert built.scores["reference"]["seed"] == 5
    path = tmp_path / "reference.safetensors"
    path.write_bytes(export.parts(built, "file"))
    by_file = diagnostics.run("ood/detect", model, IMAGES, reference=path, examined=False)
    by_folder = diagnostics.run("ood/detect", model, IMAGES, folder=KNOWN, seed=5, examined=False)
    assert [image["flagged"] for image in by_file.scores["images"]] == [False, True]
    for one, other in zip(by_folder.scores["images"], by_file.scores["images"], strict=True):
        assert (one["top"], one["flagged"]) == (other["top"], other["flagged"])
        values, others = (
            {name: score["value"] for name, score in image["scores"].items()}
            for image in (one, other)
        )
        assert values == pytest.approx(others, rel=1e-12)  # sums of the same numbers
    told = diagnostics.run("ood/evaluate", model, reference=path, strangers=STRANGE)
    assert told.scores["scores"]["ood/combined"]["auroc"] > 0.7


def test_another_seed_deals_another_reference(model):
    first, again, other = (
        diagnostics.run("ood/fit_reference", model, folder=KNOWN, seed=seed).arrays["file/0"]
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_a_method_lacks_is_said_in_a_sentence(model):
    with pytest.raises(InputError, match="folder of known-good images"):
        diagnostics.run("ood/fit_reference", model)
    with pytest.raises(InputError, match="cannot be read"):
        diagnostics.run("ood/fit_reference", model, folder="no/such/folder")


def test_inspecting_takes_a_seed_too(model):
    maps = [
        diagnostics.inspect(model, IMAGES[:1], attributions=["attribution/smooth_grad"], seed=seed)
        for seed in (0, 0, 1)
    ]
    first, again, other = (result.arrays["0/attribution/0"] for result in maps)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
