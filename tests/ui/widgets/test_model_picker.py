"""The names under which a person chooses among models."""

from __future__ import annotations

from dataclasses import replace

from diagnostics.data import samples
from diagnostics.schema.request import ModelSource
from diagnostics.ui.widgets.model_picker import named_models


def test_models_of_one_name_are_told_apart_by_their_hash():
    models = [
        ModelSource(replace(file, name="model.pth")) for file in samples.model_files().values()
    ]
    named = named_models(models)
    assert list(named.values()) == models
    assert list(named) == [f"model.pth ({model.sha256[:8]})" for model in models]
