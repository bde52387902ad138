"""A few hundred mutants of every format; `python -m tests.loaders.fuzz 10000` tries more."""

from __future__ import annotations

import random

import pytest

from tests.loaders import fuzz

pytest.importorskip("keras")
pytest.importorskip("onnx")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
FORMATS = (
    "safetensors",
    "state_dict",
    "legacy",
    "whole module",
    "ONNX",
    "pt2",
    "Hugging Face",
    "Keras .keras",
    "Keras .h5",
)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return fuzz.originals(tmp_path_factory.mktemp("originals"))


@pytest.mark.parametrize("name", FORMATS)
def test_mutants_are_opened_or_refused_and_nothing_else(originals, tmp_path, name):
    chance = random.Random(1)
    for _ in range(150):
        content = fuzz.mutant(originals[name], chance)
        assert fuzz.attempt(content, tmp_path / "mutant") in fuzz.FORESEEN


def test_every_format_is_fuzzed(originals):
    assert set(originals) == set(FORMATS)
