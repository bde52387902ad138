"""Does the model rely on grey transitions, such as fuzzy edges?"""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

import numpy as np

from diagnostics.errors import InputError
from diagnostics.methods.context import Outcome, Study
from diagnostics.methods.corruption import _grey_transitions as reading
from diagnostics.methods.corruption._sweep import KEEP_SECONDS, logits_of
from diagnostics.methods.registry import method
from diagnostics.schema.options import Range


@method("Grey transitions", source="Otsu 1979, threshold; Newcombe 1998, paired intervals")
def transitions(
    study: Study,
    *,
    images: Literal["in hand", "folder"] = "folder",
    most: Annotated[int, Range(1, 5000)] = 256,
) -> Outcome:
    """Whether the model relies on grey transitions, contrast and value range altered separately.

    Args:
        study: Gives the images.
        images: The folder's, or those in hand, which are few.
        most: How many of the folder's images at most, drawn at random.

    Returns:
        For every alteration how many images keep their answer and how many labelled ones get the
        right one, with intervals, and the reading with its reasons.

    Raises:
        InputError: When no image can be read.
    """
    chosen = study.mixed(study.known())[:most] if images == "folder" else study.in_hand()
    said: list[list[int]] = []
    labels: list[int] = []
    greys: list[float] = []
    kept, lost = time.monotonic(), 0

    def outcome(*, complete: bool) -> Outcome:
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
        return Outcome({**about, "complete": complete, "notes": study.said()})

    for part in study.passes(chosen):
        for label, pixels in zip(part.labels.tolist(), part.pixels.cpu().numpy(), strict=True):
            study.tell("Altering the images", (len(said) + lost) / len(chosen))
            values = np.ascontiguousarray(np.moveaxis(pixels, 0, 2))
            made = [one.apply(values, study.seed) for one in reading.PROBE.values()]
            logits = logits_of(study.classifier, made)
            if not np.isfinite(logits).all():
                lost += 1
                continue
            said.append(logits.argmax(1).tolist())
            labels.append(label)
            greys.append(reading.grey_share(values))
            if time.monotonic() - kept >= KEEP_SECONDS:
                kept = time.monotonic()
                study.keep(outcome(complete=False))
    if not said and not lost:
        raise InputError(f"No image could be read. {' '.join(study.said())}".strip())
    return outcome(complete=True)
