"""What is asked about: a model with the good images it knows, and one image of a person."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.data.folder import UNKNOWN
from diagnostics.data.image import decode
from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Sample
from diagnostics.methods.diagnosis._properties import noise_floor
from diagnostics.methods.ood.fit_reference import find_reference
from diagnostics.metrics.intervals import counted as count_of
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import Features, batch_size, extract_features
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.reference.statistics import Reference
from diagnostics.schema.results import Count
from diagnostics.schema.results.diagnosis import Box, Effect, Finding, Picture
from diagnostics.schema.spec import ModelSpec, Need

Floats = NDArray[np.float64]
GRAINIEST, GRAINY = 1.5, 0.1  # times the grainiest good image, and at least, to be called noisy
HIGH = 0.95  # quantile of good images that an effect is placed beside


def probabilities(logits: Floats, spec: ModelSpec) -> Floats:
    """Return each class's probability, shape (n, k)."""
    if spec.output.independent:
        independent: Floats = np.exp(-np.logaddexp(0, -logits))
        return independent
    below = np.exp(logits - logits.max(1, keepdims=True))
    shares: Floats = below / below.sum(1, keepdims=True)
    return shares


def finite(logits: Floats) -> Floats:
    """Return logits with what is no number in the place that an ordering gives it."""
    numbers: Floats = np.nan_to_num(logits, nan=0.0, posinf=1e30, neginf=-1e30)
    return numbers


class Network:
    """A classifier that is asked without gradients, a batch at a time, and counts.

    Args:
        context: Reports progress, so that work can be cancelled between two batches.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.classifier: TorchClassifier = context.classifier
        self.spec = context.classifier.spec
        self.passes = 0
        self.seconds, self._timed = 0.0, 0
        self.activity, self._start, self._share, self._expected = "", 0.0, 1.0, 1

    @property
    def seconds_per_pass(self) -> float:
        """Seconds that one image took so far, among others."""
        return self.seconds / max(self._timed, 1)

    def expect(self, activity: str, passes: int, start: float, share: float) -> None:
        """Say what is begun, how many passes it takes, and which part of the work it is."""
        self.activity, self._start, self._share = activity, start, share
        self._expected, self._done = max(passes, 1), 0
        self.context.progress(activity, start)

    @torch.no_grad()
    def logits(self, pixels: Tensor) -> Floats:
        """Return the logits of pixels in [0, 1], shape (n, k)."""
        parts, started = [], time.perf_counter()
        for part in torch.split(pixels, batch_size(self.classifier)):
            parts.append(self.classifier.logits(part.float()).double().cpu().numpy())
            self._count(len(part))
        self.seconds += time.perf_counter() - started
        self._timed += len(pixels)
        return finite(np.concatenate(parts))

    def probability(self, pixels: Tensor, index: int) -> Floats:
        """Return the probability of one class, shape (n,)."""
        return probabilities(self.logits(pixels), self.spec)[:, index]

    def features(self, pixels: Tensor) -> Features:
        """Return what one pass gives."""
        self._count(len(pixels))
        return extract_features(self.classifier, pixels.float())

    def _count(self, images: int) -> None:
        self.passes += images
        if self.activity:
            self._done += images
            done = min(self._done / self._expected, 1.0)
            self.context.progress(self.activity, self._start + self._share * done)


class Known:
    """Images that the model should know, and what it gives for them.

    Args:
        reference: Measured on them; carries some of them as `examples`.
        spec: Of the model.
    """

    def __init__(self, reference: Reference, spec: ModelSpec) -> None:
        self.reference, self.spec = reference, spec
        halves = (reference.fit, reference.calibration)
        labels = torch.cat([half.labels for half in halves])
        logits = torch.cat([half.outputs.logits for half in halves])
        known = labels != UNKNOWN
        self.labels: NDArray[np.intp] = labels[known].numpy().astype(np.intp)
        self.logits: Floats = logits[known].double().numpy()
        self.every_logits: Floats = logits.double().numpy()
        examples = reference.examples
        self.pixels = torch.zeros(0, spec.channels, spec.height, spec.width)
        self.classes = self.predicted = np.zeros(0, np.intp)
        self.example_logits = np.zeros((0, len(spec.class_names)))
        if examples is not None:
            self.pixels = examples.values
            self.example_logits = examples.logits.double().numpy()
            self.predicted = self.example_logits.argmax(1)
            stated = examples.labels.numpy()
            self.classes = np.where(stated == UNKNOWN, self.predicted, stated).astype(np.intp)

    @property
    def is_labelled(self) -> bool:
        """Whether there are enough labels to judge answers by."""
        return len(self.labels) >= MIN_LABELLED

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Which labelled images are answered right."""
        hits: NDArray[np.bool_] = self.logits.argmax(1) == self.labels
        return hits

    @cached_property
    def accuracy(self) -> float:
        """Which share of the labelled images is answered right."""
        return float(self.right.mean()) if len(self.labels) else 0.0

    @cached_property
    def confidence(self) -> Floats:
        """The probability of the class said, of every labelled image."""
        highest: Floats = probabilities(self.logits, self.spec).max(1)
        return highest

    def others(self, index: int, count: int) -> NDArray[np.intp]:
        """Return rows of examples that are not of a class nor said to be; the classes take turns.

        Those that are answered right come first.
        """
        rows = np.flatnonzero((self.classes != index) & (self.predicted != index))
        right = self.classes[rows] == self.predicted[rows]
        turn = np.zeros(len(rows), int)
        seen: dict[tuple[int, bool], int] = {}
        for place, row in enumerate(rows):
            key = (int(self.classes[row]), bool(right[place]))
            turn[place] = seen[key] = seen.get(key, -1) + 1
        return rows[np.lexsort((turn, ~right))][:count]


MIN_LABELLED = 20


def model_case(context: Context) -> ModelCase:
    """Return the model with the good images that it knows, measured once."""
    memory = context.memory
    if "known" not in memory:
        try:
            reference = find_reference(context)
        except InputError as error:  # too few, or none that can be read: then nothing is known
            reference, memory["why unknown"] = None, error.message
        spec = context.classifier.spec
        memory["known"] = None if reference is None else Known(reference, spec)
        memory["passes"] = 0 if reference is None else sum(reference.about["images"].values())
    if "why unknown" in memory:
        context.notes.append(memory["why unknown"])
    return ModelCase(context, Network(context), memory["known"], memory)


@dataclass
class ModelCase:
    """A model as findings see it.

    Args:
        context: Gives the folder, the reference and the seed.
        network: Is asked.
        known: Good images; None without a folder and without a reference.
        memory: What was measured of the model once, by name.
    """

    context: Context
    network: Network
    known: Known | None
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> ModelSpec:
        """What is known of the model."""
        return self.network.spec

    @property
    def is_quick(self) -> bool:
        """Whether looking at every region costs less than asking a person whether to."""
        spec = self.spec
        values = spec.channels * spec.height * spec.width
        return values <= QUICK_VALUES and spec.parameters <= QUICK_PARAMETERS

    @property
    def is_large(self) -> bool:
        """Whether an image has so many pixels that placebos are measured on fewer good ones."""
        return self.spec.height * self.spec.width > LARGE_PIXELS

    @property
    def gradients(self) -> bool:
        """Whether the network can be asked for gradients."""
        return Need.GRADIENTS in self.spec.offers

    def of_good(self, name: str, measure: Callable[[Tensor], Tensor]) -> Floats:
        """Return a number of every good image that is held, measured once."""
        key = f"good {name}"
        if key not in self.memory:
            pixels = self.known.pixels if self.known is not None else torch.zeros(0)
            self.memory[key] = measure(pixels).double().numpy() if len(pixels) else np.zeros(0)
        values: Floats = self.memory[key]
        return values

    def donors(self) -> Iterator[int]:
        """Yield rows of good images that are answered right, one of a class, as placebos."""
        assert self.known is not None
        known, seen = self.known, set[int]()
        for row in known.others(-1, len(known.pixels)):
            index = int(known.classes[row])
            enough = len(known.others(index, MIN_OTHERS)) == MIN_OTHERS
            if known.predicted[row] != index or index in seen or not enough:
                continue
            yield int(row)
            seen.add(index)
            if len(seen) == (FEW_DONORS if self.is_large else DONORS):
                return

    @cached_property
    def usual_confidence(self) -> float:
        """The median probability of the class said of the good images that are held."""
        if self.known is None or not len(self.known.pixels):
            return 1.0
        return float(np.median(probabilities(self.known.example_logits, self.spec).max(1)))

    @property
    def has_examples(self) -> bool:
        """Whether there are good images to change and to compare with."""
        return self.known is not None and len(self.known.pixels) >= MIN_EXAMPLES


MIN_EXAMPLES, MIN_OTHERS = 8, 6
DONORS, FEW_DONORS = 10, 4  # classes of which a good image is a placebo
SHOWN = 2  # other images in the evidence
QUICK_VALUES, QUICK_PARAMETERS = 4096, 500_000
LARGE_PIXELS = 64 * 64


@dataclass
class ImageCase:
    """One image as findings see it.

    Args:
        model: The model, and the good images.
        row: Its number among the images in hand.
        file: Its name.
        pixels: What the network receives before it normalises, shape (c, h, w), in [0, 1].
        outputs: What the network gave for it, one row.
        logits: Of it, shape (k,).
        read: Returns its bytes, to prepare it otherwise.
    """

    model: ModelCase
    row: int
    file: str
    pixels: Tensor
    outputs: Features
    logits: Floats
    read: Any
    arrays: dict[str, NDArray[np.uint8]] = field(default_factory=dict)

    @cached_property
    def index(self) -> int:
        """The class that comes first."""
        return int(self.logits.argmax())

    @cached_property
    def p(self) -> float:
        """Its probability."""
        return float(probabilities(self.logits[None], self.model.spec)[0, self.index])

    @cached_property
    def is_noisy(self) -> bool:
        """Whether it is far grainier than any good image, also where it is quietest."""
        known = self.model.known
        if known is None or not len(known.pixels):
            return False
        usual = self.model.of_good("grain", noise_floor).max()
        return bool(float(noise_floor(self.pixels[None])[0]) > max(GRAINIEST * usual, GRAINY))

    @cached_property
    def is_stray(self) -> bool:
        """Whether it lies farther from the good images than all held out ones, in every way."""
        known = self.model.known
        if known is None:
            return False
        fit, held_out = known.reference.fit.outputs, known.reference.calibration.outputs
        names = [name for name in ("layers", "pixel_statistics") if getattr(fit, name).shape[1]]
        return self.is_noisy or all(
            distances(getattr(fit, name), getattr(self.outputs, name))[0]
            > distances(getattr(fit, name), getattr(held_out, name)).max()
            for name in names
        )

    @property
    def said(self) -> str:
        """Its name."""
        return self.model.spec.class_names[self.index]

    def picture(
        self, name: str, pixels: Tensor, logits: Floats, caption: str, before: str = ""
    ) -> Picture:
        """Keep a picture of an intervention, and return it with what the model says of it."""
        array = f"{self.row}/{name}"
        values = pixels.clamp(0, 1).mul(255).round().to(torch.uint8).movedim(0, -1)
        self.arrays[array] = values.cpu().numpy()
        shares = probabilities(logits[None], self.model.spec)[0]
        first = int(logits.argmax())
        others = np.delete(shares, first).sum() if not self.model.spec.output.independent else None
        complement = float(1 - shares[first]) if others is None else float(others)
        return Picture(
            array=array,
            caption=caption,
            said=self.model.spec.class_names[first],
            p=float(shares[first]),
            one_minus_p=complement,
            p_cause=float(shares[self.index]),
            before=before,
        )


def pictures_of(
    image: ImageCase,
    name: str,
    without: Tensor,
    others: Tensor,
    turned: Sequence[bool],
    give: Callable[[Tensor], Tensor],
) -> list[Picture]:
    """Return the image without a cause, and others that turned with it, each with its answer.

    Args:
        image: The image.
        name: Of the arrays.
        without: The image without the cause.
        others: Good images of other classes.
        turned: Which of them became the class with it.
        give: Gives it to images.
    """
    network, names = image.model.network, image.model.spec.class_names
    logits = network.logits(without[None])[0]
    found = [image.picture(f"without-{name}", without, logits, "without it", image.said)]
    rows = np.flatnonzero(turned)[:SHOWN]
    if not len(rows):
        return found
    chosen = others[torch.from_numpy(rows)]
    before, given = network.logits(chosen).argmax(1), give(chosen)
    for place, (picture, row) in enumerate(zip(given, network.logits(given), strict=True)):
        caption, array = "another good image with it", f"with-{name}-{place}"
        found.append(image.picture(array, picture, row, caption, names[before[place]]))
    return found


def image_case(model: ModelCase, row: int, sample: Sample) -> ImageCase:
    """Return an image with what the network says of it.

    Raises:
        InputError: When it cannot be read, or the network's numbers are not finite.
    """
    values = Pipeline(model.context.preprocessing).run(decode(sample.read(), sample.name))
    pixels = torch.from_numpy(values).to(model.network.classifier.device)
    outputs = model.network.features(pixels[None])
    logits = outputs.logits[0].double().numpy()
    if not np.isfinite(logits).all():
        raise InputError(f"The model's answer to {sample.name} is not made of finite numbers.")
    image = ImageCase(model, row, sample.name, pixels, outputs, logits, sample.read)
    image.picture("image", pixels, logits, "the image")
    return image


def distances(bank: Tensor, statistics: Tensor) -> Floats:
    """Return how far rows lie from the bank's mean, in its standard deviations, shape (n,)."""
    mean, std = bank.double().mean(0), bank.double().std(0).clamp_min(1e-3)
    found: Floats = (((statistics.double() - mean) / std) ** 2).mean(1).sqrt().numpy()
    return found


def count(hits: NDArray[np.bool_] | Sequence[bool]) -> Count:
    """Return how many of n, with its interval."""
    return count_of(int(np.sum(hits)), len(hits))


def effect(name: str, value: float, good: Floats | Sequence[float] = (), unit: str = "") -> Effect:
    """Return a number beside the same number of good images."""
    values = np.asarray(good, np.float64)
    known = len(values) > 0
    return Effect(
        name=name,
        value=float(value),
        unit=unit,
        good_median=float(np.median(values)) if known else None,
        good_high=float(np.quantile(values, HIGH)) if known else None,
        n=len(values),
    )


def finding(
    cause: str,
    *,
    holds: bool,
    confidence: float = 0.0,
    p_before: float | None = None,
    p_after: float | None = None,
    turned: Count | None = None,
    placebo: Count | None = None,
    done: str = "",
    sentence: str = "",
    fix: str = "",
    why_not: str = "",
    box: Box | None = None,
    effects: Sequence[Effect] = (),
    evidence: Sequence[Picture] = (),
) -> Finding:
    """Return what one intervention did."""
    return Finding(
        id=cause,
        holds=bool(holds),
        confidence=float(np.clip(confidence, 0, 1)),
        p_before=p_before,
        p_after=p_after,
        turned=turned,
        placebo=placebo,
        done=done,
        sentence=sentence,
        fix=fix,
        why_not="" if holds else why_not,
        box=box,
        effects=list(effects),
        evidence=list(evidence),
    )
