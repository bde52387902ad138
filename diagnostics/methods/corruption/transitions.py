"""Does the model rely on grey transitions, such as fuzzy edges?"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np

from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.corruption import _grey_transitions as reading
from diagnostics.methods.corruption._sweep import logits_of
from diagnostics.methods.registry import method
from diagnostics.schema.options import Range


@method("Grey transitions", source="Otsu 1979, threshold; Newcombe 1998, paired intervals")
def transitions(
    context: Context,
    *,
    images: Literal["in hand", "folder"] = "folder",
    most: Annotated[int, Range(1, 5000)] = 256,
) -> Outcome[Any]:
    """Whether the model relies on grey transitions, contrast and value range altered separately.

    Args:
        context: Gives the images.
        images: The folder's, or those in hand, which are few.
        most: How many of the folder's images at most, drawn at random.

    Returns:
        For every alteration how many images keep their answer and how many labelled ones get the
        right one, with intervals, and the reading with its reasons.

    Raises:
        InputError: When no image can be read.
    """
    chosen = (
        context.shuffled(context.in_distribution())[:most]
        if images == "folder"
        else context.samples()
    )
    said: list[list[int]] = []
    labels: list[int] = []
    greys: list[float] = []
    lost = 0

    def outcome(*, complete: bool) -> Outcome[Any]:
        found = np.array(said, np.intp).reshape(len(said), len(reading.PROBE))
        of = dict(zip(reading.PROBE, found.T, strict=True))
        known = np.array(labels, np.intp)
        about: dict[str, Any] = {
            "reading": reading.reading(of, known, float(np.mean(greys or [0.0]))).content(),
            "rows": reading.rows(of, known),
            "greys": float(np.mean(greys or [0.0])),
            "n": len(said),
            "not_finite": lost,
        }
        return Outcome({**about, "complete": complete, "notes": context.remarks()})

    for part in context.batches(chosen):
        for label, pixels in zip(part.labels.tolist(), part.pixels.cpu().numpy(), strict=True):
            context.progress("Altering the images", (len(said) + lost) / len(chosen))
            values = np.ascontiguousarray(np.moveaxis(pixels, 0, 2))
            made = [one.apply(values, context.seed) for one in reading.PROBE.values()]
            logits = logits_of(context.classifier, made)
            if not np.isfinite(logits).all():
                lost += 1
                continue
            said.append(logits.argmax(1).tolist())
            labels.append(label)
            greys.append(reading.grey_share(values))
            context.partial(lambda: outcome(complete=False))
    if not said and not lost:
        raise InputError(f"No image could be read. {' '.join(context.remarks())}".strip())
    return outcome(complete=True)
