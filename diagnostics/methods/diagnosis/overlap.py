"""Does the image lie between two classes?"""

from __future__ import annotations

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.diagnosis import _head
from diagnostics.methods.diagnosis._findings import of_images
from diagnostics.methods.registry import method
from diagnostics.schema.results.diagnosis import FindingsAnswer


@method("Two classes", source="Confusion among labelled images, counted both ways")
def overlap(context: Context) -> Outcome[FindingsAnswer]:
    """Whether two classes hold the answer, and whether the model confuses them.

    Args:
        context: Gives the images, and the folder of good ones or the reference.

    Returns:
        What was done, what became of it, and the same of good images.
    """
    return of_images(context, _head.find_overlap)
