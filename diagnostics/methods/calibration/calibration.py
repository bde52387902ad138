"""Can the percentages be believed?"""

from __future__ import annotations

from typing import Annotated, Any

from diagnostics.errors import InputError, NotOfferedError
from diagnostics.methods.calibration._report import measure
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method
from diagnostics.reference.moments import UNKNOWN
from diagnostics.schema.options import Range

WORST = 24


@method("Calibration", source="Guo et al. 2017, arXiv:1706.04599; Nixon et al. 2019")
def calibration(context: Context, *, bins: Annotated[int, Range(5, 50)] = 15) -> Outcome[Any]:
    """Whether the model is right as often as its percentages say.

    Args:
        context: Gives a folder with labels.
        bins: Of equal width, in which confidence and accuracy are compared.

    Returns:
        Accuracy, calibration errors, likelihood and temperature with their bands, the reliability
        bins, each class by itself, confusions, and the most confidently wrong images.

    Raises:
        InputError: When no image has a label.
        NotOfferedError: When the classes are independent of each other.
    """
    spec = context.classifier.spec
    if spec.output.independent:
        raise NotOfferedError(
            "The classes of this model are independent yes or no answers; this page compares "
            "classes that exclude each other."
        )
    known = context.in_distribution()
    labelled = [one for one in known if one.label != UNKNOWN]
    if not labelled:
        raise InputError(
            "No image of this folder has a label that fits the model's classes. "
            + " ".join(context.notes)
        )
    names, labels, seen = context.features(labelled, "Asking about the labelled images")
    said: dict[str, Any] = measure(
        seen.logits.numpy(), labels.numpy(), bins=bins, seed=context.seed
    )
    worst = said["confident_errors"][:WORST]
    said["confident_errors"] = [{**one, "file": names[one["index"]]} for one in worst]
    said |= {"class_names": list(spec.class_names), "unlabelled": len(known) - len(labelled)}
    return Outcome({**said, "notes": context.remarks()})
