"""Pictures that a page computed, opened as images: the network receives them as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diagnostics.data.image import decode
from diagnostics.preprocessing.inverse import framed
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.ui.dialogs import open_in_inspect

COLOUR = Preprocessing(height=24, width=24, resize_px=29, mean=(0.5,) * 3, std=(0.5,) * 3)
GREY = Preprocessing(colour=False, height=9, width=12, fit="stretch", mean=(0.0,), std=(1.0,))


@pytest.mark.parametrize(
    "settings",
    [
        COLOUR,
        replace(COLOUR, resize_px=24),
        replace(COLOUR, resize_px=30, interpolation="bicubic", antialias=False),
        replace(COLOUR, height=20),
        replace(COLOUR, height=20, width=40, resize_px=32),
        replace(COLOUR, invert=True),
        replace(COLOUR, fit="letterbox"),
        replace(COLOUR, fit="none"),
        GREY,
        replace(GREY, invert=True, fit="crop", resize_px=14),
    ],
    ids=lambda its: f"{its.fit} {its.resize_px} {its.height} {its.width} {its.invert}",
)
def test_the_network_receives_the_very_picture_that_is_opened(settings):
    shape = (settings.height, settings.width, len(settings.mean))
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    image = framed(picture, settings)
    pixels = Pipeline(settings).run(decode(open_in_inspect.png(image)))
    np.testing.assert_array_equal(np.rint(pixels * 255), np.moveaxis(picture, 2, 0))
    assert ("border" in open_in_inspect.reprocessing_note(settings)) == (
        image.shape != picture.shape
    )
