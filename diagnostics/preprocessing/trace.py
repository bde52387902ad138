"""One image on its way into the network: its pixels, and everything that is shown of the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.data.image import Decoded, thumbnail
from diagnostics.errors import ImageError, InputError
from diagnostics.preprocessing.checks import warnings
from diagnostics.preprocessing.pipeline import Pipeline, StageTrace, histogram
from diagnostics.schema.preprocessing import Preprocessing

PICTURE_PX = 640


@dataclass
class Prepared:
    """Pixels and stages, or the reason there are none.

    Args:
        error: Why there are no pixels; empty when there are.
        pixels: Shape (c, h, w), values in [0, 1].
        stages: The stages' part of the JSON schema.
        pictures: Each stage's values, at the size of the screen.
        warnings: What people should know of this image.
    """

    error: str = ""
    pixels: NDArray[np.float32] | None = None
    stages: list[dict[str, Any]] = field(default_factory=list)
    pictures: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def prepare(
    image: Decoded | ImageError, settings: Preprocessing, *, dark_background: bool
) -> Prepared:
    """Make an image what the network receives.

    Args:
        image: The decoded image, or why it could not be decoded.
        settings: What it goes through.
        dark_background: Whether the network was trained on bright strokes on a dark ground.
    """
    if isinstance(image, ImageError):
        return Prepared(image.message)
    pipeline = Pipeline(settings)
    try:
        trace = pipeline.trace(image)
    except InputError as error:
        return Prepared(error.message)
    pixels = pipeline.pixels(trace)
    made = Prepared(pixels=pixels)
    said = warnings(image, settings, pixels, dark_background=dark_background)
    made.warnings = (*image.notes, *said)
    before: NDArray[np.float32] | None = None
    for place, stage in enumerate(trace):
        if stage.values is not before:
            numbers, picture = _numbers(stage), thumbnail(stage.values, PICTURE_PX)
        before, name = stage.values, f"stage/{place}"
        made.pictures[name] = picture
        made.stages.append(
            {
                "stage": stage.name,
                "settings": stage.settings,
                **numbers,
                "clipped": stage.clipped,
                "signed": stage.signed,
                "picture": name,
            }
        )
    return made


def _numbers(stage: StageTrace) -> dict[str, Any]:
    counts, edges = histogram(stage.values)
    return {
        "shape": list(stage.shape),
        "low": stage.low,
        "high": stage.high,
        "mean": list(stage.mean),
        "std": list(stage.std),
        "histogram": {"counts": counts.tolist(), "edges": edges.tolist()},
    }
