"""Does the answer survive what nobody sees?"""

from __future__ import annotations

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.diagnosis import _stability
from diagnostics.methods.diagnosis._findings import of_images
from diagnostics.methods.registry import method
from diagnostics.schema.results.diagnosis import FindingsAnswer


@method("Stability", source="Feature squeezing: Xu et al. 2018, arXiv:1704.01155")
def stability(context: Context) -> Outcome[FindingsAnswer]:
    """Whether the answer survives changes that nobody sees, as those to good images do.

    Args:
        context: Gives the images, and the folder of good ones or the reference.

    Returns:
        What was done, what became of it, and the same of good images.
    """
    return of_images(context, _stability.find)
