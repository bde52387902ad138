"""What tests of random changes share."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from diagnostics.data.samples import file_at
from diagnostics.methods.context import Context
from tests.networks_for_tests import classifier


@pytest.fixture
def context(tmp_path):
    """Return a function that makes a context of images, mid grey without any."""

    def make(network, side, *, images=None, channels=1, classes=2, **more):
        if images is None:
            images = [np.full((side, side), 128, np.uint8)]
        files = []
        for index, image in enumerate(images):
            path = tmp_path / f"image {index}.png"
            Image.fromarray(image).save(path)
            files.append(file_at(path))
        model = classifier(network, side, channels, classes)
        return Context(model, files=files, **more)

    return make
