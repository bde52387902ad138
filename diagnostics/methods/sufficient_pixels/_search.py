"""Look for the pixels that suffice in every image of a context, with the controls beside each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.sufficient_pixels._backward_selection import (
    Path,
    Scene,
    Search,
    exact,
    refined,
)
from diagnostics.methods.sufficient_pixels._controls import (
    at_random,
    boxed,
    dilated,
    edge,
    in_region,
    of_wrong,
    searched_wrong,
    sure,
    swapped,
    widened,
    wrong_classes,
)
from diagnostics.methods.sufficient_pixels._infill import make_infill
from diagnostics.models import log_odds
from diagnostics.schema import sufficient_pixels
from diagnostics.schema.spec import Need

FORWARD, BOTH = 1, 3  # what passes weigh against each other in the progress


NOT_FINITE = "The model's answer to this image is not finite, so nothing can be said."
ONE_CLASS = "This model has one class only, so every image is of it and no pixel is needed."


@dataclass(frozen=True)
class Settings:
    """What is looked for, and how.

    Args:
        tau: Probability that a subset reaches.
        fill: What stands where a pixel is hidden, see `sufficiency.FILLS`.
        step: Pixels hidden at a time; 0 hides one after the other, each the best of all.
        subsets: Disjoint subsets looked for at most.
        controls: Whether the controls run.
        box: Where the object is: "left,top,right,bottom" in percent; empty for no box.
    """

    tau: float
    fill: str
    step: int
    subsets: int
    controls: bool
    box: str = ""


@dataclass
class Image:
    """What is known of one image so far."""

    name: str
    pixels: Tensor
    target: int
    found: list[Path] = field(default_factory=list)
    alone: list[NDArray[np.uint8]] = field(default_factory=list)
    wide: NDArray[np.bool_] | None = None
    entry: dict[str, Any] = field(default_factory=dict)


class Sufficient:
    """Searches the images in hand and tells what is there so far.

    Args:
        context: Gives the images, the class that is meant, and the seed.
        settings: What is looked for.
        passes: Passes of one image that the search takes at most: forward alone, and both ways.
    """

    def __init__(self, context: Context, settings: Settings, passes: tuple[int, int]) -> None:
        self._study, self._settings = context, settings
        self._spec = context.classifier.spec
        self._images: list[Image] = []
        self._planned = max(1, len(context.files)) * (FORWARD * passes[0] + BOTH * passes[1])
        self._done, self._doing = 0, ""
        self._box = boxed(settings.box, self._spec.height, self._spec.width)

    def outcome(self) -> Outcome[Any]:
        """Search every image.

        Raises:
            InputError: When no image could be read.
        """
        pictures = self._study.samples()
        for part in self._study.batches(pictures):
            self._all_of(part.names, part.pixels)
        if not self._images:
            raise InputError(" ".join(["No image could be read.", *self._study.remarks()]))
        return self._outcome(complete=True)

    def _all_of(self, names: tuple[str, ...], pixels: Tensor) -> None:
        classifier, settings = self._study.classifier, self._settings
        with torch.no_grad():
            logits = classifier.logits(pixels)
        self._spent(len(names), 0)
        firsts = logits.argmax(1)
        if self._study.target is not None:
            firsts = torch.full_like(firsts, self._study.target)
        whole = log_odds.margin(logits, firsts, independent=self._spec.output.independent)
        group = [
            Image(name, pixels[row : row + 1], int(firsts[row])) for row, name in enumerate(names)
        ]
        self._images += group
        for image, margin in zip(group, whole.tolist(), strict=True):
            image.entry = self._described(image, margin)
        searched = [image for image in group if not image.entry["error"]]
        if not searched:
            return
        if settings.step:
            self._doing = "Hiding pixels"
            taken = torch.cat([image.pixels for image in searched])
            targets = torch.tensor([image.target for image in searched], device=logits.device)
            fill = make_infill(settings.fill, classifier, taken, self._study.seed)
            search = Search(classifier, fill, targets, settings.step, spent=self._spent)
            while search.advance():
                self._keep(partial(_note, searched, search))
            _note(searched, search)
        for image in searched:
            self._one(image)

    def _one(self, image: Image) -> None:
        """Refine one image's path, look for further subsets, and run the controls."""
        settings = self._settings
        scene = self._scene(image)
        if not settings.step:
            self._exactly(scene, image, np.ones(image.pixels.shape[2:], bool))
        first, entry = image.found[0], image.entry
        step = settings.step or sufficient_pixels.usual_step(entry["pixels"])
        entry["coarse"] = -(-(first.smallest(settings.tau) or 0) // step) * step
        if settings.step:
            self._doing = "Searching the last pixels again"
            image.found[0] = first = refined(scene, first, settings.tau, len(first.kept))
        entry["blank"] = sure(float(first.margins[-1]))
        size = first.smallest(settings.tau)
        entry["searched"] = True
        self._keep()
        if size is None:
            return
        kept = first.mask(size)
        image.alone.append(_levels(scene.received(kept)))
        entry["border"] = in_region(scene, kept, edge(*kept.shape))
        if (box := self._box) is not None:
            entry["background"] = in_region(scene, kept, ~box)
        if settings.controls and size:
            self._controls(scene, image, kept)
        self._keep()
        while size and len(image.found) < settings.subsets:
            if not self._further(scene, image):
                break

    def _further(self, scene: Scene, image: Image) -> bool:
        """Look for one more subset in what those before it left; return whether there is one."""
        tau = self._settings.tau
        left = np.ones(image.pixels.shape[2:], bool)
        for path in image.found:
            left &= ~path.mask(path.smallest(tau) or 0)
        (margin,) = scene.margins(left[None])
        if not sure(float(margin))["confidence"] >= tau:
            return False
        self._doing = f"Looking for subset {len(image.found) + 1}"
        if not self._settings.step:
            self._exactly(scene, image, left)
        else:
            targets = torch.tensor([image.target], device=scene.classifier.device)
            step, spent = self._settings.step, self._spent
            search = Search(scene.classifier, scene.fill, targets, step, left[None], spent)
            while search.advance():
                self._keep()
            (path,) = search.paths()
            image.found.append(refined(scene, path, tau, len(path.kept)))
        size = image.found[-1].smallest(tau)
        image.alone.append(_levels(scene.received(image.found[-1].mask(size or 0))))
        self._keep()
        return bool(size)

    def _exactly(self, scene: Scene, image: Image, shown: NDArray[np.bool_]) -> None:
        self._doing = "Hiding one pixel after the other"
        place = len(image.found)
        for path in exact(scene, shown):
            image.found[place:] = [path]
            self._keep()

    def _controls(self, scene: Scene, image: Image, kept: NDArray[np.bool_]) -> None:
        settings, seed, spec = self._settings, self._study.seed, self._spec
        self._doing = "Searching for wrong classes"
        wrong = wrong_classes(scene, len(spec.class_names), seed)
        by_gradient = Need.GRADIENTS in spec.offers
        step = (settings.step or sufficient_pixels.usual_step(kept.size)) if by_gradient else 0
        paths = searched_wrong(scene, wrong, step, self._keep)
        self._doing = "Running the controls"
        image.wide = widened(kept)
        image.entry["controls"] = {
            "blank": image.entry["blank"],
            "swap": swapped(scene, kept, seed),
            "dilated": dilated(scene, kept),
            "wrong": of_wrong(paths, wrong, spec.class_names, settings.tau),
            "random": at_random(scene, int(kept.sum()), seed),
        }

    def _scene(self, image: Image) -> Scene:
        classifier, context = self._study.classifier, self._study
        fill = make_infill(self._settings.fill, classifier, image.pixels, context.seed)
        return Scene(classifier, fill, image.target, self._spent)

    def _described(self, image: Image, margin: float) -> dict[str, Any]:
        """Return what is said of an image before it is searched."""
        error = "" if np.isfinite(margin) else NOT_FINITE
        if len(self._spec.class_names) < 2 and not self._spec.output.independent:
            error = ONE_CLASS
        said = {"confidence": 0.0, "one_minus_p": 1.0} if error else sure(margin)
        return {
            "file": image.name,
            "error": error,
            "class": image.target,
            "name": self._spec.class_names[image.target],
            **said,
            "pixels": self._spec.height * self._spec.width,
            "tau": self._settings.tau,
            "fill": self._settings.fill,
            "searched": False,
            "coarse": None,
            "blank": None,
            "border": None,
            "controls": None,
        }

    def _spent(self, forward: int, both: int) -> None:
        self._done += FORWARD * forward + BOTH * both
        self._study.progress(
            self._doing or "Asking the network", min(1, self._done / self._planned)
        )

    def _keep(self, before: Callable[[], None] = lambda: None) -> None:
        """Report what is there so far."""

        def make() -> Outcome[Any]:
            before()
            return self._outcome(complete=False)

        self._study.partial(make)

    def _outcome(self, *, complete: bool) -> Outcome[Any]:
        arrays: dict[str, NDArray[Any]] = {}
        entries = [
            self._entry(image, f"{place}/", arrays) for place, image in enumerate(self._images)
        ]
        notes = self._study.remarks()
        return Outcome({"images": entries, "complete": complete, "notes": notes}, arrays)

    def _entry(self, image: Image, prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
        """Return one image's part of the outcome, its arrays added under the prefix."""
        tau, entry = self._settings.tau, dict(image.entry)
        entry |= {"size": None, "resolution": None, "kept": None, "highest": None, "subsets": []}
        arrays[f"{prefix}pixels"] = _levels(image.pixels[0])
        arrays |= {f"{prefix}alone/{place}": one for place, one in enumerate(image.alone)}
        if image.wide is not None:
            arrays[f"{prefix}wide"] = image.wide
        for place, path in enumerate(image.found):
            size = path.smallest(tau)
            arrays[f"{prefix}removed/{place}"] = path.removed()
            arrays[f"{prefix}kept/{place}"] = path.kept.astype(np.int32)
            arrays[f"{prefix}margins/{place}"] = path.margins
            if size is not None:
                reached = sure(float(path.margins[path.kept == size][-1]))
                arrays[f"{prefix}subset/{place}"] = path.mask(size)
                one = {"size": size, "resolution": path.step, "kept": reached}
                entry["subsets"].append(one)
        if image.found and image.found[0].kept.size:
            path = image.found[0]
            top = int(np.nanargmax(np.where(np.isnan(path.margins), -np.inf, path.margins)))
            entry["highest"] = {"kept": int(path.kept[top]), **sure(float(path.margins[top]))}
            entry |= entry["subsets"][0] if entry["subsets"] else {}
        return entry | _read(entry)


def _levels(pixels: Tensor) -> NDArray[np.uint8]:
    """Return pixels (c, h, w) in [0, 1] as a picture, shape (h, w, c)."""
    values: NDArray[np.uint8] = (
        (255 * pixels.movedim(0, 2).clamp(0, 1)).round().byte().cpu().numpy()
    )
    return values


def _note(images: list[Image], search: Search) -> None:
    for image, path in zip(images, search.paths(), strict=True):
        image.found[:1] = [path]


def _read(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what is read from one image's figures."""
    read = {
        "verdict": sufficient_pixels.verdict(entry),
        "reading": sufficient_pixels.sentence(entry),
        "checks": sufficient_pixels.checks(entry) if entry["controls"] else [],
        "confidence_rose": sufficient_pixels.raised(entry) if entry["highest"] else None,
        "border_driven": entry["border"] and sufficient_pixels.border_driven(entry),
    }
    if "background" in entry:
        read["background_driven"] = sufficient_pixels.background_driven(entry)
    return read
