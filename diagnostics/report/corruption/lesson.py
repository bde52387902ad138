"""The letter experiment: contrast and value range altered, each alone and both together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from diagnostics.report.inspection import answers as inspected
from diagnostics.report.inspection import layers
from diagnostics.report.inspection.answers import Arrays
from diagnostics.report.table import Cell
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import Result
from diagnostics.schema.results.inspection import ImageEntry, InspectAnswer
from diagnostics.schema.spec import read
from diagnostics.text import shortened

RANGE = 255
AS_IT_IS, CURVE, SHRUNK, BOTH = "As it is", "Contrast curve", "Range ÷ 255", "Both"
DESCRIPTIONS = {
    AS_IT_IS: "what the model was made for",
    CURVE: "greys become black or white; 0 stays 0 and 1 stays 1",
    SHRUNK: "every value divided by 255: the same picture, nearly blank to the network",
    BOTH: "as in the experiment that this lesson is about",
}


def variants(settings: Preprocessing, slope: float) -> dict[str, Preprocessing]:
    """Return preprocessing with the contrast curve, with a 255th of the range, and with both.

    A network that gets (v − 255 mean) / (255 std) gets (v / 255 − mean) / std.

    Args:
        settings: What is right for the model.
        slope: Of the curve.
    """
    shrunk = replace(
        settings,
        mean=tuple(RANGE * mean for mean in settings.mean),
        std=tuple(RANGE * std for std in settings.std),
    )
    return {
        AS_IT_IS: settings,
        CURVE: replace(settings, contrast=slope, contrast_keeps_range=True),
        SHRUNK: shrunk,
        BOTH: replace(shrunk, contrast=slope, contrast_keeps_range=True),
    }


def side_by_side(
    answers: Mapping[str, Result], index: int
) -> tuple[list[ImageEntry], dict[str, NDArray[Any]]]:
    """Return one image's entries and arrays of several answers as if they were of one.

    Args:
        answers: To the same images, by variant.
        index: Of the image in each.
    """
    images: list[ImageEntry] = []
    arrays: dict[str, NDArray[Any]] = {}
    for column, (name, answer) in enumerate(answers.items()):
        scores: InspectAnswer = answer.scores
        images.append({**scores["images"][index], "file": name})
        for key, values in answer.arrays.items():
            if key.startswith(f"{index}/"):
                arrays[f"{column}/{key.partition('/')[2]}"] = values
    return images, arrays


def predictions(images: Sequence[ImageEntry], arrays: Arrays, answer: Result) -> list[Cell]:
    """Return what the model says of every variant, and what the variant is."""
    independent = read(answer.scores["model"]).output.independent
    cells = inspected.predictions(images, arrays, independent=independent)
    return _titled(
        [
            replace(cell, notes=(DESCRIPTIONS[image["file"]], *cell.notes))
            for cell, image in zip(cells, images, strict=True)
        ],
        images,
    )


def network_inputs(images: Sequence[ImageEntry], arrays: Arrays) -> list[Cell]:
    """Return what the network receives of every variant, all on one scale."""
    cells = inspected.network_inputs(images, arrays)
    return _titled([replace(cell, warnings=()) for cell in cells], images)


def layer(images: Sequence[ImageEntry], arrays: Arrays, name: str, answer: Result) -> list[Cell]:
    """Return what one layer gave for every variant, all on one scale."""
    spec = read(answer.scores["model"])
    cells = layers.layer(images, arrays, name, scale="all images", spec=spec)
    return _titled(cells, images)


def sentence(file: str, images: Sequence[ImageEntry]) -> str:
    """Say which of the two changes alters the answer to one image.

    Args:
        file: Name of the image.
        images: Its entries, in the order of `variants`.
    """
    name = shortened(file, 32)
    if not all(image["top"] for image in images):
        return f"{name}: not every variant got a finite answer, so nothing can be said."
    plain, curve, shrunk, both = (image["top"][0]["class"] for image in images)
    by_variant = (
        f"{name}: {plain} as it is, {curve} with the curve alone, {shrunk} with the range alone, "
        f"{both} with both."
    )
    if both == plain == curve == shrunk:
        return f"{by_variant} Neither changes the answer."
    if curve == plain and shrunk != plain:
        return f"{by_variant} Here the value range changes the answer, and the contrast does not."
    if curve != plain and shrunk == plain:
        return f"{by_variant} Here the contrast changes the answer, and the value range does not."
    if curve != plain and shrunk != plain:
        return f"{by_variant} Here each of them alone changes the answer."
    return f"{by_variant} Here only both together change the answer."


def _titled(cells: Sequence[Cell], images: Sequence[ImageEntry]) -> list[Cell]:
    return [
        replace(cell, title=image["file"], hover=image["file"])
        for cell, image in zip(cells, images, strict=True)
    ]
