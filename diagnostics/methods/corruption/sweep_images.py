"""Show the images behind the steps of a sweep."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from diagnostics.corruptions.registry import AXES, NAMES, Name, altered
from diagnostics.data.image import eight_bit
from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method

MOST = 8


@method("Images of a sweep", source="See the sweep probe")
def sweep_images(context: Context, *, along: str = "[]") -> Outcome[Any]:
    """The very images that the sweep probe asked about, rounded to 8 bits.

    Args:
        context: Gives the images in hand.
        along: For each picture, axes with their numbers, as a JSON list of at most 8 such as
            [[["contrast", 25]]].

    Returns:
        8-bit pixels, shape (h, w, c), of the first image in hand, in the arrays "step/NUMBER", and
        the largest change that rounding and clipping to 8 bits made, in "rounded".

    Raises:
        InputError: When there is no image, no such axis, or a number outside its axis.
    """
    wanted = [_read(one) for one in _listed(along)[:MOST]]
    found = next(iter(context.batches(context.samples()[:1])), None)
    if found is None:
        raise InputError(f"No image could be read. {' '.join(context.remarks())}".strip())
    values = np.ascontiguousarray(np.moveaxis(found.pixels[0].cpu().numpy(), 0, 2))
    made = [altered(values, one, context.seed) for one in wanted]
    rounded = [float(np.abs(one - eight_bit(one) / 255).max(initial=0)) for one in made]
    arrays = {f"step/{place}": eight_bit(one) for place, one in enumerate(made)}
    said = {"along": [[list(part) for part in one] for one in wanted], "rounded": rounded}
    return Outcome({**said, "notes": context.remarks()}, arrays)


def _listed(along: str) -> list[object]:
    try:
        return list(json.loads(along))
    except (ValueError, TypeError):
        raise InputError("The steps are no JSON list.") from None


def _read(one: object) -> tuple[tuple[Name, float], ...]:
    """Return one step of a person's JSON, checked."""
    found: list[tuple[Name, float]] = []
    for part in one if isinstance(one, list) else [one]:
        match part:
            case [str(name), int() | float() as value]:
                known = {str(axis): axis for axis in NAMES}
                if name in known and AXES[known[name]].holds(value):
                    found.append((known[name], float(value)))
                    continue
        raise InputError(f"There is no step {str(part)[:60]}; give an axis and a number on it.")
    return tuple(found)
