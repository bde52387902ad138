"""Measure a model on in-distribution images."""

from __future__ import annotations

import torch

from diagnostics.methods.context import Context, Outcome, split_file
from diagnostics.methods.registry import method
from diagnostics.models.features import extract_features
from diagnostics.reference.statistics import ReferenceBuilder, dumps
from diagnostics.schema.results.ood import ReferenceAnswer


@method("Reference", source="Split conformal prediction: Papadopoulos et al. 2002, ECML")
def fit_reference(context: Context) -> Outcome[ReferenceAnswer]:
    """What the model gives for known-good images, so that strange ones can be told.

    The images are put in a random order and dealt in turn to two halves: one fits the scores, the
    other, never the same image, judges them. Of images with the same bytes one counts.

    Args:
        context: Gives the folder.

    Returns:
        What the reference is about; its file in the arrays "file/0", "file/1", … as bytes.
    """
    samples = context.shuffled(context.in_distribution())
    builder, count = ReferenceBuilder(context.classifier), 0
    for batch in context.batches(samples, "Measuring the known-good images", distinct=True):
        outputs = extract_features(context.classifier, batch.pixels)
        halves = torch.arange(count, count + len(batch.names)) % 2
        for half in (0, 1):
            rows = torch.nonzero(halves == half)[:, 0]
            builder.add(outputs.select(rows), batch.labels[rows], batch.pixels[rows], half)
        count += len(batch.names)
    reference = builder.build({"seed": context.seed, **context.source()})
    answer = ReferenceAnswer(reference=reference.about, notes=context.remarks())
    return Outcome(answer, split_file(dumps(reference)))
