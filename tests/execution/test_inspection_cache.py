"""Findings by question and image."""

from __future__ import annotations

import numpy as np

from diagnostics.execution._remembered import ENTRY_BYTES, LRUCache, copied
from diagnostics.execution.findings import InspectionResult
from diagnostics.models.activations import LayerView

ONE = ENTRY_BYTES + 80  # what `found(10)` takes


def found(values, layers=()):
    scores = {"top": [{"class": "a"}], "layers": [view.entry for view in layers]}
    return InspectionResult({"logits": np.zeros(values, np.float64)}, scores, list(layers))


def test_what_was_asked_longest_ago_is_forgotten_first():
    remembered = LRUCache(most_bytes=3 * ONE)
    for name in ("a", "b", "c"):
        remembered.keep((name,), found(10))
    assert remembered.find(("a",)) is not None
    remembered.keep(("d",), found(10))
    assert remembered.find(("b",)) is None
    assert remembered.find(("a",)) is not None


def test_what_is_kept_twice_counts_once():
    remembered = LRUCache(most_bytes=2 * ONE)
    for name in ("a", "b", "b", "b"):
        remembered.keep((name,), found(10))
    assert remembered.find(("a",)) is not None


def test_what_alone_is_too_large_is_not_remembered():
    remembered = LRUCache(most_bytes=ENTRY_BYTES + 100)
    remembered.keep(("a",), found(100))
    assert remembered.find(("a",)) is None


def test_what_layers_take_is_counted():
    view = LayerView({"name": "conv"}, extremes=np.zeros((2, 1000), np.float32))
    remembered = LRUCache(most_bytes=3 * ONE)
    remembered.keep(("a",), found(10, [view]))
    assert remembered.find(("a",)) is None


def test_what_is_kept_is_no_view_on_a_larger_array():
    batch = np.zeros((8, 100))
    remembered = LRUCache()
    remembered.keep(("a",), InspectionResult({"logits": batch[0]}, {"layers": [], "top": []}))
    assert remembered.find(("a",)).arrays["logits"].base is None


def test_a_copy_may_be_written_to():
    view = LayerView({"name": "conv", "channels": [1, 2]})
    first = found(10, [view])
    copy = copied(first)
    copy.arrays["logits"][:] = 1
    copy.scores["top"][0]["class"] = "b"
    copy.scores["layers"][0]["channels"].append(3)
    assert copy.layers[0].entry is copy.scores["layers"][0]
    assert not first.arrays["logits"].any()
    assert first.scores["top"] == [{"class": "a"}]
    assert view.entry["channels"] == [1, 2]
