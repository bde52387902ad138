"""What was found for single images, so that one more image costs no more than itself."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from diagnostics.findings import Findings

MOST_BYTES = 256 * 2**20

Question: TypeAlias = tuple[str, str]  # the key of a request without images, an image's hash


@dataclass
class Remembered:
    """Findings by question and image, the oldest forgotten first.

    Args:
        most_bytes: How much their arrays may take together.
    """

    most_bytes: int = MOST_BYTES
    _found: OrderedDict[Question, Findings] = field(default_factory=OrderedDict)

    def find(self, question: Question) -> Findings | None:
        """Return what was found, not to be written to; None when there is nothing."""
        found = self._found.get(question)
        if found is not None:
            self._found.move_to_end(question)
        return found

    def keep(self, question: Question, found: Findings) -> None:
        """Remember what was found."""
        self._found[question] = found
        while sum(map(_bytes, self._found.values())) > self.most_bytes:
            self._found.popitem(last=False)


def copied(found: Findings) -> Findings:
    """Return a copy whose entries of layers and attributions may be written to."""
    layers = [replace(view, entry=dict(view.entry)) for view in found.layers]
    maps = [dict(entry) for entry in found.scores["attributions"]]
    own = {"layers": [view.entry for view in layers], "attributions": maps}
    return replace(found, scores={**found.scores, **own}, layers=layers)


def _bytes(found: Findings) -> int:
    return sum(values.nbytes for values in found.arrays.values())
