"""What every fooling method shares: the target classes, and the best images so far.

Confidence is counted in margins, log(p / (1 − p)): they order images as the probability does, and
also where that rounds to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.errors import InputError, OptionError
from diagnostics.methods.context import Context, Outcome
from diagnostics.metrics.predictions import confidence
from diagnostics.models import log_odds
from diagnostics.schema.results.fooling import FoolingAnswer, FoolingClass
from diagnostics.text import counted

Rgb = NDArray[np.uint8]

MILESTONES = {"0.5": 0.5, "0.99": 0.99, "0.999": 0.999, "0.9999": 0.9999}
MILESTONE_MARGINS = {name: float(np.log(p) - np.log1p(-p)) for name, p in MILESTONES.items()}
GOAL_MARGIN = MILESTONE_MARGINS["0.9999"]
IMAGE_BYTES, PARTIAL_IMAGE_BYTES = 16 * 2**20, 4 * 2**20  # of all images of an outcome
TRACE_SIZE = 2**18  # numbers of the trace of an outcome
LEVELS = 255


def target_indices(written: str, context: Context) -> list[int]:
    """Return the target classes.

    Args:
        written: Indices, separated by commas; empty means the context's target, else all classes.
        context: Gives model and target.

    Raises:
        InputError: When the model has one class alone, which it gives every image.
        OptionError: When an index is none of the model's.
    """
    spec = context.classifier.spec
    count = len(spec.class_names)
    if count < 2 and not spec.output.independent:
        raise InputError(
            f"{spec.name} has one class, {spec.class_names[0]}, and gives it to every image: "
            "there is nothing to fool."
        )
    if not written.strip():
        return list(range(count)) if context.target is None else [context.target]
    parts = [part.strip() for part in written.split(",") if part.strip()]
    for part in parts:
        if not (part.isascii() and part.isdigit() and int(part) < count):
            raise OptionError(
                f"classes must be indices from 0 to {count - 1}, separated by commas; got {part!r}."
            )
    return list(dict.fromkeys(map(int, parts)))


class Archive:
    """The most confident image of each target class, and the margins on the way there.

    A column is the position of a class among the targets.

    Args:
        context: Gives the model, and takes the progress.
        targets: Indices of the target classes.
        algorithm: How the images are made.
        unit: What an iteration is called, such as "step".
        max_iterations: How many there are at most.
    """

    def __init__(
        self,
        context: Context,
        targets: Sequence[int],
        *,
        algorithm: str,
        unit: str,
        max_iterations: int,
    ) -> None:
        self.context, self.targets = context, list(targets)
        self.margins = np.full(len(targets), -np.inf)
        self.images: list[Rgb | None] = [None] * len(targets)
        self.evaluations, self.iterations, self.not_finite = 0, 0, 0
        self.notes: list[str] = []
        self._algorithm, self._unit, self._max_iterations = algorithm, unit, max_iterations
        self._found_at: list[int | None] = [None] * len(targets)
        self._milestones: list[dict[str, int | None]] = [
            dict.fromkeys(MILESTONES) for _ in self.targets
        ]
        self._trace = np.full((max_iterations + 1, len(targets)), np.nan, np.float32)

    def offer(self, iteration: int, column: int, margin: float, image: Rgb) -> None:
        """Take an image if the model is more confident of it than of the one before.

        Args:
            iteration: That the image comes from.
            column: Of its class.
            margin: log(p / (1 − p)) of that class.
            image: Shape (h, w, c), as it was evaluated.
        """
        if margin <= self.margins[column]:
            return
        self.margins[column], self.images[column] = margin, image.copy()
        self._found_at[column] = iteration
        reached = self._milestones[column]
        for name, goal in MILESTONE_MARGINS.items():
            if margin >= goal and reached[name] is None:
                reached[name] = iteration

    @torch.no_grad()
    def confirm(self) -> None:
        """Take the margin of every image as torch computes it, whatever engine found the image."""
        classifier = self.context.classifier
        independent = classifier.spec.output.independent
        for column, image in enumerate(self.images):
            if image is not None:
                logits = classifier.torch_logits(as_pixels([image], self.context))
                every = log_odds.margins(logits, independent=independent)
                self.margins[column] = float(every[0, self.targets[column]])

    def trace(self, iteration: int, columns: Sequence[int], margins: NDArray[np.float64]) -> None:
        """Note the margins of some classes at an iteration."""
        self._trace[iteration, columns] = margins
        self.iterations = max(self.iterations, iteration)

    def report(self, activity: str, share: float) -> None:
        """Report how far the work is, 0 to 1, and what is there."""
        self.context.progress(activity, share)
        self.context.partial(lambda: self.outcome(complete=False))

    def outcome(self, *, complete: bool) -> Outcome[FoolingAnswer]:
        """Return what is there.

        Args:
            complete: Whether the work was done to its end.
        """
        order = [int(column) for column in np.argsort(-self.margins, kind="stable")]
        images = [(column, image) for column in order if (image := self.images[column]) is not None]
        room = IMAGE_BYTES if complete else PARTIAL_IMAGE_BYTES
        sent = images[: max(1, room // images[0][1].nbytes)] if images else []
        rows = self._trace_rows()
        answer = FoolingAnswer(
            algorithm=self._algorithm,
            unit=self._unit,
            iterations=self.iterations,
            max_iterations=self._max_iterations,
            complete=complete,
            seed=self.context.seed,
            evaluations=self.evaluations,
            not_finite=self.not_finite,
            n_found=len(images),
            images_left_out=len(images) - len(sent),
            classes=[self._class_answer(column) for column in order],
            image_indices=[self.targets[column] for column, _ in sent],
            trace_iterations=rows.tolist(),
            trace_indices=self.targets,
            notes=[*self.notes, *self._not_finite_note()],
        )
        arrays: dict[str, NDArray[Any]] = {"trace": self._trace[rows]}
        if sent:
            arrays["images"] = np.stack([image for _, image in sent])
        return Outcome(answer, arrays)

    def _class_answer(self, column: int) -> FoolingClass:
        index, margin = self.targets[column], float(self.margins[column])
        answer = FoolingClass(
            index=index,
            name=self.context.classifier.spec.class_names[index],
            probability=None,
            one_minus_p=None,
            margin=None,
            found_at=self._found_at[column],
            milestones=dict(self._milestones[column]),
        )
        if self.images[column] is not None:
            answer["probability"], answer["one_minus_p"] = confidence(margin)
            answer["margin"] = margin
        return answer

    def _trace_rows(self) -> NDArray[np.intp]:
        """Return the iterations whose trace is sent: all, or evenly spaced ones of many."""
        room = max(2, TRACE_SIZE // len(self.targets))
        if self.iterations < room:
            return np.arange(self.iterations + 1)
        return np.unique(np.linspace(0, self.iterations, room).round().astype(np.intp))

    def _not_finite_note(self) -> list[str]:
        if not self.not_finite:
            return []
        lost = counted(self.not_finite, "picture")
        return [f"{lost} left out: the network's numbers for them are not finite."]


def as_pixels(images: Sequence[Rgb], context: Context) -> Float[Tensor, "n c h w"]:
    """Return 8-bit images as the network gets them: a file of one brings these very values."""
    levels = torch.from_numpy(np.stack(images)).movedim(3, 1)
    return (levels.to(context.classifier.device, torch.float32) / LEVELS).contiguous()


def as_images(levels: Float[Tensor, "n c h w"]) -> Rgb:
    """Return whole values from 0 to 255 as 8-bit images, shape (n, h, w, c)."""
    images: Rgb = levels.movedim(1, 3).to("cpu", torch.uint8).contiguous().numpy()
    return images
