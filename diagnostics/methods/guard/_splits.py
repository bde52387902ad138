"""What a guard is fitted on, calibrated with, and tested by."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from diagnostics.data.folder import UNKNOWN
from diagnostics.errors import InputError, NotOfferedError
from diagnostics.methods.context import Context
from diagnostics.methods.noise.panel import Panel
from diagnostics.models.features import batch_size, extract_features
from diagnostics.models.guard import Outputs
from diagnostics.models.guarded import guard_outputs
from diagnostics.preprocessing.pipeline import channels_first
from diagnostics.reference.statistics import Reference, ReferenceBuilder
from diagnostics.schema.results.guard import FOOLING, OUT_OF_DISTRIBUTION
from diagnostics.schema.spec import LayerInfo, Need

MAX_IN_DISTRIBUTION, MAX_OUT_OF_DISTRIBUTION = 6000, 1000
MIN_IN_DISTRIBUTION = 60
# Of six in-distribution images three fit, one ranks OOD scores, one calibrates and one tests.
PARTS, TRAIN_PARTS, RANK_PART, CALIBRATION_PART, TEST_PART = 6, 3, 3, 4, 5
DRAWS = 128  # of each family of noise
NOISE = ("uniform", "gaussian", "shuffled")  # that a guard may learn from; other families only test
LEARNABLE = (*NOISE, OUT_OF_DISTRIBUTION, FOOLING)  # half to learn from, half to test, for all
FOOLING_IMAGES, FOOLING_STEPS, FOOLING_STEP = 64, 30, 0.02


@dataclass(frozen=True)
class LabelledOutputs:
    """What a network gave for n images, and their labels, shape (n,)."""

    outputs: Outputs
    labels: Tensor

    def select(self, rows: slice | Tensor) -> LabelledOutputs:
        """Return the same of some of the images."""
        return LabelledOutputs(Outputs(*(part[rows] for part in self.outputs)), self.labels[rows])

    def finite(self) -> LabelledOutputs:
        """Leave out images for which the network gave no finite numbers."""
        rows = torch.stack([part.isfinite().all(1) for part in self.outputs]).all(0)
        return self.select(rows)


def joined(parts: Sequence[LabelledOutputs]) -> LabelledOutputs:
    """Return several images' outputs as one."""
    columns = zip(*(part.outputs for part in parts), strict=True)
    outputs = Outputs(*(torch.cat(column) for column in columns))
    return LabelledOutputs(outputs, torch.cat([part.labels for part in parts]))


@dataclass(frozen=True)
class Splits:
    """Images to fit a guard on, to calibrate it with, and to test it by; never the same ones.

    Args:
        train: In-distribution images to fit on.
        calibration: Others, to set the threshold by.
        test: Others, to test by.
        ood_train: Images of no class to fit on, by kind; only the kinds that the guard learns from.
        ood_test: Others of every kind, to test by; the same ones for every guard.
        notes: What should be known of the images.
        reference: What OOD scores are fitted on: the train images, ranked by a share of their own.
    """

    train: LabelledOutputs
    calibration: LabelledOutputs
    test: LabelledOutputs
    ood_train: Mapping[str, LabelledOutputs]
    ood_test: Mapping[str, LabelledOutputs]
    notes: tuple[str, ...]
    reference: Reference

    def two_sides(self) -> tuple[Outputs, Tensor]:
        """Return the outputs of all images to fit on, and 1 for those of no class, shape (n,)."""
        others = joined(list(self.ood_train.values()))
        truth = [torch.zeros(len(self.train.labels)), torch.ones(len(others.labels))]
        return joined([self.train, others]).outputs, torch.cat(truth).double()


class SplitBuilder:
    """Reads the images that guards are fitted on, calibrated with and tested by.

    Args:
        context: Gives in-distribution images, perhaps OOD ones, and the classifier.
        layers: Layers whose statistics the guard reads.
    """

    def __init__(self, context: Context, layers: Sequence[LayerInfo]) -> None:
        self._context, self._layers = context, tuple(layers)

    def build(self, learned: Collection[str] = ()) -> Splits:
        """Return the splits.

        Args:
            learned: Of `LEARNABLE`, what the guard learns from where there is some; all else only
                tests it.

        Raises:
            InputError: When there are too few in-distribution images.
        """
        context = self._context
        samples = context.shuffled(context.in_distribution())[:MAX_IN_DISTRIBUTION]
        builder, parts, count = ReferenceBuilder(context.classifier), [], 0
        for batch in context.batches(samples, "Reading the known-good images", distinct=True):
            parts.append(self.outputs(batch.pixels, batch.labels))
            part = torch.arange(count, count + len(batch.names)) % PARTS
            features = extract_features(context.classifier, batch.pixels)
            for half, rows in enumerate((part < TRAIN_PARTS, part == RANK_PART)):
                builder.add(features.select(rows), batch.labels[rows], batch.pixels[rows], half)
            count += len(batch.names)
        if count < MIN_IN_DISTRIBUTION:
            raise InputError(
                f"A guard needs {MIN_IN_DISTRIBUTION} readable known-good images at least, better "
                f"200 or more; got {count}."
            )
        images, part = self._joined(parts), torch.arange(count) % PARTS
        splits = part < TRAIN_PARTS, part == CALIBRATION_PART, part == TEST_PART
        train, calibration, test = (images.select(split).finite() for split in splits)
        _require_finite(fit=train, threshold=calibration, judge=test)
        ood_train, ood_test = {}, {}
        for kind, others in self._kinds(Panel(context, samples)):
            fine = others.finite()
            if kind in learned:
                ood_train[kind] = fine.select(slice(0, None, 2))
            ood_test[kind] = fine.select(slice(1, None, 2)) if kind in LEARNABLE else fine
        return Splits(
            train=train,
            calibration=calibration,
            test=test,
            ood_train=ood_train,
            ood_test=ood_test,
            notes=tuple(context.remarks()),
            reference=builder.build(context.source()),
        )

    @torch.no_grad()
    def outputs(self, pixels: Tensor, labels: Tensor | None = None) -> LabelledOutputs:
        """Return what the network gives for pixels."""
        classifier = self._context.classifier
        network_input = classifier.network_input(pixels)
        outputs = guard_outputs(classifier.network, network_input, classifier.spec, self._layers)
        labels = torch.full((len(pixels),), UNKNOWN) if labels is None else labels
        return LabelledOutputs(Outputs(*(part.float().cpu() for part in outputs)), labels)

    def _joined(self, parts: Sequence[LabelledOutputs]) -> LabelledOutputs:
        if not parts:
            raise InputError(f"No image could be read. {' '.join(self._context.remarks())}".strip())
        return joined(parts)

    def _kinds(self, panel: Panel) -> Iterator[tuple[str, LabelledOutputs]]:
        """Yield every kind of image that belongs to no class."""
        context, classifier = self._context, self._context.classifier
        for index, (name, family) in enumerate(panel.families.items()):
            context.progress("Drawing noise", index / len(panel.families))
            count = min(DRAWS, family.distinct or DRAWS)
            draws = [channels_first(panel.draw(name, number)) for number in range(count)]
            batches = torch.split(torch.from_numpy(np.stack(draws)), batch_size(classifier))
            yield name, joined([self.outputs(batch.to(classifier.device)) for batch in batches])
        if context.has_out_of_distribution:
            yield OUT_OF_DISTRIBUTION, self._out_of_distribution()
        if Need.GRADIENTS in classifier.spec.offers:
            yield FOOLING, self._fooling()

    def _out_of_distribution(self) -> LabelledOutputs:
        context = self._context
        samples = context.shuffled(context.out_of_distribution())[:MAX_OUT_OF_DISTRIBUTION]
        batches = context.batches(samples, "Reading the strangers", distinct=True)
        return self._joined([self.outputs(batch.pixels) for batch in batches])

    def _fooling(self) -> LabelledOutputs:
        """Return images made from noise to be taken for a class, by signed gradient steps."""
        context, classifier = self._context, self._context.classifier
        spec, generator = classifier.spec, torch.Generator().manual_seed(context.seed)
        shape = (FOOLING_IMAGES, spec.channels, spec.height, spec.width)
        noise = torch.rand(shape, generator=generator)
        targets = torch.randint(len(spec.class_names), (FOOLING_IMAGES,), generator=generator)
        batch, parts = batch_size(classifier), []
        for pixels, target in zip(
            torch.split(noise, batch), torch.split(targets, batch), strict=True
        ):
            pixels, target = pixels.to(classifier.device), target.to(classifier.device)
            for step in range(FOOLING_STEPS):
                context.progress("Making fooling images", step / FOOLING_STEPS)
                gradient = classifier.trace(pixels, ()).pixel_gradient(target)
                pixels = (pixels + FOOLING_STEP * gradient.sign()).clamp(0, 1).detach()
            parts.append(self.outputs(pixels))
        return self._joined(parts)


def _require_finite(
    *, fit: LabelledOutputs, threshold: LabelledOutputs, judge: LabelledOutputs
) -> None:
    """Hold a guard to images that the network answers with numbers.

    Raises:
        InputError: When there is none to fit it, to set its threshold or to judge it.
    """
    uses = {"fit it": fit, "set its threshold": threshold, "judge it": judge}
    for use, images in uses.items():
        if not len(images.labels):
            raise InputError(
                f"A guard needs known-good images with finite outputs to {use}, but the model "
                "gives NaN or infinity for all of these. Check the preprocessing, and look at one "
                "of them in Inspect."
            )


def require_features(context: Context) -> None:
    """Hold a guard that reads features to models that have them.

    Raises:
        NotOfferedError: When the last layer cannot be told.
    """
    spec = context.classifier.spec
    if Need.FEATURES not in spec.offers:
        raise NotOfferedError(f"This guard reads features. {spec.why_not(Need.FEATURES)}")
