"""What does it cost to say whether a map can be trusted?"""

from __future__ import annotations

from typing import Annotated

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.faithfulness._evaluation import EvaluationRequest
from diagnostics.methods.registry import method as registered
from diagnostics.schema.options import Range
from diagnostics.schema.results.faithfulness import TrustCostAnswer
from diagnostics.schema.spec import Need


@registered("Cost of trust", source="Counted from the methods' own statements of their passes")
def trust_cost(
    context: Context,
    *,
    method: str = "attribution/gradient",
    against: str = "",
    copies: Annotated[int, Range(1, 10)] = 3,
    random_maps: Annotated[int, Range(4, 100)] = 8,
    together: Annotated[int, Range(1, 1000)] = 1,
) -> Outcome[TrustCostAnswer]:
    """How many passes it takes to say of one image's map whether it can be trusted.

    Args:
        context: Gives the classifier.
        method: What makes the map, "attribution/name?option=value".
        against: Index of a class whose logit is subtracted, -1 for the strongest other one.
        copies: How many random networks of each kind.
        random_maps: How many maps of noise.
        together: How many images are asked about at once; each is compared with others' maps.

    Returns:
        "forward" and "backward", passes for each image forward alone, and forward and back.

    Raises:
        NotOfferedError: When this model cannot answer the method.
    """
    spec = context.classifier.spec
    request = EvaluationRequest.read(method, against, copies, random_maps, context.seed, spec)
    heatmaps, covered = request.forward_passes(spec, together)
    takes_gradients = Need.GRADIENTS in request.method.info.needs
    return Outcome(
        TrustCostAnswer(
            forward=covered if takes_gradients else covered + heatmaps,
            backward=heatmaps if takes_gradients else 0,
            complete=True,
        )
    )
