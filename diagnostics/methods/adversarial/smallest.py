"""The smallest change that flips the answer."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from diagnostics.methods.adversarial import _attacks as attacks
from diagnostics.methods.adversarial._norms import Norm
from diagnostics.methods.adversarial._search import Way, smallest_changes
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method
from diagnostics.schema.options import Range
from diagnostics.schema.spec import Need

WALKS = {"l2": "DDN", "linf": "Sign walk"}
USUAL_STEPS = 5  # DeepFool needs, of the many that it may take


@method(
    "Smallest change",
    source="DeepFool: Moosavi-Dezfooli et al. 2016, arXiv:1511.04599; "
    "DDN: Rony et al. 2019, arXiv:1811.09600; FMN: Pintor et al. 2021, arXiv:2102.12827",
    needs={Need.GRADIENTS},
)
def smallest(
    context: Context,
    *,
    steps: Annotated[int, Range(10, 1000)] = 100,
    candidates: Annotated[int, Range(2, 50)] = 10,
    euclidean: bool = True,
    largest: bool = True,
) -> Outcome[Any]:
    """The smallest change of each image that changes the answer, the best of several searches.

    Args:
        context: Gives the images; its target is the class to be said, None any other.
        steps: Of the walk along the boundary, each one pass forward and back.
        candidates: How many classes DeepFool considers, the said one among them.
        euclidean: Make the Euclidean length small (L2).
        largest: Make the largest change of any value small (L-infinity).

    Returns:
        See `smallest_changes`. Each distance is the best of DeepFool and of the walk (DDN for L2),
        refined by bisection on the way from the image.
    """
    wanted: dict[Norm, bool] = {"l2": euclidean, "linf": largest}
    ways = []
    for norm in (one for one, chosen in wanted.items() if chosen):
        fool = partial(attacks.deepfool, norm=norm, candidates=candidates)
        ways.append(Way("DeepFool", norm, fool, USUAL_STEPS * candidates))
        ways.append(Way(WALKS[norm], norm, partial(attacks.walk, norm=norm, steps=steps), steps))
    return smallest_changes(context, ways)
