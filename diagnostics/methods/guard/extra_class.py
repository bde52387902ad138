"""One more class in the last layer, learned on features."""

from __future__ import annotations

from typing import Annotated, Any

import torch

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.guard import outcome
from diagnostics.methods.guard._fitting import NOISE, STRANGERS, Collector, demand_features, limited
from diagnostics.methods.guard._logistic import logistic
from diagnostics.methods.registry import method
from diagnostics.models.guard import Guard
from diagnostics.schema.options import Range

PENALTY = 1e-4


@method(
    "Extra class", kind="guard", source="Background class: Zhang & LeCun 2017, arXiv:1701.02071"
)
def extra_class(
    context: Context, *, alpha: Annotated[float, Range(0.001, 0.5)] = 0.05
) -> Outcome[Any]:
    """Add one row to the last layer that wins on noise and strangers.

    The other rows stay as they are. The new one is learned with cross-entropy between all classes
    together and the new one, on features scaled to the known images' mean and deviation.

    Args:
        context: Gives known-good images, and strangers if there are some.
        alpha: Share of known-good images that may be rejected.

    Returns:
        Gains and costs beside the bare model, and the guard's file.
    """
    demand_features(context)
    material = Collector(context, ()).collect(*NOISE, STRANGERS)
    known, strange = material.known, material.learned
    features = torch.cat([known.features, strange.features]).double()
    logits = torch.cat([known.logits, strange.logits]).double()
    truth = torch.cat([torch.zeros(len(known.labels)), torch.ones(len(strange.labels))]).double()
    mean = known.features.double().mean(0)
    std = known.features.double().std(0).clamp_min(1e-6) + features.std() * 1e-3
    context.progress("Learning the extra class", 0.6)
    weight, bias = logistic((features - mean) / std, -logits.logsumexp(1), truth, PENALTY)
    tensors = {
        "guard_temperature": torch.tensor(1.0, dtype=torch.float64),
        "guard_weight": weight / std,
        "guard_bias": bias - mean @ (weight / std),
    }
    guard = Guard("extra_class", "", tensors)
    guard = limited(guard, material.limits, alpha, "guard_bias", -1.0)
    return outcome(context, guard, (), material, alpha)
