"""Small images of the tests of this topic, in hand and as a folder."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from PIL import Image

from diagnostics.data.samples import file_at
from tests.methods.corruption.linear_model import SIDE


@pytest.fixture(scope="package")
def files(tmp_path_factory):
    """Five grey images, nothing so bright or dark that a little more is clipped."""
    folder, random = tmp_path_factory.mktemp("images"), np.random.default_rng(3)
    files = []
    for number in range(5):
        levels = random.integers(80, 176, (SIDE, SIDE)).astype(np.uint8)
        Image.fromarray(levels).save(folder / f"{number}.png")
        files.append(file_at(folder / f"{number}.png"))
    return files


@pytest.fixture(scope="package")
def folder(files, tmp_path_factory):
    """The same images in folders "class 0" and "class 1"."""
    path = tmp_path_factory.mktemp("folder") / "known.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, file in enumerate(files):
            archive.write(file.path, f"class {number % 2}/{number}.png")
    return file_at(path)
