"""What is wrong with a model whatever the image: every cause of it, asked once."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostics.methods.diagnosis import _head, _outputs, _recipe
from diagnostics.methods.diagnosis._case import ModelCase
from diagnostics.methods.diagnosis._model_cause import ModelCause
from diagnostics.verdict.causes import BY_ID

MENDS_BETTER = 0.03  # of accuracy, by which a later cause must mend more to be named before
MENDING = (
    "classes.order",
    "head.bias",
    "head.dead_class",
    "preprocessing.scale",
    "preprocessing.normalisation",
    "preprocessing.channels",
    "preprocessing.polarity",
    "preprocessing.geometry",
    "model.batchnorm",
)


OF_HEAD = ("head.bias", "head.dead_class")
PREPARED = tuple(cause for cause in MENDING if cause.startswith("preprocessing."))


def remembered_causes(model: ModelCase) -> list[ModelCause]:
    """Return the causes of a model, asked once for its good images."""
    if "causes" not in model.memory:
        model.memory["causes"] = model_causes(model)
    causes: list[ModelCause] = model.memory["causes"]
    return causes


def model_causes(model: ModelCase) -> list[ModelCause]:
    """Return what was found of the model, in the order of the causes."""
    found = _outputs.find(model)
    if any(one.finding["holds"] for one in found if BY_ID[one.finding["id"]].ends):
        return found
    known = model.known
    if known is None or not known.is_labelled:
        return found
    found += [_head.find_order(model), *_head.find_offset(model), *_recipe.find(model)]
    found = _best_mended(found)
    if not any(one.finding["holds"] and one.finding["id"] in MENDING for one in found):
        found += [_outputs.find_random(model), _head.find_sharpness(model)]
    return found


def _best_mended(causes: Sequence[ModelCause]) -> list[ModelCause]:
    """Let go of causes that mend clearly less than another that holds.

    Another order of names must mend more than any preparing: exchanged colours exchange classes. An
    offset of the last layer that mends as much as a preparing is the simpler cause.
    """
    prepared = _most_mended(causes, PREPARED)
    best = max(prepared, _most_mended(causes, MENDING))
    head = _most_mended(causes, OF_HEAD)
    for one in causes:
        cause, after = one.finding["id"], one.after
        if not one.finding["holds"] or after is None or cause not in MENDING:
            continue
        least = best - MENDS_BETTER
        if cause == "classes.order" and prepared:
            least = max(least, prepared + MENDS_BETTER)
        if cause in PREPARED and head >= best - MENDS_BETTER:
            least = head + MENDS_BETTER
        if after < least:
            one.finding["holds"] = False
            one.finding["why_not"] = (
                f"It mends the answers up to {100 * after:.0f} % right, something simpler or "
                f"better up to {100 * best:.0f} %."
            )
    return list(causes)


def _most_mended(causes: Sequence[ModelCause], among: Sequence[str]) -> float:
    """Return the highest accuracy that one of some causes gives; 0 where none holds."""
    return max(
        (
            one.after
            for one in causes
            if one.finding["holds"] and one.finding["id"] in among and one.after is not None
        ),
        default=0.0,
    )
