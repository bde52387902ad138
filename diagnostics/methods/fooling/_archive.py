"""What ways of making pictures share: which classes are meant, how sure the model is, what is kept.

How sure is counted in margins, log(p / (1 − p)): they order pictures as the probability does, and
also where that rounds to one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.errors import InputError, OptionError
from diagnostics.methods.context import Context, Outcome
from diagnostics.metrics.predictions import confidence
from diagnostics.text import counted

Rgb = NDArray[np.uint8]

MILESTONES = {"0.5": 0.5, "0.99": 0.99, "0.999": 0.999, "0.9999": 0.9999}
GOALS = {name: float(np.log(p) - np.log1p(-p)) for name, p in MILESTONES.items()}
GOAL = GOALS["0.9999"]
PICTURE_BYTES, PICTURE_BYTES_SO_FAR = 16 * 2**20, 4 * 2**20  # of all that an outcome brings
TRACED = 2**18  # numbers of a trace that an outcome brings
LEVELS = 255


def meant(written: str, context: Context) -> list[int]:
    """Return the classes that are meant.

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
    wrong = [one for one in parts if not (one.isascii() and one.isdigit() and int(one) < count)]
    if wrong:
        raise OptionError(
            f"classes must be indices from 0 to {count - 1}, separated by commas; got {wrong[0]!r}."
        )
    return list(dict.fromkeys(map(int, parts)))


class Record:
    """The surest picture of each class that is meant, and the way there.

    Args:
        context: Gives the model, and is told what is there.
        classes: Indices of the classes that are meant.
        way: Name of the way in which the pictures are made.
        unit: What the way is counted in, such as "step".
        asked: How many of them, at most.
    """

    def __init__(
        self, context: Context, classes: Sequence[int], *, way: str, unit: str, asked: int
    ) -> None:
        self.context, self.classes = context, list(classes)
        self.margins = np.full(len(classes), -np.inf)
        self.pictures: list[Rgb | None] = [None] * len(classes)
        self.evaluations, self.done, self.not_finite = 0, 0, 0
        self.notes: list[str] = []
        self._about: dict[str, Any] = {
            "way": way,
            "unit": unit,
            "asked": asked,
            "seed": context.seed,
        }
        self._found = np.full(len(classes), -1)
        self._reached: dict[str, dict[int, int]] = {name: {} for name in GOALS}
        self._trace = np.full((asked + 1, len(classes)), np.nan, np.float32)

    def offer(self, step: int, place: int, margin: float, picture: Rgb) -> None:
        """Take a picture if it is surer than the one before it.

        Args:
            step: When it was made.
            place: Of its class among those that are meant.
            margin: log(p / (1 − p)) of that class.
            picture: Shape (h, w, c), as it was measured.
        """
        if margin <= self.margins[place]:
            return
        self.margins[place], self.pictures[place], self._found[place] = margin, picture, step
        for name, goal in GOALS.items():
            if margin >= goal:
                self._reached[name].setdefault(place, step)

    def trace(self, step: int, places: Sequence[int], margins: NDArray[np.float64]) -> None:
        """Note how sure the model is at a step."""
        self._trace[step, places] = margins
        self.done = max(self.done, step)

    def tell(self, doing: str, share: float) -> None:
        """Say how far the work is and what is there."""
        self.context.progress(doing, share)
        self.context.partial(lambda: self.outcome(complete=False))

    def outcome(self, *, complete: bool) -> Outcome[Any]:
        """Return what is there.

        Args:
            complete: Whether all was done that was asked for.
        """
        order = [int(place) for place in np.argsort(-self.margins, kind="stable")]
        room = PICTURE_BYTES if complete else PICTURE_BYTES_SO_FAR
        made = [(place, one) for place in order if (one := self.pictures[place]) is not None]
        shown = made[: max(1, room // made[0][1].nbytes)] if made else []
        rows = self._rows()
        scores = {
            **self._about,
            "complete": complete,
            "done": self.done,
            "evaluations": self.evaluations,
            "not_finite": self.not_finite,
            "found": len(made),
            "classes": [self._entry(place) for place in order],
            "pictures": [self.classes[place] for place, _ in shown],
            "without_picture": len(made) - len(shown),
            "trace_at": rows.tolist(),
            "traced": self.classes,
            "notes": [*self.notes, *self._said()],
        }
        arrays: dict[str, NDArray[Any]] = {"trace": self._trace[rows]}
        if shown:
            arrays["pictures"] = np.stack([one for _, one in shown])
        return Outcome(scores, arrays)

    def _entry(self, place: int) -> Mapping[str, Any]:
        index, margin = self.classes[place], float(self.margins[place])
        there = self.pictures[place] is not None
        p, distance = confidence(margin)
        return {
            "class": self.context.classifier.spec.class_names[index],
            "index": index,
            "probability": p if there else None,
            "one_minus_p": distance if there else None,
            "margin": margin if there else None,
            self._about["unit"]: int(self._found[place]) if there else None,
            "milestones": {name: at.get(place) for name, at in self._reached.items()},
        }

    def _rows(self) -> NDArray[np.intp]:
        """Return the steps whose trace is given: all, or evenly spaced ones where they are many."""
        most = max(2, TRACED // len(self.classes))
        if self.done < most:
            return np.arange(self.done + 1)
        return np.unique(np.linspace(0, self.done, most).round().astype(np.intp))

    def _said(self) -> list[str]:
        if not self.not_finite:
            return []
        lost = counted(self.not_finite, "picture")
        return [f"{lost} left out: the network's numbers for them are not finite."]


def pixels_of(pictures: Sequence[Rgb], context: Context) -> Float[Tensor, "n c h w"]:
    """Return 8-bit pictures as the network gets them: a file of one brings these very values."""
    stacked = torch.from_numpy(np.stack(pictures)).movedim(3, 1)
    return (stacked.to(context.classifier.device, torch.float32) / LEVELS).contiguous()


def picture_of(levels: Float[Tensor, "c h w"]) -> Rgb:
    """Return whole values from 0 to 255 as a picture, shape (h, w, c)."""
    picture: Rgb = levels.movedim(0, 2).to("cpu", torch.uint8).numpy().copy()
    return picture
