"""Is the image unlike every good one?"""

from __future__ import annotations

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.diagnosis import _strangeness
from diagnostics.methods.diagnosis._findings import of_images
from diagnostics.methods.registry import method
from diagnostics.schema.results.diagnosis import FindingsAnswer


@method("Strangeness of an image", source="Conformal p-values: Bates et al. 2023, arXiv:2104.08279")
def strangeness(context: Context) -> Outcome[FindingsAnswer]:
    """How rare the image is among good ones by its features, its first layer and its pixels.

    Args:
        context: Gives the images, and the folder of good ones or the reference.

    Returns:
        What was done, what became of it, and the same of good images.
    """
    return of_images(context, _strangeness.find)
