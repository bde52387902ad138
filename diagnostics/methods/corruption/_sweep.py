"""Ask a model about images that are altered step by step."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diagnostics.corruptions.axis import Axis
from diagnostics.corruptions.registry import AXES, Name, altered
from diagnostics.data.image import eight_bit, thumbnail
from diagnostics.errors import InputError, OptionError
from diagnostics.methods.context import Context, Outcome, Sample
from diagnostics.methods.corruption._swept import Entry, Found, bands, described, named, with_turns
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import batch_size
from diagnostics.preprocessing.pipeline import channels_first
from diagnostics.preprocessing.stages import Values
from diagnostics.text import number

MOST_POINTS = 2500  # that one image is asked at
THUMBNAILS = 24  # of one image, at most
THUMBNAIL_PX = 96


@dataclass(frozen=True)
class Way:
    """An axis with the numbers at which it is asked."""

    name: Name
    values: tuple[float, ...]

    @property
    def axis(self) -> Axis:
        """What the axis is."""
        return AXES[self.name]

    @property
    def neutral(self) -> int | None:
        """Place of the number that leaves images as they are."""
        if self.axis.neutral is None or self.axis.neutral not in self.values:
            return None
        return self.values.index(self.axis.neutral)

    def content(self) -> dict[str, Any]:
        """Return it as JSON."""
        axis = self.axis
        return {
            "name": self.name,
            "title": axis.title,
            "unit": axis.unit,
            "phrase": axis.phrase,
            "about": axis.about,
            "values": list(self.values),
            "neutral": self.neutral,
            "beyond": axis.beyond,
        }


def way(name: Name, steps: int, start: str, stop: str) -> Way:
    """Return an axis's steps as a person wrote them.

    Args:
        name: Of the axis.
        steps: How many.
        start: First number; empty takes the usual one.
        stop: Last number; empty takes the usual one.

    Raises:
        OptionError: When an end is no number, or lies outside the axis.
    """
    return Way(name, AXES[name].values(steps, _number(start), _number(stop)))


def _number(text: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        raise OptionError(f"An end of an axis must be a number; got {text[:40]!r}.") from None


class Sweep:
    """Asks about every picture at every point of one axis, or of two together.

    Args:
        context: Gives the classifier, the seed, and whom to tell.
        ways: One axis, or two of which the first is applied first.
        pictures: The images.
        each: Whether each image is described by itself, with pictures of its steps.

    Raises:
        OptionError: When there are too many points.
    """

    def __init__(
        self, context: Context, ways: Sequence[Way], pictures: Sequence[Sample], *, each: bool
    ) -> None:
        self.context, self.ways, self.pictures, self.each = context, ways, pictures, each
        self.points = list(itertools.product(*(way.values for way in ways)))
        if len(self.points) > MOST_POINTS:
            raise OptionError(
                f"{len(self.points)} points are too many for one image; ask for {MOST_POINTS} or "
                "fewer with fewer steps."
            )
        count = len(self.points) if each and len(ways) == 1 else 0
        self._drawn = {round(at) for at in np.linspace(0, count - 1, min(count, THUMBNAILS))}
        self._entries: list[Entry] = []
        self._arrays: dict[str, NDArray[Any]] = {}
        self._doing: Found | None = None

    def run(self) -> Outcome[Any]:
        """Ask about every image, keep what is there from time to time, and return all of it.

        Raises:
            InputError: When no image could be read.
        """
        for name, label, pixels in self._one_by_one():
            for _ in self._ask(name, label, pixels):
                self._tell()
                self.context.partial(lambda: self._outcome(complete=False))
            self._finish()
        if not self._entries:
            raise InputError(f"No image could be read. {' '.join(self.context.remarks())}".strip())
        return self._outcome(complete=True)

    def _one_by_one(self) -> Iterator[tuple[str, int, NDArray[np.float32]]]:
        for part in self.context.batches(self.pictures):
            for name, label, pixels in zip(part.names, part.labels, part.pixels, strict=True):
                yield name, int(label), pixels.cpu().numpy()

    def _tell(self) -> None:
        part = float(self._doing.asked.mean()) if self._doing else 0.0
        titles = " and ".join(way.axis.title for way in self.ways)
        share = (len(self._entries) + part) / max(len(self.pictures), 1)
        self.context.progress(f"Altering along {titles}", share)

    def _ask(self, name: str, label: int, pixels: NDArray[np.float32]) -> Iterator[None]:
        """Ask about one image, a batch of its points at a time."""
        values = np.ascontiguousarray(np.moveaxis(pixels, 0, 2))
        before = logits_of(self.context.classifier, [values])[0]
        count = len(self.points)
        unasked = np.full((count, len(before)), np.nan, np.float32)
        one = Found(name, label, before, unasked, np.zeros(count, np.bool_))
        self._doing = one
        self._arrays |= (
            {f"image/{len(self._entries)}/before": eight_bit(thumbnail(values, THUMBNAIL_PX))}
            if self.each
            else {}
        )
        at_once = batch_size(self.context.classifier)
        names = [way.name for way in self.ways]
        for start in range(0, count, at_once):
            batch = range(start, min(start + at_once, count))
            made = [
                altered(values, tuple(zip(names, self.points[at], strict=True)), self.context.seed)
                for at in batch
            ]
            one.logits[batch] = logits_of(self.context.classifier, made)
            one.asked[batch] = True
            one.pictures |= {
                at: eight_bit(thumbnail(made[at - start], THUMBNAIL_PX))
                for at in batch
                if at in self._drawn
            }
            yield

    def _finish(self) -> None:
        """Sum up the image that was asked about, and let go of its logits."""
        if self._doing is not None:
            entry, arrays = self._summed_up(self._doing)
            self._entries.append(entry)
            self._arrays |= arrays
        self._doing = None

    def _summed_up(self, one: Found) -> tuple[Entry, dict[str, NDArray[Any]]]:
        entry = described(one, self.context.classifier.spec, self.context.target)
        if len(self.ways) == 1:
            (way,), names = self.ways, self.context.classifier.spec.class_names
            steps = [way.axis.phrase.format(number(one)) for one in way.values]
            entry = with_turns(entry, way.neutral, steps, names)
        row = len(self._entries)
        return entry, {f"image/{row}/step/{at}": shown for at, shown in one.pictures.items()}

    def _outcome(self, *, complete: bool) -> Outcome[Any]:
        entries, arrays = list(self._entries), dict(self._arrays)
        if self._doing is not None:
            entry, own = self._summed_up(self._doing)
            entries.append(entry)
            arrays |= own
        spec = self.context.classifier.spec
        one_axis = len(self.ways) == 1
        scores = {
            "axes": [way.content() for way in self.ways],
            "images": entries if self.each else [],
            "bands": bands(entries, len(self.points)) if one_axis else [],
            "size": [spec.height, spec.width],
            "classes": named(entries, spec.class_names),
            "n": len(entries),
            "labelled": sum(one["label"] is not None for one in entries),
            "asked_for": len(self.pictures),
            "complete": complete,
            "notes": self._notes(),
        }
        return Outcome(scores, arrays)

    def _notes(self) -> list[str]:
        spec, said = self.context.classifier.spec, self.context.remarks()
        if len(spec.class_names) == 1:
            said.append("The model has one class only, so its answer cannot change.")
        if any(way.axis.colour for way in self.ways) and spec.channels == 1:
            said.append("The model receives grey images, which have no colour to alter.")
        return said


@torch.no_grad()
def logits_of(classifier: TorchClassifier, images: Sequence[Values]) -> NDArray[np.float32]:
    """Return the logits of values of shape (h, w, c) that a network receives, shape (n, k)."""
    pixels = torch.from_numpy(np.stack([channels_first(one) for one in images]))
    found: NDArray[np.float32] = classifier.logits(pixels).float().cpu().numpy()
    return found
