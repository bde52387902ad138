"""Does the model rely on grey transitions, such as fuzzy edges?"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from diagnostics.corruptions.conditions import CONDITIONS
from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.corruption._grey_transitions import (
    condition_counts,
    grey_share,
    verdict,
)
from diagnostics.methods.corruption._sweep import logits_of
from diagnostics.methods.registry import method
from diagnostics.schema.options import Range
from diagnostics.schema.results.corruption import TransitionsAnswer


@method("Grey transitions", source="Otsu 1979, threshold; Newcombe 1998, paired intervals")
def transitions(
    context: Context,
    *,
    images: Literal["in hand", "folder"] = "folder",
    max_images: Annotated[int, Range(1, 5000)] = 256,
) -> Outcome[TransitionsAnswer]:
    """Whether the model relies on grey transitions, contrast and value range altered separately.

    Args:
        context: Gives the images.
        images: The folder's, or those in hand, which are few.
        max_images: How many of the folder's images at most, drawn at random.

    Raises:
        InputError: When no image can be read.
    """
    if images == "folder":
        samples = context.shuffled(context.in_distribution())[:max_images]
    else:
        samples = context.samples()
    predicted: list[list[int]] = []
    labels: list[int] = []
    greys: list[float] = []
    not_finite = 0

    def outcome(*, complete: bool) -> Outcome[TransitionsAnswer]:
        classes = np.array(predicted, np.intp).reshape(len(predicted), len(CONDITIONS))
        by_condition = dict(zip(CONDITIONS, classes.T, strict=True))
        share = float(np.mean(greys or [0.0]))
        return Outcome(
            TransitionsAnswer(
                verdict=verdict(by_condition, np.array(labels, np.intp), share),
                conditions=condition_counts(by_condition, np.array(labels, np.intp)),
                grey_share=share,
                n=len(predicted),
                not_finite=not_finite,
                complete=complete,
                notes=context.remarks(),
            )
        )

    for batch in context.batches(samples):
        for label, pixels in zip(batch.labels.tolist(), batch.pixels.cpu().numpy(), strict=True):
            context.progress("Altering the images", (len(predicted) + not_finite) / len(samples))
            values = np.ascontiguousarray(np.moveaxis(pixels, 0, 2))
            variants = [each.apply(values, context.seed) for each in CONDITIONS.values()]
            logits = logits_of(context.classifier, variants)
            if not np.isfinite(logits).all():
                not_finite += 1
                continue
            predicted.append(logits.argmax(1).tolist())
            labels.append(label)
            greys.append(grey_share(values))
            context.partial(lambda: outcome(complete=False))
    if not predicted and not not_finite:
        raise InputError(f"No image could be read. {' '.join(context.remarks())}".strip())
    return outcome(complete=True)
