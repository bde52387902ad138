"""At which layer does noise turn into a class?"""

from __future__ import annotations

from typing import Annotated, Any

import torch

from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.noise._depth import LEAST, Depth, labelled_few
from diagnostics.methods.noise.panel import Panel
from diagnostics.methods.registry import method
from diagnostics.schema.options import Range


@method("Depth", source="Nearest class mean at each layer, Alain & Bengio 2016, arXiv:1610.01644")
def depth(
    context: Context, *, family: str = "uniform", draws: Annotated[int, Range(8, 256)] = 32
) -> Outcome[Any]:
    """Which class's mean the noise is nearest to, layer by layer.

    Args:
        context: Gives a folder with labels.
        family: Id of the family of noise.
        draws: How many images of noise.

    Returns:
        For each layer the share of the noise that is nearest to each class's mean, and how often
        a labelled image left out of its mean is nearest to its own class: where that is near
        chance, the layer does not tell classes apart and its shares say little.

    Raises:
        InputError: When fewer than two classes have two labelled images.
    """
    few = labelled_few(context)
    if len({one.label for one in few}) < 2:
        raise InputError(
            f"This needs a folder with {LEAST} labelled images or more of two classes at least: "
            "one folder for each class, named as the class."
        )
    measured = Depth(context)
    for one in context.batches(few, "Measuring the classes"):
        measured.add(one)
    panel = Panel(context, few)
    if family not in panel.families:
        raise InputError(
            f"There is no noise {family!r} here; there are {', '.join(panel.families)}."
        )
    drawn = torch.stack(
        [torch.from_numpy(panel.draw(family, one)).movedim(2, 0) for one in range(draws)]
    )
    names = context.classifier.spec.class_names
    layers: list[dict[str, Any]] = measured.curve(drawn.to(context.classifier.device))
    classes = {str(one): names[one] for one in measured.classes}
    said = {"family": family, "draws": draws, "n": len(few), "classes": classes}
    return Outcome({**said, "layers": layers, "notes": context.remarks()})
