"""Findings by question and image."""

from __future__ import annotations

import numpy as np

from diagnostics.findings import Findings
from diagnostics.remembered import Remembered


def found(values):
    return Findings(arrays={"logits": np.zeros(values, np.float64)}, scores={"top": []})


def test_what_was_asked_longest_ago_is_forgotten_first():
    remembered = Remembered(most_bytes=240)
    for name in ("a", "b", "c"):
        remembered.keep(("question", name), found(10))
    assert remembered.find(("question", "a")) is not None
    remembered.keep(("question", "d"), found(10))
    assert remembered.find(("question", "b")) is None
    assert remembered.find(("question", "a")) is not None


def test_what_alone_is_too_large_is_not_remembered():
    remembered = Remembered(most_bytes=100)
    remembered.keep(("question", "a"), found(100))
    assert remembered.find(("question", "a")) is None
