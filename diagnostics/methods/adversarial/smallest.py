"""The smallest change that flips the answer."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from diagnostics.methods.adversarial import _attacks
from diagnostics.methods.adversarial._search import Attack, minimal_perturbations
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method
from diagnostics.schema.adversarial import CANDIDATES, DEEPFOOL_STEPS, walk_passes
from diagnostics.schema.options import Range
from diagnostics.schema.results.adversarial import AdversarialAnswer, Norm
from diagnostics.schema.spec import Need

WALKS = {"l2": "DDN", "linf": "Sign walk"}


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
    candidates: Annotated[int, Range(2, 50)] = CANDIDATES,
    euclidean: bool = True,
    largest: bool = True,
) -> Outcome[AdversarialAnswer]:
    """The smallest change of each image that changes the answer, the best of several searches.

    Args:
        context: Gives the images; its target is the class to be said, None any other.
        steps: Of the longest walk along the boundary, each one pass forward and back.
        candidates: How many classes are considered, the said one among them.
        euclidean: Make the Euclidean length small (L2).
        largest: Make the largest change of any value small (L-infinity).

    Returns:
        See `AdversarialAnswer`. Each distance is the best of DeepFool and of walks towards every
        other class considered (DDN for L2), of which the farther half ends at each quarter of the
        steps; refined by bisection on the way from the image.
    """
    wanted: dict[Norm, bool] = {"l2": euclidean, "linf": largest}
    attacks, rivals = [], min(candidates, len(context.classifier.spec.class_names)) - 1
    passes = walk_passes(steps, 1 if context.target is not None else rivals)
    for norm in (norm for norm, chosen in wanted.items() if chosen):
        deepfool = partial(_attacks.deepfool, norm=norm, candidates=candidates)
        attacks.append(Attack("DeepFool", norm, deepfool, DEEPFOOL_STEPS * candidates))
        walks = partial(_attacks.rival_walks, norm=norm, steps=steps, candidates=candidates)
        attacks.append(Attack(WALKS[norm], norm, walks, passes))
    return minimal_perturbations(context, attacks)
