"""Ask a network about images, but only what was not asked before, and leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diagnostics.execution._remembered import Key, LRUCache
from diagnostics.execution.findings import InspectionRequest, InspectionResult
from diagnostics.execution.inspection import attribute, explain, inspect
from diagnostics.methods.context import ReportProgress
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.request import INSPECT, Request

Pixels = Mapping[str, NDArray[np.float32]]

# An answer to INSPECT has two parts, remembered apart: with another method or class explained, what
# was said and what the layers did stay the same.
OF_ATTRIBUTIONS = ("target", "attributions")
MAPS = "attribution/"


@dataclass(frozen=True)
class _Question:
    """What is asked of which classifier; which images the request names does not matter here."""

    request: Request
    classifier: TorchClassifier
    wanted: InspectionRequest
    led: str  # hash of the image whose maps the others draw; empty where each draws its own
    tell: ReportProgress

    @property
    def inspects(self) -> bool:
        return self.request.method == INSPECT

    def whole(self, image: str) -> Key:
        """Return the key of an image's whole answer, or of what its maps are in one to INSPECT."""
        return (replace(self.request, images=()).key, image)

    def base(self, image: str) -> Key:
        """Return the key of what stays the same whatever is explained."""
        options = {
            name: one for name, one in self.request.options.items() if name != "attributions"
        }
        asked = replace(self.request, images=(), target=None, against=None, options=options)
        return (asked.key, image, self.led)

    def stacked(self, images: Pixels) -> Tensor:
        """Return images as one batch on the network's device."""
        return torch.from_numpy(np.stack(list(images.values()))).to(self.classifier.device)


class InspectionCache:
    """Answers questions about images, and remembers the answers."""

    def __init__(self) -> None:
        self._remembered = LRUCache()

    def about(
        self,
        request: Request,
        classifier: TorchClassifier,
        images: Pixels,
        wanted: InspectionRequest,
        leader: str,
        tell: ReportProgress,
    ) -> dict[str, InspectionResult]:
        """Return what was found for each image, by its hash; not to be written to.

        Args:
            request: What is asked.
            classifier: The classifier asked.
            images: What the network receives of each image, shape (c, h, w), by its hash.
            wanted: What to show.
            leader: Hash of the first image of all, whose maps the others draw if so wanted.
            tell: Called with the progress.
        """
        question = _Question(request, classifier, wanted, leader if wanted.alike else "", tell)
        first = self._remembered.find(question.base(leader))
        if question.led and first is not None:
            wanted.draw_maps_of(first)
        found = {name: self._known(question, name) for name in images}
        for ask in (self._explained, self._asked):
            missing = {name: images[name] for name, one in found.items() if one is None}
            if missing:
                found |= ask(question, missing)
        return {name: one for name, one in found.items() if one is not None}

    def _known(self, question: _Question, image: str) -> InspectionResult | None:
        maps = self._remembered.find(question.whole(image))
        if not question.inspects:
            return maps
        base = self._remembered.find(question.base(image))
        return _joined(base, maps) if base and maps else None

    def _explained(self, question: _Question, images: Pixels) -> dict[str, InspectionResult]:
        """Explain images of which everything else is known, and return those."""
        known = {name: self._remembered.find(question.base(name)) for name in images}
        bases = {name: one for name, one in known.items() if one is not None}
        if not question.inspects or not bases:
            return {}
        pixels = question.stacked({name: images[name] for name in bases})
        with unchanged(question.classifier.network):
            maps = [_maps_of(one) for one in explain(question.classifier, pixels, question.wanted)]
        for name, one in zip(bases, maps, strict=True):
            self._remembered.keep(question.whole(name), one)
        return {
            name: _joined(base, one) for (name, base), one in zip(bases.items(), maps, strict=True)
        }

    def _asked(self, question: _Question, images: Pixels) -> dict[str, InspectionResult]:
        """Ask everything about images, and remember it."""
        classifier, wanted, request = question.classifier, question.wanted, question.request
        pixels = question.stacked(images)
        with unchanged(classifier.network):
            if question.inspects:
                found = inspect(classifier, pixels, wanted)
            else:
                options: Any = request.options
                found = attribute(
                    classifier, pixels, wanted, request.method, options, question.tell
                )
        for name, one in zip(images, found, strict=True):
            kept = _maps_of(one) if question.inspects else one
            self._remembered.keep(question.whole(name), kept)
            if question.inspects:
                self._remembered.keep(question.base(name), _base_of(one))
        return dict(zip(images, found, strict=True))


def _maps_of(found: InspectionResult) -> InspectionResult:
    """Return only what the methods found."""
    arrays = {name: one for name, one in found.arrays.items() if name.startswith(MAPS)}
    return InspectionResult(arrays, {name: found.scores[name] for name in OF_ATTRIBUTIONS})


def _base_of(found: InspectionResult) -> InspectionResult:
    """Return everything but what the methods found."""
    arrays = {name: one for name, one in found.arrays.items() if not name.startswith(MAPS)}
    scores = {name: one for name, one in found.scores.items() if name not in OF_ATTRIBUTIONS}
    return replace(found, arrays=arrays, scores=scores)


def _joined(base: InspectionResult, maps: InspectionResult) -> InspectionResult:
    """Put together what was remembered apart; what both name is the base's."""
    return replace(
        base, arrays={**maps.arrays, **base.arrays}, scores={**maps.scores, **base.scores}
    )


@contextmanager
def unchanged(network: nn.Module) -> Iterator[None]:
    """Hold whoever works with the network to leaving it as it was.

    Raises:
        RuntimeError: When hooks, modes, values or gradients were left behind.
    """
    before = _state(network)
    yield
    if _state(network) != before:
        raise RuntimeError("A method changed the network's hooks, modes, values or gradients.")


def _state(network: nn.Module) -> list[tuple[Any, ...]]:
    return [
        (
            module.training,
            len(module._forward_pre_hooks),
            len(module._forward_hooks),
            len(module._backward_hooks),
            *(
                (value._version, value.requires_grad, value.grad is not None)
                for value in (
                    *module.parameters(recurse=False),
                    *module.buffers(recurse=False),
                )
            ),
        )
        for module in network.modules()
    ]
