"""Fooling images that were made, of a model whose classes are reached in a few steps."""

from __future__ import annotations

import pytest

from diagnostics.methods.context import Context
from diagnostics.methods.fooling.gradient_ascent import gradient_ascent
from tests.methods.fooling.models import two_classes


@pytest.fixture(scope="session")
def outcome():
    model, _ = two_classes()
    return gradient_ascent(Context(model), steps=20)
