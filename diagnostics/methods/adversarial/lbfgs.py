"""Box-constrained L-BFGS, the first attack by which such changes were found."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from diagnostics.methods.adversarial import _attacks
from diagnostics.methods.adversarial._search import Attack, minimal_perturbations
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method
from diagnostics.schema.adversarial import LBFGS_PASSES
from diagnostics.schema.options import Range
from diagnostics.schema.results.adversarial import AdversarialAnswer
from diagnostics.schema.spec import Need


@method(
    "Box-constrained L-BFGS",
    source="Szegedy et al. 2014, arXiv:1312.6199, section 4.1",
    needs={Need.GRADIENTS},
)
def lbfgs(
    context: Context, *, steps: Annotated[int, Range(5, 50)] = 20
) -> Outcome[AdversarialAnswer]:
    """A small change that changes the answer, by minimising its length and a weighted margin.

    Args:
        context: Gives the images; its target is the class to be said, None any other.
        steps: Of L-BFGS for each weight, at most.

    Returns:
        See `AdversarialAnswer`; refined by bisection on the way from the image.

    Source:
        The form |r|^2 + weight * loss with the smallest weight that succeeds, and the margin of
        logits as the loss, because the cross-entropy is flat where the model is very sure.
    """
    run = partial(_attacks.lbfgs, steps=steps)
    attack = Attack("L-BFGS", "l2", run, LBFGS_PASSES)
    return minimal_perturbations(context, [attack])
