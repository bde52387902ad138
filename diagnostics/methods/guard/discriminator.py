"""A small network that tells known from strange by the features of several layers."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import nn
from torch.nn import functional

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.guard import outcome
from diagnostics.methods.guard._fitting import SPLIT, Collector, limited
from diagnostics.methods.registry import method
from diagnostics.models.guard import Guard
from diagnostics.models.guarded import telling_layers
from diagnostics.schema.options import Range

HIDDEN, STEPS, RATE, DECAY = 64, 300, 1e-2, 1e-3


@method(
    "Discriminator",
    kind="guard",
    source="After Lee et al. 2018, arXiv:1807.03888, features of many layers",
)
def discriminator(
    context: Context, *, alpha: Annotated[float, Range(0.001, 0.5)] = 0.05
) -> Outcome[Any]:
    """Learn to tell known images from noise, fooling images and strangers by several layers.

    Args:
        context: Gives known-good images, and strangers if there are some.
        alpha: Share of known-good images that may be rejected.

    Returns:
        Gains and costs beside the bare model, and the guard's file.
    """
    layers = telling_layers(context.classifier)
    material = Collector(context, layers).collect(*SPLIT)
    known, strange = material.known, material.learned
    features = torch.cat([known.layers, strange.layers]).double()
    truth = torch.cat([torch.zeros(len(known.labels)), torch.ones(len(strange.labels))]).double()
    mean = known.layers.double().mean(0)
    std = known.layers.double().std(0).clamp_min(1e-6) + features.std() * 1e-3
    balance = torch.where(truth > 0, 0.5 / truth.mean(), 0.5 / (1 - truth.mean()))
    torch.manual_seed(context.seed)
    first, last = nn.Linear(features.shape[1], HIDDEN).double(), nn.Linear(HIDDEN, 1).double()
    learned = [*first.parameters(), *last.parameters()]
    search = torch.optim.AdamW(learned, RATE, weight_decay=DECAY)
    fed = (features - mean) / std
    for step in range(STEPS):
        context.progress("Learning the discriminator", 0.5 + 0.4 * step / STEPS)
        search.zero_grad()
        odds = last(first(fed).relu())[:, 0]
        loss = functional.binary_cross_entropy_with_logits(odds, truth, balance)
        for value, gradient in zip(learned, torch.autograd.grad(loss, learned), strict=True):
            value.grad = gradient
        search.step()
    tensors = {
        "guard_temperature": torch.tensor(1.0, dtype=torch.float64),
        "guard_mean": mean,
        "guard_std": std,
        "guard_weight_1": first.weight,
        "guard_bias_1": first.bias,
        "guard_weight_2": last.weight[0],
        "guard_bias_2": last.bias[0],
        "guard_threshold": torch.tensor(0.0, dtype=torch.float64),
    }
    guard = Guard("discriminator", "", {name: one.detach() for name, one in tensors.items()})
    guard = limited(guard, material.limits, alpha, "guard_threshold", 1.0)
    return outcome(context, guard, layers, material, alpha)
