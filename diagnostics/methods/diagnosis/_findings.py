"""One cause asked alone: of the model, or of each image, as a method of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.diagnosis._case import ImageCase, ModelCase, image_case, model_case
from diagnostics.methods.diagnosis._model_cause import ModelCause
from diagnostics.schema.results.diagnosis import Finding, FindingsAnswer, ImageFindings


def of_images(
    context: Context, find: Callable[[ImageCase], Sequence[Finding]]
) -> Outcome[FindingsAnswer]:
    """Return what an intervention does to each image; one that cannot be read says why."""
    return _asked(model_case(context), (), find)


def of_model(
    context: Context, find: Callable[[ModelCase], Sequence[ModelCause]]
) -> Outcome[FindingsAnswer]:
    """Return what an intervention does to the answers to the good images, and to each image."""
    model = model_case(context)
    causes = find(model)
    return _asked(model, causes, lambda image: [cause.on(image) for cause in causes])


def labelled(
    find: Callable[[ModelCase], Sequence[ModelCause]],
) -> Callable[[ModelCase], Sequence[ModelCause]]:
    """Return the same, which says so where there are too few labels to judge by."""

    def checked(model: ModelCase) -> Sequence[ModelCause]:
        if model.known is None or not model.known.is_labelled:
            raise InputError(
                "This needs 20 known-good images with labels or more: a folder for each class, or "
                "a folder with labels.csv."
            )
        return find(model)

    return checked


def _asked(
    model: ModelCase,
    causes: Sequence[ModelCause],
    find: Callable[[ImageCase], Sequence[Finding]],
) -> Outcome[FindingsAnswer]:
    images: list[ImageFindings] = []
    arrays: dict[str, NDArray[np.uint8]] = {}
    samples = model.context.samples()
    for row, sample in enumerate(samples):
        model.context.progress(f"Asking about {sample.name}", row / len(samples))
        try:
            image = image_case(model, row, sample)
        except InputError as error:
            images.append(ImageFindings(file=sample.name, error=error.message, findings=[]))
            continue
        findings = list(find(image))
        images.append(ImageFindings(file=sample.name, error=None, findings=findings))
        arrays |= image.arrays
    answer = FindingsAnswer(
        images=images,
        causes=[cause.finding for cause in causes],
        passes=model.network.passes,
        notes=model.context.remarks(),
    )
    return Outcome(answer, arrays)
