"""Whether an overall property, or the background, explains an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from diagnostics.methods.diagnosis._background import give_background, take_background
from diagnostics.methods.diagnosis._case import (
    MIN_OTHERS,
    ImageCase,
    ModelCase,
    count,
    effect,
    finding,
    pictures_of,
)
from diagnostics.methods.diagnosis._properties import PROPERTIES, Property
from diagnostics.methods.diagnosis._search import said
from diagnostics.methods.diagnosis._transplant import second_largest
from diagnostics.schema.results.diagnosis import Finding, Picture

MIN_FALL, ABOVE_PLACEBO, HALF = 0.25, 0.35, 0.5
CARRYING = ("shortcut.background", "reliance.texture")  # what is given brings parts of an object
GIVEN = 24  # good images that are given a property
UNUSUAL = 0.7  # of good images that must be less extreme for an image's property to be its own
CARRIERS = 3  # good images of the class that may have it too


@dataclass(frozen=True)
class _Result:
    """What taking a property away and giving it did."""

    what: Property
    after: float
    taken: Tensor
    turned: Sequence[bool]
    placebo: Sequence[bool]
    usual: float
    place: float

    @property
    def share(self) -> float:
        return float(np.mean(self.turned)) if len(self.turned) else 0.0


BACKGROUND = Property(
    "shortcut.background",
    "background",
    lambda pixels: torch.zeros(len(pixels)),
    give_background,
    (take_background,),
    "show each class on many backgrounds in training, or cut the object out",
)
ALL = (*PROPERTIES, BACKGROUND)


def find(image: ImageCase) -> list[Finding]:
    """Return whether an overall property explains an image's answer."""
    known = image.model.known
    if known is None or not image.model.has_examples or image.p < MIN_FALL:
        return []
    rows = known.others(image.index, GIVEN)
    if len(rows) < MIN_OTHERS:
        return []
    others = known.pixels[rows]
    taken = [(one, torch.stack([take(image.pixels, others) for take in one.takes])) for one in ALL]
    logits, shares = said(image.model.network, torch.cat([ways for _, ways in taken]))
    results: list[_Result] = []
    start = 0
    for what, ways in taken:
        rows_ = slice(start, start := start + len(ways))
        after = np.where(logits[rows_].argmax(1) != image.index, shares[rows_, image.index], np.inf)
        lowest = int(after.argmin())
        p = float(shares[rows_][lowest, image.index])
        changed = bool(np.isfinite(after[lowest]))
        results.append(_result(image, what, ways[lowest], p, changed, others))
    found = []
    for cause in dict.fromkeys(one.cause for one in ALL):
        same = [one for one in results if one.what.cause == cause]
        holding = [one for one in same if _holds(image, one)]
        best = max(holding or same, key=lambda one: min(one.share, image.p - one.after))
        found.append(_finding(image, best, others, holds=bool(holding)))
    return found


def _result(
    image: ImageCase, what: Property, taken: Tensor, after: float, changed: bool, others: Tensor
) -> _Result:
    if not changed or image.p - after < MIN_FALL:
        return _Result(what, after, taken, (), (), 0.0, 0.0)
    here = float(what.measure(image.pixels[None])[0])
    below = float((image.model.of_good(what.name, what.measure) < here).mean())
    network, index = image.model.network, image.index
    turned = network.logits(what.give(others, image.pixels)).argmax(1) == index
    source = others[len(others) // 2]
    rest = torch.cat([others[: len(others) // 2], others[len(others) // 2 + 1 :]])
    if what.same_for_all:
        bare = torch.stack([what.takes[0](one, others) for one in rest])
    else:
        bare = what.give(rest, source)
    placebo = network.logits(bare).argmax(1) == index
    usual = _usual(image.model, what, index)
    return _Result(what, after, taken, turned.tolist(), placebo.tolist(), usual, below)


def _usual(model: ModelCase, what: Property, index: int) -> float:
    """Return which share of others good images of other classes turn with their property."""
    key = f"property {what.name}"
    if key not in model.memory:
        model.memory[key] = _donors(model, what)
    shares = [share for donor, share in model.memory[key] if donor != index]
    return second_largest(shares)


def _donors(model: ModelCase, what: Property) -> list[tuple[int, float]]:
    known = model.known
    assert known is not None
    found = []
    for row in model.donors():
        index = int(known.classes[row])
        others = known.pixels[known.others(index, GIVEN // 2)]
        turned = model.network.logits(what.give(others, known.pixels[row])).argmax(1) == index
        found.append((index, float(turned.mean())))
    return found


def _holds(image: ImageCase, one: _Result) -> bool:
    bare = float(np.mean(one.placebo)) if len(one.placebo) else 0.0
    extreme = one.what.cause != "reliance.edges" or one.place >= UNUSUAL
    above = HALF if one.what.cause in CARRYING else ABOVE_PLACEBO
    return (
        len(one.turned) > 0
        and one.share >= max(bare, one.usual) + above
        and extreme
        and (not image.is_stray or _is_carried(image, one))
    )


def _is_carried(image: ImageCase, one: _Result) -> bool:
    """Say whether good images of the class turn others with the property too."""
    known = image.model.known
    assert known is not None
    rows = np.flatnonzero(known.classes == image.index)[:CARRIERS]
    others = known.pixels[known.others(image.index, GIVEN // 2)]
    shares = [
        (
            image.model.network.logits(one.what.give(others, known.pixels[row])).argmax(1)
            == image.index
        ).mean()
        for row in rows
    ]
    return bool(shares) and float(np.mean(shares)) >= one.usual + ABOVE_PLACEBO / 2


def _finding(image: ImageCase, best: _Result, others: Tensor, *, holds: bool) -> Finding:
    what = best.what
    turned = count(best.turned) if len(best.turned) else None
    placebo = count(best.placebo) if len(best.placebo) else None
    fell = image.p - best.after >= MIN_FALL
    if what is BACKGROUND:
        done = "On the median background of good images of other classes,"
        sentence = "the model reads the background, not the object"
    else:
        done = f"With the {what.name} of other good images,"
        sentence = f"the model reads the {what.name} of the image"
    why_not = f"Taking away its {what.name} does not lower the answer by 25 points."
    if fell and turned and placebo:
        why_not = (
            f"{done} the answer falls, but {turned['hits']} of {turned['n']} other good images "
            f"turn when they are given it; {placebo['hits']} of {placebo['n']} do when they are "
            f"given that of another good image, and good images' own turns "
            f"{100 * best.usual:.0f} %."
        )
    return finding(
        what.cause,
        holds=holds,
        confidence=turned["interval"][0] if turned else 0.0,
        p_before=image.p,
        p_after=best.after,
        turned=turned,
        placebo=placebo,
        done=done,
        sentence=sentence,
        fix=what.fix,
        why_not=why_not,
        effects=[
            effect("p falls by", image.p - best.after),
            effect("share of good images that turn when given it", best.share),
            effect(
                "share of good images that have less of it",
                best.place,
            ),
        ],
        evidence=_pictures(image, best, others) if holds else [],
    )


def _pictures(image: ImageCase, best: _Result, others: Tensor) -> list[Picture]:
    name = best.what.name.replace(" ", "-")
    return pictures_of(
        image,
        name,
        best.taken,
        others,
        best.turned,
        lambda chosen: best.what.give(chosen, image.pixels),
    )
