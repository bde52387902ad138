"""Is one class said too often or too rarely whatever the image?"""

from __future__ import annotations

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.diagnosis import _head
from diagnostics.methods.diagnosis._findings import labelled, of_model
from diagnostics.methods.registry import method
from diagnostics.schema.results.diagnosis import FindingsAnswer


@method(
    "Offset of a class",
    source="Logit adjustment: Menon et al. 2021, arXiv:2007.07314, one offset per class",
)
def class_offset(context: Context) -> Outcome[FindingsAnswer]:
    """Which one class's output lies too high or too low whatever the image.

    Args:
        context: Gives the images, and the folder of good ones or the reference.

    Returns:
        What was done, what became of it, and the same of good images.
    """
    return of_model(context, labelled(_head.find_offset))
