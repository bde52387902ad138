"""The smallest change of each image that changes the answer: several searches, the best of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.errors import InputError, OptionError
from diagnostics.methods.adversarial._attacks import Tell, Tried
from diagnostics.methods.adversarial._criterion import Goal
from diagnostics.methods.adversarial._norms import Norm, nearest, size, spread
from diagnostics.methods.adversarial._verification import MULTIPLES, Verifier, last
from diagnostics.methods.context import Context, Outcome
from diagnostics.models.features import batch_size
from diagnostics.schema.request import File

Doing: TypeAlias = Callable[[str, float], None]

NORMS: tuple[Norm, ...] = ("l2", "linf")
NAMES = {"l2": "Euclidean distance", "linf": "largest change"}
PICTURE_BYTES = 256 * 2**20  # of all pictures that an answer carries
NO_OTHER = "This model has one class, so no change of an image can make it say another."
NOT_FINITE = "The logits of this image are not finite numbers."
NOT_ASKED = "It was not looked for."
FLAT = "The gradient is zero at this image, so there is no direction to follow."
MISSED = "No search reached such an answer; that does not prove that there is none."


@dataclass(frozen=True)
class Way:
    """A way to look for the smallest change.

    Args:
        title: Its name.
        norm: What it makes small.
        run: Looks for it, see `diagnostics.methods.adversarial._attacks`.
        passes: How often it asks about each image, roughly, to tell how far everything is.
    """

    title: str
    norm: Norm
    run: Callable[[Goal, Tensor, Tell], Tried]
    passes: int


@dataclass
class _Told:
    """What is told so far: an entry for each image, and their arrays."""

    images: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)

    def add(self, row: int, prefix: str, arrays: dict[str, NDArray[Any]]) -> None:
        """Add an image's arrays while there is room."""
        named = {f"{row}/{prefix}{name}": values for name, values in arrays.items()}
        held = sum(one.nbytes for one in (self.arrays | named).values())
        if held > PICTURE_BYTES:
            self.left_out.add(self.images[row]["file"])
        else:
            self.arrays |= named

    def outcome(self, context: Context, *, complete: bool) -> Outcome[Any]:
        """Return what is there."""
        spec, notes = context.classifier.spec, context.remarks()
        if self.left_out:
            notes.append(f"Pictures of {len(self.left_out)} images are left out: too many values.")
        said: dict[str, Any] = {
            "target": context.target,
            "classes": list(spec.class_names),
            "values": spec.channels * spec.height * spec.width,
            "multiples": list(MULTIPLES),
            "images": self.images,
            "complete": complete,
            "notes": notes,
        }
        return Outcome(said, self.arrays)


def smallest_changes(context: Context, ways: Sequence[Way]) -> Outcome[Any]:
    """Look for the smallest change of each image in hand that changes the answer.

    Args:
        context: Gives the images; its target is the class to be said, None any other.
        ways: To look for it; the closest of each norm is refined by bisection and judged.

    Returns:
        For each image the class "said", its "top", and under "l2" and "linf" whether a change was
        found, its "distance" (None where it was not found, never 0) and what is said afterwards,
        also of the picture rounded to 8 bit, saved as PNG and read again. The arrays "N/pixels",
        "N/NORM/changed" and "N/NORM/difference" (h, w, c), "N/NORM/picture" in 8 bit, and
        "N/NORM/line": the logits at each of the "multiples" of the change, shape (m, k).

    Raises:
        InputError: When there is no image, or the model has only one class.
        OptionError: When there is no such class.
    """
    classes = context.classifier.spec.class_names
    if len(classes) < 2:
        raise InputError(NO_OTHER)
    if context.target is not None and not 0 <= context.target < len(classes):
        raise OptionError(f"The class to reach must lie between 0 and {len(classes) - 1}.")
    told, count, at_once = _Told(), len(context.files), batch_size(context.classifier)
    for place, (files, pixels) in enumerate(_batches(context, at_once)):
        start, share = place * at_once / count, len(files) / count

        def tell(doing: str, done: float, start: float = start, share: float = share) -> None:
            context.progress(doing, start + share * done)

        _Batch(context, files, pixels, told).look(ways, tell)
    if not told.images:
        raise InputError(" ".join(["There is no image that could be changed.", *context.remarks()]))
    return told.outcome(context, complete=True)


def _batches(context: Context, at_once: int) -> Iterator[tuple[list[File], Tensor]]:
    """Return the readable images in hand with their files, as many at a time as go at once."""
    files: list[File] = []
    parts: list[Tensor] = []
    for file, picture in zip(context.files, context.samples(), strict=True):
        for made in context.batches([picture]):
            files.append(file)
            parts.append(made.pixels)
        if len(files) == at_once:
            yield files, torch.cat(parts)
            files, parts = [], []
    if files:
        yield files, torch.cat(parts)


@dataclass
class _Closest:
    """The closest changed images under one norm so far, and what each search reached."""

    changed: Tensor
    distance: Tensor
    by: list[str]
    tried: list[dict[str, float | None]]

    def take(self, title: str, pixels: Tensor, changed: Tensor, length: Tensor) -> None:
        """Take what one search found where it is closer; infinite lengths were not found."""
        closer = length < self.distance
        self.changed = torch.where(spread(closer, changed), changed, self.changed)
        self.distance = length.minimum(self.distance)
        for at, better in enumerate(closer.tolist()):
            self.tried[at][title] = float(length[at]) if bool(length[at].isfinite()) else None
            self.by[at] = title if better else self.by[at]


class _Batch:
    """Images that are changed together."""

    def __init__(
        self, context: Context, files: Sequence[File], pixels: Tensor, told: _Told
    ) -> None:
        self._study, self._told, self._judge = context, told, Verifier(context.classifier)
        first, logits, rounded = (
            len(told.images),
            self._judge.ask(pixels),
            self._judge.saved(pixels),
        )
        finite, said = logits.isfinite().all(1).tolist(), logits.argmax(1)
        why = [self._why_not(int(one), fine) for one, fine in zip(said, finite, strict=True)]
        for at, file in enumerate(files):
            told.images.append(
                {
                    "file": file.name,
                    "sha256": file.sha256,
                    "said": int(said[at]) if finite[at] else None,
                    "target": context.target,
                    "top": self._judge.top(logits[at]),
                    "png_said": int(rounded[at].argmax()) if finite[at] else None,
                    **{norm: _not_found(why[at] or NOT_ASKED, {}) for norm in NORMS},
                }
            )
            told.add(first + at, "", {"pixels": last(pixels[at])})
        here = [at for at, one in enumerate(why) if not one]
        self._rows = [first + at for at in here]
        chosen = torch.tensor(here, dtype=torch.long, device=pixels.device)
        self._pixels, self._goal = (
            pixels[chosen],
            Goal(context.classifier, said[chosen], context.target),
        )

    def look(self, ways: Sequence[Way], tell: Doing) -> None:
        """Look for the smallest changes in every way, and tell what there is after each."""
        pixels, goal, count = self._pixels, self._goal, len(self._rows)
        whole, done = sum(way.passes for way in ways), 0
        for norm in NORMS if count else ():
            infinite = torch.full((count,), torch.inf, dtype=pixels.dtype, device=pixels.device)
            found = _Closest(pixels, infinite, [""] * count, [{} for _ in range(count)])
            mine = [way for way in ways if way.norm == norm]
            for way in mine:

                def part(share: float, way: Way = way, done: int = done) -> None:
                    doing = f"{way.title}, {NAMES[way.norm]}"
                    tell(doing, (done + share * way.passes) / whole)

                part(0.0)
                changed, there = way.run(goal, pixels, part)
                changed = nearest(lambda at: goal.reached(goal.logits(at)), pixels, changed)
                length = torch.where(there, size(changed - pixels, norm), torch.inf)
                found.take(way.title, pixels, changed, length)
                done += way.passes
                self._tell(norm, found, whole=way is mine[-1])
                self._study.partial(lambda: self._told.outcome(self._study, complete=False))

    def _tell(self, norm: Norm, found: _Closest, *, whole: bool) -> None:
        judged = self._judge.judged(self._goal, self._pixels, found.changed)
        for at, (row, (entry, arrays)) in enumerate(zip(self._rows, judged, strict=True)):
            tried, here = dict(found.tried[at]), torch.tensor([at], device=self._pixels.device)
            if not (entry["found"] and tried.get(found.by[at])):
                why = (
                    MISSED if bool(self._goal.of(here).slope(self._pixels[here])[1].any()) else FLAT
                )
                self._told.images[row][norm] = _not_found(why, tried)
                continue
            entry |= {"distance": float(found.distance[at]), "by": found.by[at], "tried": tried}
            if whole:
                goal, pixels = self._goal.of(here), self._pixels[here]
                arrays["line"], entry["png_from"] = self._judge.along(
                    goal, pixels, found.changed[here]
                )
            self._told.images[row][norm] = entry
            self._told.add(row, f"{norm}/", arrays)

    def _why_not(self, said: int, finite: bool) -> str:
        """Say why nothing is looked for in an image; empty where it is."""
        if not finite:
            return NOT_FINITE
        if self._study.target != said:
            return ""
        name = self._study.classifier.spec.class_names[said]
        return f"The model says {name} of this image already, so nothing has to change."


def _not_found(why: str, tried: dict[str, float | None]) -> dict[str, Any]:
    return {"found": False, "why": why, "distance": None, "png_flips": None, "tried": tried}
