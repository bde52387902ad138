"""Results by image: what is remembered, how much of it, and that nobody can change it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from diagnostics.execution import inspection_cache
from diagnostics.execution.inspection import (
    ENTRY_BYTES,
    AttributionResult,
    ForwardResult,
    InspectionRequest,
    InspectionResult,
)
from diagnostics.execution.inspection_cache import Inspection, InspectionCache
from diagnostics.models.activations import LayerView
from diagnostics.schema.request import INSPECT, File, ModelSource, Request

REQUEST = Request(INSPECT, ModelSource(File("/a", "1", "a")))
PIXELS = np.zeros((1, 2, 2), np.float32)
LOGITS = 10
FORWARD_BYTES = ENTRY_BYTES + 8 * LOGITS


class Counted(Inspection):
    """Inspects nothing, and notes how many images it was asked about."""

    def run(self, images):
        self.report("run", len(images))
        batch = np.zeros((len(images), LOGITS))
        return [
            InspectionResult(ForwardResult({"logits": row}, [{"class": "a"}]), AttributionResult())
            for row in batch
        ]


@pytest.fixture
def inspect():
    """Inspect images with one cache of a given size; return how many were not remembered."""

    def of_size(max_bytes):
        cache, calls = InspectionCache(max_bytes), []

        def ask(*images):
            calls.clear()
            inspection = Counted(
                REQUEST,
                SimpleNamespace(),
                InspectionRequest(),
                "",
                lambda activity, count: calls.append(count),
            )
            results = cache.inspect(inspection, dict.fromkeys(images, PIXELS))
            return sum(calls), results

        return ask

    return of_size


def test_the_least_recently_used_is_forgotten_first(inspect):
    ask = inspect(3 * FORWARD_BYTES)
    assert ask("a", "b", "c")[0] == 3
    assert ask("a")[0] == 0
    assert ask("d")[0] == 1
    assert ask("a")[0] == 0
    assert ask("b")[0] == 1


def test_what_alone_is_too_large_is_not_remembered(inspect):
    ask = inspect(FORWARD_BYTES - 1)
    assert ask("a")[0] == 1
    assert ask("a")[0] == 1


def test_what_layers_take_is_counted():
    view = LayerView({"name": "conv"}, extremes=np.zeros((2, 1000), np.float32))
    without = ForwardResult({"logits": np.zeros(LOGITS)})
    assert without.nbytes == FORWARD_BYTES
    assert ForwardResult(without.arrays, layers=[view]).nbytes == FORWARD_BYTES + ENTRY_BYTES + 8000


def test_what_is_remembered_is_no_view_on_a_batch(inspect):
    ask = inspect(inspection_cache.MAX_BYTES)
    ask("a", "b")
    assert ask("a")[1]["a"].forward.arrays["logits"].base is None


def test_a_copy_may_be_written_to():
    view = LayerView({"name": "conv", "shape": [2], "channels": [1, 2]})
    first = InspectionResult(
        ForwardResult({"logits": np.zeros(LOGITS)}, [{"class": "a"}], layers=[view]),
        AttributionResult({"attribution/0": np.zeros((2, 2))}, 0, [{"note": ""}]),
    )
    copy = first.copy()
    copy.forward.arrays["logits"][:] = 1
    copy.forward.top[0]["class"] = "b"
    copy.forward.layers[0].entry["channels"].append(3)
    copy.attributions.arrays["attribution/0"][:] = 1
    copy.attributions.entries[0]["note"] = "mine"
    assert not first.forward.arrays["logits"].any()
    assert first.forward.top == [{"class": "a"}]
    assert view.entry["channels"] == [1, 2]
    assert not first.attributions.arrays["attribution/0"].any()
    assert first.attributions.entries == [{"note": ""}]
