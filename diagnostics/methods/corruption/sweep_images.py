"""Show the images behind the steps of a sweep."""

from __future__ import annotations

import json

import numpy as np

from diagnostics.corruptions import registry
from diagnostics.corruptions.registry import Step, corrupt
from diagnostics.data.image import eight_bit
from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method
from diagnostics.schema.results.corruption import SweepImagesAnswer

MAX_IMAGES = 8


@method("Images of a sweep", source="Images of the sweep (corruption/sweep)")
def sweep_images(context: Context, *, corruptions: str = "[]") -> Outcome[SweepImagesAnswer]:
    """The very images that a sweep asked about, rounded to 8 bits.

    Args:
        context: Gives the images in hand, of which the first is taken.
        corruptions: For each picture, corruptions with their numbers, as a JSON list of at most 8
            such as [[["contrast", 25]]]; severities are rounded to whole ones, as a sweep's are.

    Raises:
        InputError: When there is no image, no such corruption, or a number outside its limits.
    """
    requested = [_steps(entry) for entry in _listed(corruptions)[:MAX_IMAGES]]
    batch = next(iter(context.batches(context.samples()[:1])), None)
    if batch is None:
        raise InputError(f"No image could be read. {' '.join(context.remarks())}".strip())
    values = np.ascontiguousarray(np.moveaxis(batch.pixels[0].cpu().numpy(), 0, 2))
    variants = [corrupt(values, steps, context.seed) for steps in requested]
    pictures = [eight_bit(variant) for variant in variants]
    answer = SweepImagesAnswer(
        corruptions=[[[name, value] for name, value in steps] for steps in requested],
        rounding=[
            float(np.abs(exact - picture / 255).max(initial=0))
            for exact, picture in zip(variants, pictures, strict=True)
        ],
        notes=context.remarks(),
    )
    return Outcome(answer, {f"step/{index}": picture for index, picture in enumerate(pictures)})


def _listed(text: str) -> list[object]:
    try:
        return list(json.loads(text))
    except (ValueError, TypeError):
        raise InputError("The steps are no JSON list.") from None


def _steps(entry: object) -> tuple[Step, ...]:
    """Return the corruptions of one picture from a person's JSON, checked."""
    steps: list[Step] = []
    for part in entry if isinstance(entry, list) else [entry]:
        match part:
            case [str(name), int() | float() as value] if _exists(name, float(value)):
                steps.append((name, registry.find(name).on_axis(float(value))))
            case _:
                raise InputError(
                    f"There is no step {str(part)[:60]}; give an axis and a number on it."
                )
    return tuple(steps)


def _exists(name: str, value: float) -> bool:
    known = registry.corruptions()
    return name in known and known[name].contains(value)
