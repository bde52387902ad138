"""Does a region carry the answer?"""

from __future__ import annotations

from diagnostics.errors import OptionError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.diagnosis import _transplant
from diagnostics.methods.diagnosis._findings import of_images
from diagnostics.methods.diagnosis._regions import Region
from diagnostics.methods.registry import method
from diagnostics.schema.results.diagnosis import FindingsAnswer


@method("Transplant", source="Necessity and sufficiency: Pearl 2000, Causality, chapter 9")
def transplant(context: Context, *, box: str = "") -> Outcome[FindingsAnswer]:
    """Which region takes the answer away, and turns other good images when it is pasted.

    Args:
        context: Gives the images, and the folder of good ones or the reference.
        box: A box of your own, "left top right bottom" in px of what the network receives; empty
            tries squares, strips and rings.

    Returns:
        What was done, what became of it, and the same of good images.
    """
    region = _region(box, context)
    return of_images(context, lambda image: _transplant.find(image, closer=True, box=region))


def _region(box: str, context: Context) -> Region | None:
    if not box.strip():
        return None
    spec = context.classifier.spec
    try:
        left, top, right, bottom = (int(word) for word in box.replace(",", " ").split())
    except ValueError:
        raise OptionError(
            f"box must be left, top, right, bottom in px; got {box[:40]!r}."
        ) from None
    if not (0 <= left < right <= spec.width and 0 <= top < bottom <= spec.height):
        size = f"{spec.width} × {spec.height} px"
        raise OptionError(f"box must lie inside the image of {size}; got {box[:40]!r}.")
    return Region("part", left, top, right, bottom)
