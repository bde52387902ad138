"""What was found for single images, so that one more image costs no more than itself."""

from __future__ import annotations

from collections import OrderedDict
from copy import deepcopy
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from diagnostics.execution.findings import InspectionResult
from diagnostics.models.activations import LayerView

MOST_BYTES = 256 * 2**20
ENTRY_BYTES = 2048  # about what one layer's entry takes beside its arrays

Key: TypeAlias = tuple[str, ...]


class LRUCache:
    """Findings by question, the oldest forgotten first.

    What is kept are copies: an array may be a view on a whole batch, which would stay as well.

    Args:
        most_bytes: How much they may take together.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._found: OrderedDict[Key, InspectionResult] = OrderedDict()
        self._bytes = 0

    def find(self, key: Key) -> InspectionResult | None:
        """Return what was found, not to be written to; None when there is nothing."""
        found = self._found.get(key)
        if found is not None:
            self._found.move_to_end(key)
        return found

    def keep(self, key: Key, found: InspectionResult) -> None:
        """Remember what was found."""
        self._forget(key)
        self._found[key] = copied(found)
        self._bytes += _bytes(self._found[key])
        while self._bytes > self._most_bytes:
            self._forget(next(iter(self._found)))

    def _forget(self, key: Key) -> None:
        if key in self._found:
            self._bytes -= _bytes(self._found.pop(key))


def copied(found: InspectionResult) -> InspectionResult:
    """Return a copy that may be written to, without what only the drawing needed."""
    layers = [_copied_view(view) for view in found.layers]
    rest = {name: value for name, value in found.scores.items() if name != "layers"}
    return InspectionResult(
        arrays={name: np.array(values) for name, values in found.arrays.items()},
        scores={**deepcopy(rest), "layers": [view.entry for view in layers]},
        layers=layers,
    )


def _copied_view(view: LayerView) -> LayerView:
    entry = {
        name: list(value) if isinstance(value, list) else value
        for name, value in view.entry.items()
    }
    extremes: NDArray[np.float32] | None = None
    if view.extremes is not None:
        extremes = np.array(view.extremes)
    return replace(view, entry=entry, drawn=None, extremes=extremes)


def _bytes(found: InspectionResult) -> int:
    arrays = sum(values.nbytes for values in found.arrays.values())
    extremes = sum(view.extremes.nbytes for view in found.layers if view.extremes is not None)
    return arrays + extremes + ENTRY_BYTES * (1 + len(found.layers))
