"""The smallest change of each image that changes the answer: several attacks, the best of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.errors import InputError, OptionError
from diagnostics.methods.adversarial._attacks import AttackResult, ReportShare
from diagnostics.methods.adversarial._criterion import Criterion
from diagnostics.methods.adversarial._norms import bisect, per_image, size
from diagnostics.methods.adversarial._verification import (
    MULTIPLES,
    Verifier,
    channels_last,
    to_8bit,
)
from diagnostics.methods.context import Context, Outcome, ReportProgress
from diagnostics.models.features import batch_size
from diagnostics.schema.request import File
from diagnostics.schema.results.adversarial import (
    AdversarialAnswer,
    AdversarialImage,
    ChangedPicture,
    NoPerturbation,
    Norm,
)

NORMS: tuple[Norm, ...] = ("l2", "linf")
NAMES = {"l2": "Euclidean distance", "linf": "largest change"}
PICTURE_BYTES = 256 * 2**20  # of all pictures that an answer carries
ONE_CLASS = "This model has one class, so no change of an image can make it say another."
NOT_FINITE = "The logits of this image are not finite numbers."
NOT_WANTED = "It was not looked for."
FLAT = "The gradient is zero at this image, so there is no direction to follow."
NOT_FOUND = "No search reached such an answer; that does not prove that there is none."


@dataclass(frozen=True)
class Attack:
    """An attack with its settings.

    Args:
        title: Its name.
        norm: What it makes small.
        run: Looks for changed images, see `diagnostics.methods.adversarial._attacks`.
        forward_passes: How often it asks about each image, roughly, to report how far everything
            is.
    """

    title: str
    norm: Norm
    run: Callable[[Criterion, Tensor, ReportShare], AttackResult]
    forward_passes: int


def minimal_perturbations(
    context: Context, attacks: Sequence[Attack]
) -> Outcome[AdversarialAnswer]:
    """Look for the smallest change of each image in hand that changes the answer.

    Args:
        context: Gives the images; its target is the class to reach, None any other.
        attacks: To run; the closest result of each norm is refined by bisection and verified.

    Raises:
        InputError: When there is no image, or the model has only one class.
        OptionError: When there is no such class.
    """
    classes = context.classifier.spec.class_names
    if len(classes) < 2:
        raise InputError(ONE_CLASS)
    if context.target is not None and not 0 <= context.target < len(classes):
        raise OptionError(f"The class to reach must lie between 0 and {len(classes) - 1}.")
    builder, count, limit = _AnswerBuilder(), len(context.files), batch_size(context.classifier)
    for index, (files, pixels) in enumerate(_batches(context, limit)):
        start, share = index * limit / count, len(files) / count

        def report(doing: str, done: float, start: float = start, share: float = share) -> None:
            context.progress(doing, start + share * done)

        _BatchSearch(context, files, pixels, builder).run(attacks, report)
    if not builder.images:
        raise InputError(" ".join(["There is no image that could be changed.", *context.remarks()]))
    return builder.outcome(context, complete=True)


def _batches(context: Context, limit: int) -> Iterator[tuple[list[File], Tensor]]:
    """Return the readable images in hand with their files, as many at a time as go at once."""
    files: list[File] = []
    parts: list[Tensor] = []
    for file, sample in zip(context.files, context.samples(), strict=True):
        for batch in context.batches([sample]):
            files.append(file)
            parts.append(batch.pixels)
        if len(files) == limit:
            yield files, torch.cat(parts)
            files, parts = [], []
    if files:
        yield files, torch.cat(parts)


@dataclass
class _AnswerBuilder:
    """The answer so far: an entry for each image, and their arrays."""

    images: list[AdversarialImage] = field(default_factory=list)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    without_pictures: set[int] = field(default_factory=set)

    def add(self, index: int, prefix: str, arrays: dict[str, NDArray[Any]]) -> None:
        """Add an image's arrays while there is room."""
        named = {f"{index}/{prefix}{name}": values for name, values in arrays.items()}
        total_bytes = sum(values.nbytes for values in (self.arrays | named).values())
        if total_bytes > PICTURE_BYTES:
            self.without_pictures.add(index)
        else:
            self.arrays |= named

    def outcome(self, context: Context, *, complete: bool) -> Outcome[AdversarialAnswer]:
        """Return what is there."""
        spec, notes = context.classifier.spec, context.remarks()
        if self.without_pictures:
            count = len(self.without_pictures)
            notes.append(f"Pictures of {count} images are left out: too many values.")
        answer = AdversarialAnswer(
            target=context.target,
            classes=list(spec.class_names),
            values=spec.channels * context.preprocessing.pixels,
            multiples=list(MULTIPLES),
            images=self.images,
            complete=complete,
            notes=notes,
        )
        return Outcome(answer, self.arrays)


class _Closest:
    """The closest adversarial images under one norm so far, and what each attack reached.

    Args:
        pixels: The unchanged images, shape (n, c, h, w).

    Attributes:
        found: Of each attack the changed images, and which of them are adversarial.
    """

    def __init__(self, pixels: Tensor) -> None:
        count = len(pixels)
        self.changed = pixels
        self.distance = torch.full((count,), torch.inf, dtype=pixels.dtype, device=pixels.device)
        self.attack = [""] * count
        self.attacks: list[dict[str, float | None]] = [{} for _ in range(count)]
        self.found: dict[str, tuple[Tensor, Tensor]] = {}

    def update(self, title: str, changed: Tensor, distance: Tensor) -> None:
        """Take what an attack found where it is closer; infinite distances were not found."""
        self.found[title] = changed, distance.isfinite()
        closer = distance < self.distance
        self.changed = torch.where(per_image(closer, changed), changed, self.changed)
        self.distance = distance.minimum(self.distance)
        for row, better in enumerate(closer.tolist()):
            value = float(distance[row])
            self.attacks[row][title] = value if distance[row].isfinite() else None
            self.attack[row] = title if better else self.attack[row]


class _BatchSearch:
    """Changes images together.

    Args:
        context: Gives the classifier and the target.
        files: Of the images.
        pixels: The images, shape (n, c, h, w).
        builder: Takes entries and arrays.
    """

    def __init__(
        self, context: Context, files: Sequence[File], pixels: Tensor, builder: _AnswerBuilder
    ) -> None:
        self._context, self._builder = context, builder
        self._verifier = Verifier(context.classifier)
        logits, png_logits = self._verifier.logits(pixels), self._verifier.png_logits(pixels)
        finite, predicted = logits.isfinite().all(1).tolist(), logits.argmax(1)
        rows, start = [], len(builder.images)
        for row, file in enumerate(files):
            label = int(predicted[row]) if finite[row] else None
            reason = self._why_not(label)
            if not reason:
                rows.append(row)
            image = AdversarialImage(
                file=file.name,
                sha256=file.sha256,
                predicted=label,
                target=context.target,
                top=self._verifier.top(logits[row]),
                png_predicted=int(png_logits[row].argmax()) if finite[row] else None,
                l2=_not_found(reason or NOT_WANTED, {}),
                linf=_not_found(reason or NOT_WANTED, {}),
            )
            builder.images.append(image)
            builder.add(start + row, "", {"pixels": channels_last(pixels[row])})
        self._indices = [start + row for row in rows]
        chosen = torch.tensor(rows, dtype=torch.long, device=pixels.device)
        self._pixels = pixels[chosen]
        self._criterion = Criterion(context.classifier, predicted[chosen], context.target)

    def run(self, attacks: Sequence[Attack], report: ReportProgress) -> None:
        """Run every attack, and hand on what there is after each."""
        if not self._indices:
            return
        total, done = sum(attack.forward_passes for attack in attacks), 0
        for norm in NORMS:
            closest = _Closest(self._pixels)
            of_norm = [attack for attack in attacks if attack.norm == norm]
            for attack in of_norm:

                def report_share(share: float, attack: Attack = attack, done: int = done) -> None:
                    doing = f"{attack.title}, {NAMES[attack.norm]}"
                    report(doing, (done + share * attack.forward_passes) / total)

                report_share(0.0)
                self._attack(attack, closest, report_share)
                done += attack.forward_passes
                self._describe(norm, closest, last=attack is of_norm[-1])
                self._context.partial(lambda: self._builder.outcome(self._context, complete=False))

    def _attack(self, attack: Attack, closest: _Closest, report: ReportShare) -> None:
        pixels, criterion = self._pixels, self._criterion

        def is_adversarial(points: Tensor) -> Tensor:
            return criterion.is_adversarial(criterion.logits(points))

        result = attack.run(criterion, pixels, report)
        changed = bisect(is_adversarial, pixels, result.pixels)
        distance = size(changed - pixels, attack.norm)
        distance = torch.where(result.is_adversarial, distance, torch.inf)
        closest.update(attack.title, changed, distance)

    def _describe(self, norm: Norm, closest: _Closest, *, last: bool) -> None:
        """Enter what is closest, verified; after the last attack also what lies along it.

        After that attack also the smallest change is looked for that survives rounding.
        """
        verified = self._verifier.verify(self._criterion, self._pixels, closest.changed)
        for row, (index, verification) in enumerate(zip(self._indices, verified, strict=True)):
            here = torch.tensor([row], device=self._pixels.device)
            criterion, pixels = self._criterion.subset(here), self._pixels[here]
            image, arrays = self._builder.images[index], verification.arrays
            attacks, distance = dict(closest.attacks[row]), float(closest.distance[row])
            if not (verification.is_adversarial and 0 < distance < torch.inf):
                flat = not criterion.smooth_margin_gradient(pixels)[1].any()
                image[norm] = _not_found(FLAT if flat else NOT_FOUND, attacks)
                continue
            in_8_bit = None
            if last:
                arrays["logits"] = self._verifier.along(pixels, closest.changed[here])
                in_8_bit, pictures = self._in_8_bit(norm, closest, row)
                arrays |= pictures
            image[norm] = {
                "is_adversarial": True,
                "distance": distance,
                "attack": closest.attack[row],
                "attacks": attacks,
                **verification.image,
                "in_8_bit": in_8_bit,
            }
            self._builder.add(index, f"{norm}/", arrays)

    def _in_8_bit(
        self, norm: Norm, closest: _Closest, row: int
    ) -> tuple[ChangedPicture | None, dict[str, NDArray[Any]]]:
        """Return the smallest change of an image that survives rounding, and its picture."""
        here = torch.tensor([row], device=self._pixels.device)
        criterion, pixels = self._criterion.subset(here), self._pixels[here]
        best: ChangedPicture | None = None
        arrays: dict[str, NDArray[Any]] = {}
        for attack, (changed, is_adversarial) in closest.found.items():
            if not is_adversarial[row]:
                continue
            found = self._verifier.smallest_picture(criterion, pixels, changed[here])
            if found is None:
                continue
            multiple, values = found
            change = values[None] - pixels
            distance = float(size(change, norm))
            if best is None or distance < best["distance"]:
                picture, before = to_8bit(values), to_8bit(pixels[0])
                best = ChangedPicture(
                    distance=distance,
                    l2=float(size(change, "l2")),
                    linf=float(size(change, "linf")),
                    attack=attack,
                    multiple=multiple,
                    top=self._verifier.top(self._verifier.logits(values[None])[0]),
                    changed_pixels=int((picture != before).any(axis=2).sum()),
                )
                arrays = {"in_8_bit": picture}
        return best, arrays

    def _why_not(self, predicted: int | None) -> str:
        """Say why nothing is looked for in an image; empty where it is."""
        if predicted is None:
            return NOT_FINITE
        if self._context.target != predicted:
            return ""
        name = self._context.classifier.spec.class_names[predicted]
        return f"The model says {name} of this image already, so nothing has to change."


def _not_found(reason: str, attacks: dict[str, float | None]) -> NoPerturbation:
    return NoPerturbation(
        is_adversarial=False, reason=reason, distance=None, png_is_adversarial=None, attacks=attacks
    )
