"""Pages begin with the defaults of the methods' signatures, and say the passes that these take."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from diagnostics.data import samples
from diagnostics.methods.context import Context
from diagnostics.methods.registry import find
from diagnostics.ui.views import corruption, fooling
from diagnostics.ui.widgets import forms
from tests.networks_for_tests import classifier, mlp


@pytest.fixture
def fields(monkeypatch):
    """Collect what pages draw of a method, and answer with its signature's defaults."""
    drawn = []

    def options(info, of_page, prefix=""):
        drawn.extend((info.option(name), field) for name, field in of_page.items())
        return {name: info.option(name).default for name in of_page}

    monkeypatch.setattr(forms, "options", options)
    return drawn


def test_pages_begin_with_the_defaults_of_the_signatures(fields):
    evolution = find(fooling.EVOLUTION).info
    fooling._limits("direct", {fooling.EVOLUTION: evolution})
    for name in ("corruption/transitions", "corruption/sweep"):
        corruption._max_images(find(name).info, "key")
    assert len(fields) == 4
    for option, field in fields:
        assert field.default in (None, option.default)
        assert option.default in field.choices


def test_the_passes_that_tell_transitions_from_range_are_those_that_are_made(fields, monkeypatch):
    info, spoken = find("corruption/transitions"), []
    session = SimpleNamespace(in_distribution=None, shown=("an image",))
    monkeypatch.setattr(corruption, "current_session", lambda: session)
    monkeypatch.setattr(
        corruption, "_enabled", lambda label, key, spec, passes: spoken.append(passes)
    )
    model = classifier(mlp(28 * 28), 28)
    corruption.transitions_request(model.spec, info.info)
    made, logits = [], model.logits
    model.logits = lambda pixels: made.append(len(pixels)) or logits(pixels)
    image = samples.image_files()["letter-x-thin"]
    info.function(Context(model, files=(image,)), images="in hand")
    assert spoken == [sum(made)]
