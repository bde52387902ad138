"""Inspect images, but only those that were not inspected before: one more costs itself alone."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from cachetools import LRUCache
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.execution.inspection import (
    AttributionResult,
    ForwardResult,
    InspectionRequest,
    InspectionResult,
    attribute,
    explain,
    inspect,
)
from diagnostics.methods.context import ReportProgress
from diagnostics.models.classifier import TorchClassifier, unchanged
from diagnostics.schema.request import INSPECT, Request

MAX_BYTES = 128 * 2**20  # of each cache

Key: TypeAlias = tuple[str, ...]
Pixels: TypeAlias = Mapping[str, NDArray[np.float32]]  # (c, h, w), by the hash of the image
Part = TypeVar("Part", ForwardResult, AttributionResult)


@dataclass(frozen=True)
class Inspection:
    """What is to be inspected with which classifier, whichever images it is about.

    Args:
        request: The request; which images it names does not matter here.
        classifier: The classifier.
        settings: What to show.
        first_image: Hash of the image whose maps the others draw; empty where each draws its own.
        report: Called with the progress.
    """

    request: Request
    classifier: TorchClassifier
    settings: InspectionRequest
    first_image: str
    report: ReportProgress

    def forward_key(self, image: str) -> Key:
        """Return the key of what stays the same whatever is explained."""
        options = {
            name: value for name, value in self.request.options.items() if name != "attributions"
        }
        alike = replace(self.request, images=(), target=None, against=None, options=options)
        return (alike.key, image, self.first_image)

    def attribution_key(self, image: str) -> Key:
        """Return the key of an image's heatmaps."""
        return (replace(self.request, images=()).key, image)

    def run(self, images: Sequence[NDArray[np.float32]]) -> list[InspectionResult]:
        """Inspect images, and hold everybody to leaving the network as it was."""
        with unchanged(self.classifier.network):
            pixels = self._batch(images)
            if self.request.method == INSPECT:
                return inspect(self.classifier, pixels, self.settings)
            method, options = self.request.method, self.request.options
            return attribute(
                self.classifier,
                pixels,
                self.settings,
                method,
                options,  # type: ignore[arg-type]
                self.report,
            )

    def explain(self, images: Sequence[NDArray[np.float32]]) -> list[AttributionResult]:
        """Return the heatmaps alone, see `run`."""
        with unchanged(self.classifier.network):
            results = explain(self.classifier, self._batch(images), self.settings)
        return [result.attributions for result in results]

    def _batch(self, images: Sequence[NDArray[np.float32]]) -> Tensor:
        return torch.from_numpy(np.stack(images)).to(self.classifier.device)


class InspectionCache:
    """Inspects images and remembers what it found, the least recently used forgotten first.

    What is remembered are copies: an array may be a view on a whole batch, which would stay too.

    Args:
        max_bytes: How much the forward results may take together, and how much the heatmaps.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._forward: MutableMapping[Key, ForwardResult] = LRUCache(
            max_bytes, attrgetter("nbytes")
        )
        self._attributions: MutableMapping[Key, AttributionResult] = LRUCache(
            max_bytes, attrgetter("nbytes")
        )

    def inspect(self, inspection: Inspection, images: Pixels) -> dict[str, InspectionResult]:
        """Return the result of each image, by its hash; not to be written to."""
        if inspection.first_image:
            first = self._forward.get(inspection.forward_key(inspection.first_image))
            if first is not None:
                inspection.settings.share_maps_of(first)
        results = self._remembered(inspection, images)
        results |= self._explained(inspection, _without(images, results))
        results |= self._inspected(inspection, _without(images, results))
        return results

    def _remembered(self, inspection: Inspection, images: Pixels) -> dict[str, InspectionResult]:
        results = {}
        for image in images:
            forward = self._forward.get(inspection.forward_key(image))
            attributions = self._attributions.get(inspection.attribution_key(image))
            if forward is not None and attributions is not None:
                results[image] = InspectionResult(forward, attributions)
        return results

    def _explained(self, inspection: Inspection, images: Pixels) -> dict[str, InspectionResult]:
        """Explain the images of which everything else is known."""
        known = {image: self._forward.get(inspection.forward_key(image)) for image in images}
        forward = {image: result for image, result in known.items() if result is not None}
        if inspection.request.method != INSPECT or not forward:
            return {}
        explained = inspection.explain([images[image] for image in forward])
        results = {}
        for image, attributions in zip(forward, explained, strict=True):
            _remember(self._attributions, inspection.attribution_key(image), attributions)
            results[image] = InspectionResult(forward[image], attributions)
        return results

    def _inspected(self, inspection: Inspection, images: Pixels) -> dict[str, InspectionResult]:
        """Find out everything about images."""
        if not images:
            return {}
        results = dict(zip(images, inspection.run(list(images.values())), strict=True))
        for image, result in results.items():
            _remember(self._forward, inspection.forward_key(image), result.forward)
            key = inspection.attribution_key(image)
            _remember(self._attributions, key, result.attributions)
        return results


def _without(images: Pixels, results: Mapping[str, InspectionResult]) -> Pixels:
    return {image: pixels for image, pixels in images.items() if image not in results}


def _remember(cache: MutableMapping[Key, Part], key: Key, part: Part) -> None:
    with suppress(ValueError):  # it is larger than the whole cache
        cache[key] = part.copy()
