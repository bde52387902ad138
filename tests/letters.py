"""The sample models of letters with their folders, as a method is given them."""

from __future__ import annotations

from functools import cache
from typing import Any

from diagnostics.data import samples
from diagnostics.loaders.open import open_model
from diagnostics.methods.context import Context
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import ModelSource


@cache
def letters(name: str = "letters_conv") -> TorchClassifier:
    """Return a sample model of letters, opened once."""
    return open_classifier(ModelSource(samples.model_files()[name]))


def open_classifier(source: ModelSource, settings: Preprocessing | None = None) -> TorchClassifier:
    """Return the classifier of a file, with a preprocessing other than its own if there is one."""
    model = open_model(source, ())
    return TorchClassifier(model.network, model.spec, settings or model.spec.preprocessing)


def letters_context(**options: Any) -> Context:
    """Return letters in hand of a method, with the folder of letters that it knows."""
    given = {"folder": samples.folders()["in_distribution"]} | options
    return Context(letters(), **given)
