"""Measure a model on known-good images."""

from __future__ import annotations

from typing import Any

import torch

from diagnostics.methods.context import Context, Outcome, in_parts
from diagnostics.methods.registry import method
from diagnostics.models.features import extract_features
from diagnostics.reference.statistics import ReferenceBuilder, dumps


@method("Reference", source="Split conformal prediction: Papadopoulos et al. 2002, ECML")
def fit_reference(context: Context) -> Outcome[Any]:
    """What the model gives for known-good images, so that strange ones can be told.

    The images are put in a random order and dealt in turn to two halves: one fits the scores, the
    other, never the same image, judges them. Of images with the same bytes one counts.

    Args:
        context: Gives the folder.

    Returns:
        What the reference is about; its file in the arrays "file/0", "file/1", … as bytes.
    """
    known = context.shuffled(context.in_distribution())
    gathering, taken = ReferenceBuilder(context.classifier), 0
    for one in context.batches(known, "Measuring the known-good images", distinct=True):
        seen = extract_features(context.classifier, one.pixels)
        turn = torch.arange(taken, taken + len(one.names)) % 2
        for half in (0, 1):
            rows = torch.nonzero(turn == half)[:, 0]
            gathering.add(seen.select(rows), one.labels[rows], one.pixels[rows], half)
        taken += len(one.names)
    found = gathering.build({"seed": context.seed, **context.sources()})
    said = {"reference": dict(found.about), "notes": context.remarks()}
    return Outcome(said, in_parts(dumps(found)))
