"""One image on its way into the network: its pixels, and everything that is shown of the way."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from diagnostics.data.image import Decoded, thumbnail
from diagnostics.errors import ImageError, InputError
from diagnostics.preprocessing.checks import warnings
from diagnostics.preprocessing.pipeline import Pipeline, StageTrace
from diagnostics.preprocessing.stages import Array
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.results.inspection import StageEntry

PICTURE_PX = 640


@dataclass
class Prepared:
    """Pixels and stages, or the reason there are none.

    Args:
        error: Why there are no pixels; empty when there are.
        pixels: Shape (c, h, w), values in [0, 1].
        stages: The stages' part of the answer.
        pictures: Each stage's values, at the size of the screen.
        warnings: What people should know of this image.
    """

    error: str = ""
    pixels: NDArray[np.float32] | None = None
    stages: list[StageEntry] = field(default_factory=list)
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
    checked = warnings(image, settings, pixels, dark_background=dark_background)
    prepared = Prepared(pixels=pixels, warnings=(*image.notes, *checked))
    array: Array | None = None
    for position, stage in enumerate(trace):
        name = f"stage/{position}"
        if stage.array is array:  # the stage left them as they were
            entry = _same_numbers(prepared.stages[-1], stage)
        else:
            array = stage.array
            prepared.pictures[name] = thumbnail(stage.array, PICTURE_PX)
            entry = _entry(stage, name)
        prepared.stages.append(entry)
    return prepared


def _entry(stage: StageTrace, picture: str) -> StageEntry:
    counts, edges = stage.histogram
    return StageEntry(
        stage=stage.name,
        settings=stage.settings,
        shape=list(stage.shape),
        low=stage.low,
        high=stage.high,
        mean=list(stage.mean),
        std=list(stage.std),
        histogram={"counts": counts.tolist(), "edges": edges.tolist()},
        clipped=stage.clipped,
        signed=stage.signed,
        picture=picture,
    )


def _same_numbers(before: StageEntry, stage: StageTrace) -> StageEntry:
    """Return the entry of a stage that gave the values of the one before, in the same picture."""
    return {
        **before,
        "stage": stage.name,
        "settings": stage.settings,
        "clipped": stage.clipped,
        "signed": stage.signed,
    }
