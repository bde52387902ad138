"""Look for the pixels that suffice in every image of a context, with the controls beside each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.data.image import eight_bit
from diagnostics.errors import InputError
from diagnostics.methods.context import Batch, Context, Outcome
from diagnostics.methods.sufficient_pixels import _controls as controls
from diagnostics.methods.sufficient_pixels._backward_selection import (
    BatchedGradientSearch,
    MaskedImage,
    SelectionPath,
    confirm,
    exact_paths,
    refine,
)
from diagnostics.methods.sufficient_pixels._controls import confidence
from diagnostics.methods.sufficient_pixels._infill import make_infill
from diagnostics.methods.sufficient_pixels._sis import Mask
from diagnostics.methods.sufficient_pixels._verdict import with_verdict
from diagnostics.models import log_odds
from diagnostics.schema.results.sufficient_pixels import (
    Confidence,
    Controls,
    HighestConfidence,
    ImageFigures,
    Region,
    Subset,
    SufficientPixelsAnswer,
)
from diagnostics.schema.spec import Need
from diagnostics.schema.sufficient_pixels import Fill, Passes, default_step

FORWARD, BOTH = 1, 3  # what passes weigh against each other in the progress

NOT_FINITE = "The model's answer to this image is not finite, so nothing can be said."
ONE_CLASS = "This model has one class only, so every image is of it and no pixel is needed."

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Settings:
    """What is looked for, and how.

    Args:
        tau: Probability that a subset reaches.
        fill: What stands where a pixel is hidden.
        step: Pixels hidden at a time; 0 hides one after the other, each the best of all.
        subsets: Disjoint subsets looked for at most.
        controls: Whether the controls run.
        box: Where the object is: "left,top,right,bottom" in percent; empty for no box.
    """

    tau: float
    fill: Fill
    step: int
    subsets: int
    controls: bool
    box: str = ""


@dataclass
class ImageSearch:
    """What is known of one image so far.

    Args:
        file: Name of the image.
        pixels: Shape (1, c, h, w).
        target: Index of the class.
        confidence: In the whole image.
        error: Why the image cannot be searched; empty when it can.
        paths: One per subset, each in what those before it left.
        kept_only: What the network receives of each subset, 8 bit, shape (h, w, c).
        widened: The first subset with the eight pixels around each of its own.
        searched: Whether the first path is complete and refined.
        blank: Confidence with every pixel hidden.
        border: How much of the first subset lies at the border.
        background: The same outside the box.
        controls: What the controls measured.
    """

    file: str
    pixels: Tensor
    target: int
    confidence: Confidence
    error: str
    paths: list[SelectionPath] = field(default_factory=list)
    kept_only: list[NDArray[np.uint8]] = field(default_factory=list)
    widened: Mask | None = None
    searched: bool = False
    blank: Confidence | None = None
    border: Region | None = None
    background: Region | None = None
    controls: Controls | None = None

    def figures(
        self, *, target_name: str, tau: float, fill: str, subsets: list[Subset]
    ) -> ImageFigures:
        """Return what was measured so far."""
        first = subsets[0] if subsets else None
        return ImageFigures(
            **self.confidence,
            file=self.file,
            error=self.error,
            target=self.target,
            target_name=target_name,
            pixels=self.pixels.shape[2] * self.pixels.shape[3],
            tau=tau,
            fill=fill,
            searched=self.searched,
            size=first["size"] if first else None,
            resolution=first["resolution"] if first else None,
            kept_only=first["kept_only"] if first else None,
            subsets=subsets,
            highest=_highest(self.paths[0]) if self.paths else None,
            blank=self.blank,
            border=self.border,
            background=self.background,
            controls=self.controls,
        )


class SufficientPixelSearch:
    """Searches the images of a context and reports what is there so far.

    Args:
        context: Gives the images, the target class, and the seed.
        settings: What is looked for.
        passes: What the search of one image takes at most.
    """

    def __init__(self, context: Context, settings: Settings, passes: Passes) -> None:
        self._context, self._settings = context, settings
        self._spec = context.classifier.spec
        self._images: list[ImageSearch] = []
        self._planned = max(1, len(context.files)) * _weight(passes.forward, passes.both)
        self._done, self._activity = 0, "Asking the network"
        recipe = context.preprocessing
        self._box = controls.box_mask(settings.box, recipe.height, recipe.width)

    def run(self) -> Outcome[SufficientPixelsAnswer]:
        """Search every image.

        Raises:
            InputError: When no image could be read.
        """
        for batch in self._context.batches(self._context.samples()):
            self._search_batch(batch)
        if not self._images:
            raise InputError(" ".join(["No image could be read.", *self._context.remarks()]))
        return self._outcome(complete=True)

    def _search_batch(self, batch: Batch) -> None:
        images = self._begin(batch)
        self._images += images
        searched = [image for image in images if not image.error]
        if not searched:
            return
        if self._settings.step:
            self._activity = "Hiding pixels"
            pixels = torch.cat([image.pixels for image in searched])
            self._search_by_gradient(searched, pixels)
        for image in searched:
            self._search_image(image)

    def _begin(self, batch: Batch) -> list[ImageSearch]:
        """Return a batch's images with the class that each is searched for."""
        with torch.no_grad():
            logits = self._context.classifier.logits(batch.pixels)
        self._count_passes(len(batch.names), 0)
        targets = logits.argmax(1)
        if self._context.target is not None:
            targets = torch.full_like(targets, self._context.target)
        independent = self._spec.output.independent
        margins = log_odds.margin(logits, targets, independent=independent).tolist()
        one_class = len(self._spec.class_names) < 2 and not independent
        images = []
        for row, (name, target) in enumerate(zip(batch.names, targets.tolist(), strict=True)):
            error = "" if np.isfinite(margins[row]) else NOT_FINITE
            error = ONE_CLASS if one_class else error
            in_image = confidence(-np.inf if error else margins[row])
            pixels = batch.pixels[row : row + 1]
            images.append(ImageSearch(name, pixels, target, in_image, error))
        return images

    def _search_by_gradient(self, images: list[ImageSearch], pixels: Tensor) -> None:
        """Find the first path of several images at once."""
        classifier = self._context.classifier
        targets = torch.tensor([image.target for image in images], device=pixels.device)
        infill = make_infill(self._settings.fill, classifier, pixels, self._context.seed)
        search = BatchedGradientSearch(
            classifier, infill, targets, self._settings.step, count_passes=self._count_passes
        )

        def update() -> None:
            for image, path in zip(images, search.paths(), strict=True):
                image.paths[:1] = [path]

        while search.advance():
            self._report_partial(update)
        update()

    def _search_image(self, image: ImageSearch) -> None:
        """Refine an image's path, run the controls, and look for further subsets."""
        settings = self._settings
        masked = self._masked(image)
        if not settings.step:
            self._search_exactly(masked, image, np.ones(masked.shape, bool))
        path = image.paths[0]
        if settings.step:
            self._activity = "Searching the last pixels again"
            path = refine(masked, path, settings.tau, len(path.kept_counts))
        image.paths[0] = path = confirm(masked, path, settings.tau)
        image.blank = confidence(float(path.margins[-1]))
        image.searched = True
        self._report_partial()
        size = path.smallest_size(settings.tau)
        if size is None:
            return
        kept = path.mask(size)
        image.kept_only.append(_as_image(masked.masked(kept)))
        image.border = controls.measure_region(masked, kept, controls.border_mask(*kept.shape))
        if self._box is not None:
            image.background = controls.measure_region(masked, kept, ~self._box)
        if settings.controls and size:
            self._run_controls(masked, image, kept)
        self._report_partial()
        while size and len(image.paths) < settings.subsets:
            size = self._search_further_subset(masked, image)

    def _search_further_subset(self, masked: MaskedImage, image: ImageSearch) -> int:
        """Look for one more subset in what those before it left; return its size, 0 for none."""
        tau, step = self._settings.tau, self._settings.step
        left = np.ones(masked.shape, bool)
        for path in image.paths:
            left &= ~path.mask(path.smallest_size(tau) or 0)
        (margin,) = masked.margins(left[None])
        if not confidence(float(margin))["confidence"] >= tau:
            return 0
        self._activity = f"Looking for subset {len(image.paths) + 1}"
        if not step:
            self._search_exactly(masked, image, left)
        else:
            targets = torch.tensor([image.target], device=masked.classifier.device)
            search = BatchedGradientSearch(
                masked.classifier, masked.infill, targets, step, left[None], self._count_passes
            )
            while search.advance():
                self._report_partial()
            (path,) = search.paths()
            image.paths.append(refine(masked, path, tau, len(path.kept_counts)))
        image.paths[-1] = confirm(masked, image.paths[-1], tau)
        size = image.paths[-1].smallest_size(tau) or 0
        image.kept_only.append(_as_image(masked.masked(image.paths[-1].mask(size))))
        self._report_partial()
        return size

    def _search_exactly(self, masked: MaskedImage, image: ImageSearch, start: Mask) -> None:
        self._activity = "Hiding one pixel after the other"
        index = len(image.paths)
        for path in exact_paths(masked, start):
            image.paths[index:] = [path]
            self._report_partial()

    def _run_controls(self, masked: MaskedImage, image: ImageSearch, kept: Mask) -> None:
        settings, seed, names = self._settings, self._context.seed, self._spec.class_names
        self._activity = "Searching for wrong classes"
        wrong = controls.draw_wrong_classes(image.target, len(names), seed)
        has_gradients = Need.GRADIENTS in self._spec.offers
        step = (settings.step or default_step(kept.size)) if has_gradients else 0
        paths = controls.search_wrong_classes(masked, wrong, step, self._report_partial)
        self._activity = "Running the controls"
        image.widened = controls.dilate(kept)
        assert image.blank is not None
        image.controls = Controls(
            blank=image.blank,
            other_fills=controls.other_fills(masked, kept, seed),
            widened=controls.widened_subset(masked, kept),
            wrong_classes=controls.wrong_classes(paths, wrong, names, settings.tau),
            random_pixels=controls.random_pixels(masked, int(kept.sum()), seed),
        )

    def _masked(self, image: ImageSearch) -> MaskedImage:
        classifier, seed = self._context.classifier, self._context.seed
        infill = make_infill(self._settings.fill, classifier, image.pixels, seed)
        return MaskedImage(classifier, infill, image.target, self._count_passes)

    def _count_passes(self, forward: int, both: int) -> None:
        self._done += _weight(forward, both)
        self._context.progress(self._activity, min(1, self._done / self._planned))

    def _report_partial(self, update: Callable[[], None] = lambda: None) -> None:
        """Report what is there so far.

        Args:
            update: Called before the outcome is made.
        """

        def make() -> Outcome[SufficientPixelsAnswer]:
            update()
            return self._outcome(complete=False)

        self._context.partial(make)

    def _outcome(self, *, complete: bool) -> Outcome[SufficientPixelsAnswer]:
        tau, fill, names = self._settings.tau, self._settings.fill, self._spec.class_names
        arrays: Arrays = {}
        images = []
        for position, image in enumerate(self._images):
            subsets = _add_subsets(image, tau, f"{position}/", arrays)
            figures = image.figures(
                target_name=names[image.target], tau=tau, fill=fill, subsets=subsets
            )
            images.append(with_verdict(figures))
        answer = SufficientPixelsAnswer(
            images=images, complete=complete, notes=self._context.remarks()
        )
        return Outcome(answer, arrays)


def _add_subsets(image: ImageSearch, tau: float, prefix: str, arrays: Arrays) -> list[Subset]:
    """Return an image's subsets, and add all its arrays under the prefix."""
    arrays[f"{prefix}pixels"] = _as_image(image.pixels[0])
    for number, kept_only in enumerate(image.kept_only):
        arrays[f"{prefix}kept_only/{number}"] = kept_only
    if image.widened is not None:
        arrays[f"{prefix}widened"] = image.widened
    subsets: list[Subset] = []
    for number, path in enumerate(image.paths):
        arrays[f"{prefix}selection_order/{number}"] = path.selection_order()
        arrays[f"{prefix}kept_counts/{number}"] = path.kept_counts.astype(np.int32)
        arrays[f"{prefix}margins/{number}"] = path.margins
        size = path.smallest_size(tau)
        if size is not None:
            margin = float(path.margins[path.kept_counts == size][-1])
            arrays[f"{prefix}subset/{number}"] = path.mask(size)
            subsets.append({"size": size, "resolution": path.step, "kept_only": confidence(margin)})
    return subsets


def _highest(path: SelectionPath) -> HighestConfidence | None:
    """Return the highest confidence on a path; None where it has no point yet."""
    if not path.kept_counts.size:
        return None
    top = int(np.argmax(np.where(np.isnan(path.margins), -np.inf, path.margins)))
    return HighestConfidence(
        kept_count=int(path.kept_counts[top]), **confidence(float(path.margins[top]))
    )


def _weight(forward: int, both: int) -> int:
    return FORWARD * forward + BOTH * both


def _as_image(pixels: Tensor) -> NDArray[np.uint8]:
    """Return pixels, shape (c, h, w), as 8 bit, shape (h, w, c)."""
    return eight_bit(pixels.movedim(0, 2).cpu().numpy())
