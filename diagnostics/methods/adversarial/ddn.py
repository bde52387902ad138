"""DDN: direction and norm of the change are decoupled."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from diagnostics.methods.adversarial import _attacks
from diagnostics.methods.adversarial._search import Attack, minimal_perturbations
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method
from diagnostics.schema.options import Range
from diagnostics.schema.results.adversarial import AdversarialAnswer
from diagnostics.schema.spec import Need


@method("DDN", source="Rony et al. 2019, arXiv:1811.09600", needs={Need.GRADIENTS})
def ddn(
    context: Context, *, steps: Annotated[int, Range(10, 1000)] = 100
) -> Outcome[AdversarialAnswer]:
    """A small change that changes the answer, by a walk on a sphere that shrinks and grows.

    Args:
        context: Gives the images; its target is the class to be said, None any other.
        steps: Of the walk, each one pass forward and back.

    Returns:
        See `AdversarialAnswer`; refined by bisection on the way from the image.

    Source:
        Algorithm 1, with the first radius where a linear classifier would change its answer.
    """
    run = partial(_attacks.ddn, norm="l2", steps=steps)
    return minimal_perturbations(context, [Attack("DDN", "l2", run, steps)])
