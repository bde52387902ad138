"""Does an overall property, a texture or the background decide?"""

from __future__ import annotations

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.diagnosis import _reliance
from diagnostics.methods.diagnosis._findings import of_images
from diagnostics.methods.registry import method
from diagnostics.schema.results.diagnosis import FindingsAnswer


@method("Reliance on a property", source="Cue conflict: Geirhos et al. 2019, arXiv:1811.12231")
def reliance(context: Context) -> Outcome[FindingsAnswer]:
    """What becomes of the answer without the tone, the texture, the edges or the background.

    Args:
        context: Gives the images, and the folder of good ones or the reference.

    Returns:
        What was done, what became of it, and the same of good images.
    """
    return of_images(context, _reliance.find)
