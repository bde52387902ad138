"""Are the percentages too high?"""

from __future__ import annotations

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.diagnosis import _head
from diagnostics.methods.diagnosis._findings import labelled, of_model
from diagnostics.methods.registry import method
from diagnostics.schema.results.diagnosis import FindingsAnswer


@method("Temperature", source="Guo et al. 2017, arXiv:1706.04599, section 4.2")
def temperature(context: Context) -> Outcome[FindingsAnswer]:
    """What the percentages are once they fit how often the model is right.

    Args:
        context: Gives the images, and the folder of good ones or the reference.

    Returns:
        What was done, what became of it, and the same of good images.
    """
    return of_model(context, labelled(lambda model: [_head.find_sharpness(model)]))
