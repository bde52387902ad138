"""Are the class names in the order of the outputs?"""

from __future__ import annotations

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.diagnosis import _head
from diagnostics.methods.diagnosis._findings import labelled, of_model
from diagnostics.methods.registry import method
from diagnostics.schema.results.diagnosis import FindingsAnswer


@method("Order of the classes", source="Assignment: Kuhn 1955, The Hungarian method")
def class_order(context: Context) -> Outcome[FindingsAnswer]:
    """Which order of the class names the labelled images suggest.

    Args:
        context: Gives the images, and the folder of good ones or the reference.

    Returns:
        What was done, what became of it, and the same of good images.
    """
    return of_model(context, labelled(lambda model: [_head.find_order(model)]))
