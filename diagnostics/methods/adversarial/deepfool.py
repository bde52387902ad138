"""DeepFool: step to the nearest boundary of the linearised classifier."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from diagnostics.methods.adversarial import _attacks
from diagnostics.methods.adversarial._search import Attack, minimal_perturbations
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method
from diagnostics.schema.adversarial import CANDIDATES, DEEPFOOL_STEPS
from diagnostics.schema.options import Range
from diagnostics.schema.results.adversarial import AdversarialAnswer
from diagnostics.schema.spec import Need


@method(
    "DeepFool",
    source="Moosavi-Dezfooli et al. 2016, arXiv:1511.04599",
    needs={Need.GRADIENTS},
)
def deepfool(
    context: Context,
    *,
    norm: Literal["l2", "linf"] = "l2",
    steps: Annotated[int, Range(1, 200)] = 50,
    candidates: Annotated[int, Range(2, 50)] = CANDIDATES,
    overshoot: Annotated[float, Range(0, 1)] = 0.02,
) -> Outcome[AdversarialAnswer]:
    """A small change that changes the answer, by steps to the nearest linearised boundary.

    Args:
        context: Gives the images; its target is the class to be said, None any other.
        norm: What is made small: the Euclidean length, or the largest value.
        steps: At most.
        candidates: How many classes are considered, the said one among them.
        overshoot: Share by which a step goes beyond the boundary.

    Returns:
        See `AdversarialAnswer`; refined by bisection on the way from the image.
    """
    run = partial(
        _attacks.deepfool, norm=norm, steps=steps, candidates=candidates, overshoot=overshoot
    )
    attack = Attack("DeepFool", norm, run, DEEPFOOL_STEPS * candidates)
    return minimal_perturbations(context, [attack])
