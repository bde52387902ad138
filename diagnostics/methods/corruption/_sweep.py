"""Ask a model about images that are corrupted step by step, and sum up what it predicts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diagnostics.corruptions.registry import Corruption, corrupt, find
from diagnostics.data.folder import UNKNOWN
from diagnostics.data.image import eight_bit, thumbnail
from diagnostics.errors import InputError, OptionError
from diagnostics.methods.context import Context, Outcome, Sample
from diagnostics.metrics.intervals import counted
from diagnostics.metrics.predictions import Prediction, probabilities, rank
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import batch_size
from diagnostics.preprocessing.pipeline import channels_first
from diagnostics.preprocessing.stages import Values
from diagnostics.schema.results.corruption import (
    NOT_FINITE,
    AxisEntry,
    Curve,
    LabelChange,
    QuantileBand,
    RankedClass,
    SweepAnswer,
    SweptImage,
)
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import shortened

MAX_POINTS = 2500  # of one image
MAX_THUMBNAILS = 24  # of one image
THUMBNAIL_PX = 96
TOP = 3
QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class SweepAxis:
    """A corruption, and the numbers at which it is applied, one for each step."""

    corruption: Corruption
    values: tuple[float, ...]

    @property
    def identity_step(self) -> int | None:
        """The step that leaves images as they are."""
        if self.corruption.identity is None or self.corruption.identity not in self.values:
            return None
        return self.values.index(self.corruption.identity)

    def entry(self) -> AxisEntry:
        """Return it as JSON."""
        return AxisEntry(
            name=self.corruption.name,
            title=self.corruption.title,
            unit=self.corruption.unit,
            phrase=self.corruption.phrase,
            summary=self.corruption.summary,
            values=list(self.values),
            identity_step=self.identity_step,
            out_of_range=self.corruption.out_of_range,
        )


def sweep_axis(name: str, steps: int, start: str, stop: str) -> SweepAxis:
    """Return a corruption's steps as a person wrote them.

    Args:
        name: Of the corruption.
        steps: How many.
        start: First number; empty takes that of the default range.
        stop: Last number; empty takes that of the default range.

    Raises:
        OptionError: When an end is no number, or lies outside the corruption's limits.
    """
    corruption = find(name)
    return SweepAxis(corruption, corruption.values(steps, _number(start), _number(stop)))


def _number(text: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        raise OptionError(f"An end of an axis must be a number; got {text[:40]!r}.") from None


@dataclass
class SweptLogits:
    """What the network answered to one image at every point, as far as it was asked.

    Args:
        name: Of the image.
        label: Index of its class, `UNKNOWN` where it has none.
        clean: Logits of the image as it is, shape (k,).
        logits: At every point, shape (points, k).
        evaluated: Whether the network was asked there, shape (points,).
        thumbnails: Some of the corrupted images, 8 bit, by the number of their point.
    """

    name: str
    label: int
    clean: NDArray[np.float32]
    logits: NDArray[np.float32]
    evaluated: NDArray[np.bool_]
    thumbnails: dict[int, NDArray[np.uint8]] = field(default_factory=dict)


class Sweep:
    """Asks about every image at every point of one axis, or of two together.

    Args:
        context: Gives the classifier, the seed, and whom to tell.
        axes: One, or two of which the first is applied first.
        samples: The images.
        describe_each: Whether each image is described by itself, with pictures of its steps.

    Raises:
        OptionError: When there are too many points.
    """

    def __init__(
        self,
        context: Context,
        axes: Sequence[SweepAxis],
        samples: Sequence[Sample],
        *,
        describe_each: bool,
    ) -> None:
        self.context, self.axes, self.samples = context, axes, samples
        self.describe_each = describe_each
        self.points = list(itertools.product(*(axis.values for axis in axes)))
        count = len(self.points)
        if count > MAX_POINTS:
            raise OptionError(
                f"{count} points are too many for one image; ask for {MAX_POINTS} or fewer with "
                "fewer steps."
            )
        drawn = min(count, MAX_THUMBNAILS) if describe_each and len(axes) == 1 else 0
        self._drawn_points = {round(point) for point in np.linspace(0, count - 1, drawn)}
        self._images: list[SweptImage] = []
        self._arrays: dict[str, NDArray[Any]] = {}
        self._current: SweptLogits | None = None

    def run(self) -> Outcome[SweepAnswer]:
        """Ask about every image, offering what is known so far, and return all of it.

        Raises:
            InputError: When no image could be read.
        """
        self.context.classifier.expect(len(self.samples) * (1 + len(self.points)))
        for name, label, pixels in self._images_one_by_one():
            for _ in self._evaluate(name, label, pixels):
                self._report_progress()
                self.context.partial(lambda: self._outcome(complete=False))
            self._finish()
        if not self._images:
            raise InputError(f"No image could be read. {' '.join(self.context.remarks())}".strip())
        return self._outcome(complete=True)

    def _images_one_by_one(self) -> Iterator[tuple[str, int, NDArray[np.float32]]]:
        for batch in self.context.batches(self.samples):
            for name, label, pixels in zip(batch.names, batch.labels, batch.pixels, strict=True):
                yield name, int(label), pixels.cpu().numpy()

    def _report_progress(self) -> None:
        part = float(self._current.evaluated.mean()) if self._current else 0.0
        titles = " and ".join(axis.corruption.title for axis in self.axes)
        share = (len(self._images) + part) / max(len(self.samples), 1)
        self.context.progress(f"Altering along {titles}", share)

    def _evaluate(self, name: str, label: int, pixels: NDArray[np.float32]) -> Iterator[None]:
        """Ask about one image, a batch of its points at a time."""
        classifier, count = self.context.classifier, len(self.points)
        values = np.ascontiguousarray(np.moveaxis(pixels, 0, 2))
        clean = logits_of(classifier, [values])[0]
        logits = np.full((count, len(clean)), np.nan, np.float32)
        image = SweptLogits(name, label, clean, logits, np.zeros(count, np.bool_))
        self._current = image
        if self.describe_each:
            self._arrays[f"image/{len(self._images)}/clean"] = _thumbnail(values)
        for start in range(0, count, batch_size(classifier)):
            points = range(start, min(start + batch_size(classifier), count))
            variants = [self._corrupted(values, point) for point in points]
            image.logits[points] = logits_of(classifier, variants)
            image.evaluated[points] = True
            for point, variant in zip(points, variants, strict=True):
                if point in self._drawn_points:
                    image.thumbnails[point] = _thumbnail(variant)
            yield

    def _corrupted(self, values: Values, point: int) -> Values:
        names = [axis.corruption.name for axis in self.axes]
        steps = list(zip(names, self.points[point], strict=True))
        return corrupt(values, steps, self.context.seed)

    def _finish(self) -> None:
        """Sum up the image that was asked about, and let go of its logits."""
        if self._current is not None:
            entry, arrays = self._described(self._current)
            self._images.append(entry)
            self._arrays |= arrays
        self._current = None

    def _described(self, image: SweptLogits) -> tuple[SweptImage, dict[str, NDArray[Any]]]:
        spec = self.context.classifier.spec
        entry = swept_image(image, spec, self.context.target)
        if len(self.axes) == 1:
            entry["label_changes"] = label_changes(entry, self.axes[0], spec.class_names)
        row = len(self._images)
        return entry, {f"image/{row}/step/{at}": shown for at, shown in image.thumbnails.items()}

    def _outcome(self, *, complete: bool) -> Outcome[SweepAnswer]:
        images, arrays = list(self._images), dict(self._arrays)
        if self._current is not None:
            entry, thumbnails = self._described(self._current)
            images.append(entry)
            arrays |= thumbnails
        spec = self.context.classifier.spec
        answer = SweepAnswer(
            axes=[axis.entry() for axis in self.axes],
            images=images if self.describe_each else [],
            quantile_bands=quantile_bands(images, len(self.points)) if len(self.axes) == 1 else [],
            size=[self.context.preprocessing.height, self.context.preprocessing.width],
            classes=class_names(images, spec.class_names),
            n=len(images),
            labelled=sum(image["label"] is not None for image in images),
            requested=len(self.samples),
            complete=complete,
            notes=self._notes(),
        )
        return Outcome(answer, arrays)

    def _notes(self) -> list[str]:
        spec, notes = self.context.classifier.spec, self.context.remarks()
        if len(spec.class_names) == 1:
            notes.append("The model has one class only, so its answer cannot change.")
        if any(axis.corruption.colour_only for axis in self.axes) and spec.channels == 1:
            notes.append("The model receives grey images, which have no colour to alter.")
        return notes


def swept_image(image: SweptLogits, spec: ModelSpec, target: int | None) -> SweptImage:
    """Return one image's part of the answer, without what depends on the number of axes.

    Args:
        image: What the network answered.
        spec: Of the model.
        target: Class that is followed; None means the one predicted for the image as it is.
    """
    clean = _ranked(rank(image.clean, spec, TOP))
    top = [
        _ranked(rank(logits, spec, TOP)) if evaluated else None
        for logits, evaluated in zip(image.logits, image.evaluated, strict=True)
    ]
    predicted = [None if ranked is None else _first(ranked) for ranked in top]
    target = _first(clean) if target is None else target
    shown = {_first(clean), target, *(index for index in predicted if index is not None)}
    return SweptImage(
        file=image.name,
        label=None if image.label == UNKNOWN else image.label,
        clean=clean,
        target=target,
        predicted=predicted,
        top=top,
        curves=_curves(image, sorted(shown - {NOT_FINITE}), independent=spec.output.independent),
        thumbnails=sorted(image.thumbnails),
    )


def label_changes(image: SweptImage, axis: SweepAxis, names: Sequence[str]) -> list[LabelChange]:
    """Return where the predicted class changes, from the image as it is outwards.

    Args:
        image: Along the axis.
        axis: Steps go up and down from its identity, or from the first step where it has none.
        names: Of the classes.

    Returns:
        Those above the start first. A direction ends where the network was not asked.
    """
    start, steps, predicted = axis.identity_step, len(axis.values), image["predicted"]
    clean = _first(image["clean"])
    directions: list[tuple[int, int | None, range]] = [(clean, None, range(start or 0, steps))]
    if start is not None and (there := predicted[start]) is not None:
        directions.append((there, start, range(start - 1, -1, -1)))
    changes = []
    for old, previous, direction in directions:
        for step in direction:
            new = predicted[step]
            if new is None:
                break
            if new != old:
                was, now = (
                    "no finite answer" if index == NOT_FINITE else shortened(names[index])
                    for index in (old, new)
                )
                at = axis.corruption.at(axis.values[step])
                changes.append(
                    LabelChange(
                        step=step,
                        previous_step=previous,
                        old=old,
                        new=new,
                        title=f"{was} becomes {now} at {at}",
                    )
                )
            old, previous = new, step
    return changes


def quantile_bands(images: Sequence[SweptImage], points: int) -> list[QuantileBand]:
    """Return what all images do together at every point.

    Args:
        images: Those without a finite answer when clean are left out.
        points: How many there are.
    """
    finite = [image for image in images if image["clean"]]
    return [_quantile_band(finite, point) for point in range(points)]


def class_names(images: Sequence[SweptImage], names: Sequence[str]) -> dict[str, str]:
    """Return the name of every class that is ranked, followed or a label anywhere, by its index."""
    rankings = [ranked for image in images for ranked in (image["clean"], *image["top"]) if ranked]
    indices = {entry["index"] for ranked in rankings for entry in ranked}
    indices |= {image["target"] for image in images}
    indices |= {image["label"] for image in images if image["label"] is not None}
    return {str(index): names[index] for index in sorted(indices - {NOT_FINITE})}


@torch.no_grad()
def logits_of(classifier: TorchClassifier, images: Sequence[Values]) -> NDArray[np.float32]:
    """Return the logits of values of shape (h, w, c) that a network receives, shape (n, k)."""
    pixels = torch.from_numpy(np.stack([channels_first(values) for values in images]))
    logits: NDArray[np.float32] = classifier.logits(pixels).float().cpu().numpy()
    return logits


def _thumbnail(values: Values) -> NDArray[np.uint8]:
    return eight_bit(thumbnail(values, THUMBNAIL_PX))


def _ranked(predictions: Sequence[Prediction]) -> list[RankedClass]:
    return [
        RankedClass(
            index=prediction.index,
            probability=prediction.probability,
            one_minus_p=prediction.one_minus_p,
        )
        for prediction in predictions
    ]


def _first(ranked: Sequence[RankedClass]) -> int:
    return ranked[0]["index"] if ranked else NOT_FINITE


def _curves(image: SweptLogits, classes: Sequence[int], *, independent: bool) -> dict[str, Curve]:
    """Return classes' probabilities at every point, by the class's index."""
    curves = {index: Curve(probability=[], one_minus_p=[]) for index in classes}
    for logits in image.logits:
        finite = bool(np.isfinite(logits).all())
        p, complement = probabilities(logits, independent=independent) if finite else (None, None)
        for index, curve in curves.items():
            curve["probability"].append(None if p is None else float(p[index]))
            curve["one_minus_p"].append(None if complement is None else float(complement[index]))
    return {str(index): curve for index, curve in curves.items()}


def _quantile_band(images: Sequence[SweptImage], point: int) -> QuantileBand:
    evaluated = [image for image in images if image["predicted"][point] is not None]
    finite = [image for image in evaluated if image["predicted"][point] != NOT_FINITE]
    curves = [image["curves"][str(image["target"])] for image in finite]
    labelled = [image for image in evaluated if image["label"] is not None]
    return QuantileBand(
        n=len(evaluated),
        not_finite=len(evaluated) - len(finite),
        probability_quantiles=_quantiles(
            [curve["probability"][point] for curve in curves], QUANTILES
        ),
        one_minus_p_quantiles=_quantiles(
            [curve["one_minus_p"][point] for curve in curves], QUANTILES[::-1]
        ),
        unchanged=counted(
            sum(image["predicted"][point] == _first(image["clean"]) for image in evaluated),
            len(evaluated),
        ),
        correct=counted(
            sum(image["predicted"][point] == image["label"] for image in labelled), len(labelled)
        ),
    )


def _quantiles(values: Sequence[float | None], shares: Sequence[float]) -> list[float] | None:
    if not values:
        return None
    return [float(value) for value in np.quantile(np.array(values, np.float64), shares)]
