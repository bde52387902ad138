"""Energy with the largest features cut."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood._formulas import free_energy
from diagnostics.methods.ood._score import Fitted, Outputs, Score
from diagnostics.reference.statistics import Reference
from diagnostics.schema.spec import Need

QUANTILE = 0.9


def fit(reference: Reference) -> dict[str, Tensor]:
    """Return the 90th percentile of all the reference's features, and the last layer."""
    values = reference.fit.outputs.features.double().flatten().sort().values
    position = QUANTILE * (len(values) - 1)
    below = values[int(position)]
    above = values[min(int(position) + 1, len(values) - 1)]
    return {
        "limit": torch.lerp(below, above, position % 1),
        "weight": reference.sums["head_weight"],
        "bias": reference.sums["head_bias"],
    }


@Score(
    "Energy of cut features (ReAct)",
    source="Sun et al. 2021, arXiv:2111.12797",
    blind="A stranger whose features are small and usual one by one.",
    needs={Need.FEATURES, Need.HEAD},
    fit=fit,
    needs_raw_logits=True,
    compares_classes=True,
)
def react(outputs: Outputs, fitted: Fitted) -> Float[Tensor, " n"]:
    """How small the logits are together once unusually large features are cut.

    Args:
        outputs: What the network gave.
        fitted: "limit", and the last layer's "weight" and "bias".

    Returns:
        Energy, any number.
    """
    cut = outputs.features.double().minimum(fitted["limit"])
    return free_energy(cut @ fitted["weight"].T + fitted["bias"])
