"""A search that was made, and one so small that every point of it is written here."""

from __future__ import annotations

import math

import numpy as np
import pytest

from diagnostics.methods.sufficient_pixels.batched_gradient import batched_gradient
from diagnostics.schema.results.sufficient_pixels import SufficientPixels
from tests.methods.sufficient_pixels.models import Cue, context_of, spotted
from tests.results import conforms


@pytest.fixture(scope="session")
def outcome(tmp_path_factory):
    """A model that needs one bright pixel, on an image that has two of them."""
    context = context_of(tmp_path_factory.mktemp("spots"), Cue(), spotted(1), spotted(1, 2))
    return batched_gradient(context, fill="black", subsets=2, box="20,20,80,80")


@pytest.fixture
def image():
    """A search of 2 × 3 pixels in steps of two, the whole image just below the threshold."""
    kept_only = {"confidence": 0.9, "one_minus_p": 0.1}
    image = SufficientPixels(
        file="a.png",
        error="",
        confidence=0.88,
        one_minus_p=0.12,
        target=1,
        target_name="cat",
        pixels=6,
        tau=0.9,
        fill="black",
        searched=True,
        size=2,
        resolution=2,
        kept_only=kept_only,
        subsets=[{"size": 2, "resolution": 2, "kept_only": kept_only}],
        highest={"kept_count": 4, "confidence": 0.95, "one_minus_p": 0.05},
        blank=None,
        border=None,
        background=None,
        controls=None,
        verdict="can't tell",
        reading="Can't tell.",
        checks=[],
        confidence_rose=True,
        border_driven=None,
        background_driven=None,
    )
    conforms(SufficientPixels, image)
    return image


@pytest.fixture
def arrays():
    """The arrays of the small search."""
    order = np.array([[0, 5, 1], [4, 2, 3]], np.float32)
    return {
        "pixels": np.arange(6, dtype=np.uint8).reshape(2, 3, 1) * 40,
        "selection_order/0": order,
        "kept_counts/0": np.array([6, 4, 2, 0], np.int32),
        "margins/0": np.array([2.0, 3.0, math.log(9), -80.0]),
        "subset/0": order >= 4,
        "kept_only/0": np.zeros((2, 3, 1), np.uint8),
    }
