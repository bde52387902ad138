"""Measure a model on in-distribution images."""

from __future__ import annotations

import torch

from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome, split_file
from diagnostics.methods.registry import method
from diagnostics.models.features import extract_features
from diagnostics.reference.statistics import Reference, ReferenceBuilder, dumps
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
    reference = measured(context)
    answer = ReferenceAnswer(reference=reference.about, notes=context.remarks())
    return Outcome(answer, split_file(dumps(reference)))


def measured(context: Context) -> Reference:
    """Return the reference of the folder.

    Raises:
        InputError: When there is no folder, or it has too few images.
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
    return builder.build({"seed": context.seed, **context.source()})


def find_reference(context: Context) -> Reference | None:
    """Return the reference that was given, else the folder's; None without either."""
    if context.reference is None and context.has_in_distribution:
        return measured(context)
    return context.reference


def require_reference(context: Context) -> Reference:
    """Return the same.

    Raises:
        InputError: Without either.
    """
    found = find_reference(context)
    if found is None:
        raise InputError("This needs a folder of known-good images, or a reference made of one.")
    return found
