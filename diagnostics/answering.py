"""Ask a network about images, but only what was not asked before, and leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diagnostics.classifier import TorchClassifier
from diagnostics.explanation import Tell
from diagnostics.findings import Findings, Wanted
from diagnostics.inspection import attribute, explain, inspect
from diagnostics.remembered import Question, Remembered, copied
from diagnostics.request import INSPECT, Request

Pixels = Mapping[str, NDArray[np.float32]]

# An answer to INSPECT has two parts, remembered apart: with another method or class explained, what
# was said and what the layers did stay the same.
OF_ATTRIBUTIONS = ("target", "attributions")
MAPS = "attribution/"


class Answering:
    """Answers questions about images, and remembers the answers."""

    def __init__(self) -> None:
        self._remembered = Remembered()

    def about(
        self,
        request: Request,
        classifier: TorchClassifier,
        images: Pixels,
        wanted: Wanted,
        leader: str,
        tell: Tell,
    ) -> dict[str, Findings]:
        """Return what was found for each image, by its hash.

        Args:
            request: What is asked; which images it names does not matter here.
            classifier: The classifier asked.
            images: What the network receives of each image, shape (c, h, w), by its hash.
            wanted: What to show.
            leader: Hash of the first image of all, whose maps the others draw if so wanted.
            tell: Called with the progress.
        """
        led = leader if wanted.alike else ""
        first = self._base(request, leader, led)
        if led and first is not None:
            wanted.draw_maps_of(first)
        found = {name: self._known(request, name, led) for name in images}
        for ask in (self._explained, self._asked):
            missing = {name: images[name] for name, one in found.items() if one is None}
            if missing:
                found |= ask(request, classifier, missing, wanted, led, tell)
        return {name: copied(one) for name, one in found.items() if one is not None}

    def _known(self, request: Request, image: str, led: str) -> Findings | None:
        base, maps = self._base(request, image, led), self._remembered.find(_whole(request, image))
        if request.method != INSPECT:
            return maps
        return _joined(base, maps) if base and maps else None

    def _base(self, request: Request, image: str, led: str) -> Findings | None:
        return self._remembered.find(_without_attributions(request, image, led))

    def _explained(
        self,
        request: Request,
        classifier: TorchClassifier,
        images: Pixels,
        wanted: Wanted,
        led: str,
        tell: Tell,
    ) -> dict[str, Findings | None]:
        """Explain images of which everything else is known; return None for the others."""
        known = {name: self._base(request, name, led) for name in images}
        names = [name for name, one in known.items() if one is not None]
        if request.method != INSPECT or not names:
            return dict.fromkeys(images)
        with as_it_was(classifier.network):
            found = explain(classifier, _stacked(images, names, classifier), wanted)
        for name, one in zip(names, found, strict=True):
            self._remembered.keep(_whole(request, name), _maps_of(one))
            known[name] = _joined(known[name] or one, one)
        return dict(known)

    def _asked(
        self,
        request: Request,
        classifier: TorchClassifier,
        images: Pixels,
        wanted: Wanted,
        led: str,
        tell: Tell,
    ) -> dict[str, Findings | None]:
        """Ask everything about images, and remember it."""
        pixels = _stacked(images, list(images), classifier)
        with as_it_was(classifier.network):
            if request.method == INSPECT:
                found = inspect(classifier, pixels, wanted)
            else:
                options: Any = request.options
                found = attribute(classifier, pixels, wanted, request.method, options, tell)
        for name, one in zip(images, found, strict=True):
            if request.method != INSPECT:
                self._remembered.keep(_whole(request, name), one)
                continue
            self._remembered.keep(_whole(request, name), _maps_of(one))
            self._remembered.keep(_without_attributions(request, name, led), _base_of(one))
        return dict(zip(images, found, strict=True))


def _whole(request: Request, image: str) -> Question:
    return (replace(request, images=()).key, image)


def _without_attributions(request: Request, image: str, led: str) -> Question:
    options = {name: one for name, one in request.options.items() if name != "attributions"}
    asked = replace(request, images=(), target=None, against=None, options=options)
    return (asked.key, image, led)


def _maps_of(found: Findings) -> Findings:
    """Return only what the methods found."""
    arrays = {name: one for name, one in found.arrays.items() if name.startswith(MAPS)}
    return Findings(arrays, {name: found.scores[name] for name in OF_ATTRIBUTIONS})


def _base_of(found: Findings) -> Findings:
    """Return everything but what the methods found."""
    arrays = {name: one for name, one in found.arrays.items() if not name.startswith(MAPS)}
    scores = {name: one for name, one in found.scores.items() if name not in OF_ATTRIBUTIONS}
    return replace(found, arrays=arrays, scores=scores)


def _joined(base: Findings, maps: Findings) -> Findings:
    arrays = {**_base_of(base).arrays, **_maps_of(maps).arrays}
    return replace(base, arrays=arrays, scores={**base.scores, **_maps_of(maps).scores})


def _stacked(images: Pixels, names: Sequence[str], classifier: TorchClassifier) -> Tensor:
    return torch.from_numpy(np.stack([images[name] for name in names])).to(classifier.device)


@contextmanager
def as_it_was(network: nn.Module) -> Iterator[None]:
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
