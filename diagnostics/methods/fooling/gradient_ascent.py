"""Climb the gradient of a class from a picture of nothing."""

from __future__ import annotations

from typing import Annotated, Any

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.fooling._archive import Record, meant
from diagnostics.methods.fooling._ascent import climb
from diagnostics.methods.registry import method
from diagnostics.models.features import batch_size
from diagnostics.schema.options import Range
from diagnostics.schema.spec import Need


@method(
    "Gradient ascent",
    source="Nguyen, Yosinski & Clune 2015, arXiv:1412.1897",
    needs={Need.GRADIENTS},
)
def gradient_ascent(
    context: Context,
    *,
    targets: str = "",
    steps: Annotated[int, Range(1, 2000)] = 300,
    decay: Annotated[float, Range(0.0, 0.3)] = 0.003,
    go_on: bool = False,
) -> Outcome[Any]:
    """A picture of nothing, changed step by step until the model is sure of a class.

    It begins at the mean colour with a grain of one grey level. A step aims at what Nguyen et al.
    aim at, told of the margin; where it gains less than half of that, the next one is longer.

    Args:
        context: Gives model, seed and, where no classes are named, the class that is meant.
        targets: Indices of classes, separated by commas; empty means the class that is explained,
            or all.
        steps: How many at most.
        decay: Share of the picture's departure from the mean colour that is lost at each step;
            larger leaves softer pictures, that may stay less sure.
        go_on: Go on after .9999 is reached.

    Returns:
        For each class the surest picture, its probability, and the step at which it was above
        one half, .99, .999 and .9999.

    Raises:
        InputError: When the model has one class only.
        OptionError: When a class is none of the model's.
    """
    chosen = meant(targets, context)
    record = Record(context, chosen, way="gradient ascent", unit="step", asked=steps)
    at_once = batch_size(context.classifier)
    for first in range(0, len(chosen), at_once):
        places = range(len(chosen))[first : first + at_once]
        climb(record, places, steps=steps, decay=decay, go_on=go_on)
    return record.outcome(complete=True)
