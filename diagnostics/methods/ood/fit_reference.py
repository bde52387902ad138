"""Measure a model on known-good images."""

from __future__ import annotations

import torch

from diagnostics.methods.context import Outcome, Study, in_parts
from diagnostics.methods.registry import method
from diagnostics.models.features import see
from diagnostics.reference.statistics import Gathering, dumps


@method("Reference", source="Split conformal prediction: Papadopoulos et al. 2002, ECML")
def fit_reference(study: Study) -> Outcome:
    """What the model gives for known-good images, so that strange ones can be told.

    The images are put in a random order and dealt in turn to two halves: one fits the scores, the
    other, never the same image, judges them. Of images with the same bytes one counts.

    Args:
        study: Gives the folder.

    Returns:
        What the reference is about; its file in the arrays "file/0", "file/1", … as bytes.
    """
    known = study.mixed(study.known())
    gathering, taken = Gathering(study.classifier), 0
    for one in study.passes(known, "Measuring the known-good images", distinct=True):
        seen = see(study.classifier, one.pixels)
        turn = torch.arange(taken, taken + len(one.names)) % 2
        for half in (0, 1):
            rows = torch.nonzero(turn == half)[:, 0]
            gathering.add(seen.of(rows), one.labels[rows], one.pixels[rows], half)
        taken += len(one.names)
    found = gathering.done({"seed": study.seed, **study.sources()})
    said = {"reference": dict(found.about), "notes": study.said()}
    return Outcome(said, in_parts(dumps(found)))
