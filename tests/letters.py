"""The sample models of letters with their folders, as a method is given them."""

from __future__ import annotations

from functools import cache
from typing import Any

from diagnostics.data import samples
from diagnostics.loaders.open import open_model
from diagnostics.methods.context import Context
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.request import ModelSource


@cache
def letters(name: str = "letters_conv") -> TorchClassifier:
    """Return a sample model of letters, opened once."""
    model = open_model(ModelSource(samples.model_files()[name]), ())
    return TorchClassifier(model.network, model.spec, model.spec.preprocessing)


def letters_context(**options: Any) -> Context:
    """Return letters in hand of a method, with the folder of letters that it knows."""
    given = {"folder": samples.folders()["in_distribution"]} | options
    return Context(letters(), **given)
