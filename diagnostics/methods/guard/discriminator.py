"""A small network that tells known from strange by the features of several layers."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.guard import outcome
from diagnostics.methods.guard._splits import LEARNABLE, SplitBuilder
from diagnostics.methods.registry import method
from diagnostics.models.guard import Fitted, Guard, Outputs
from diagnostics.models.guarded import spread_layers
from diagnostics.schema.options import Range
from diagnostics.schema.results.guard import GuardAnswer

HIDDEN, STEPS, LEARNING_RATE, WEIGHT_DECAY = 64, 300, 1e-2, 1e-3


@method(
    "Discriminator",
    kind="guard",
    source="After Lee et al. 2018, arXiv:1807.03888, features of many layers",
    order=3,
    explanation="is a small network that reads several layers, and learns to tell known-good "
    "images from noise, fooling images and your strangers.",
)
def discriminator(
    context: Context, *, alpha: Annotated[float, Range(0.001, 0.5)] = 0.05
) -> Outcome[GuardAnswer]:
    """Learn to tell known images from noise, fooling images and strangers by several layers.

    Args:
        context: Gives known-good images, and strangers if there are some.
        alpha: Share of known-good images that may be rejected.

    Returns:
        Gains and costs beside the bare model, and the guard's file.
    """
    layers = spread_layers(context.classifier)
    splits = SplitBuilder(context, layers).build(LEARNABLE)
    outputs, truth = splits.two_sides()
    features = outputs.layers.double()
    train = splits.train.outputs.layers.double()
    mean = train.mean(0)
    std = train.std(0).clamp_min(1e-6) + features.std() * 1e-3
    tensors = {"guard_mean": mean, "guard_std": std}
    tensors |= _learn(context, (features - mean) / std, truth)
    return outcome(context, "discriminator", Guard(log_odds, tensors), layers, splits, alpha)


def log_odds(outputs: Outputs, fitted: Fitted) -> Tensor:
    """Return the log-odds that an image belongs to no class, by a network of two layers."""
    scaled = (outputs.layers.double() - fitted["guard_mean"]) / fitted["guard_std"]
    hidden = (scaled @ fitted["guard_weight_1"].T + fitted["guard_bias_1"]).relu()
    odds: Tensor = hidden @ fitted["guard_weight_2"] + fitted["guard_bias_2"]
    return odds


def _learn(context: Context, inputs: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Return weights and biases of the two layers; both sides weigh the same."""
    torch.manual_seed(context.seed)
    first, last = nn.Linear(inputs.shape[1], HIDDEN).double(), nn.Linear(HIDDEN, 1).double()
    parameters = [*first.parameters(), *last.parameters()]
    search = torch.optim.AdamW(parameters, LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    balance = torch.where(truth > 0, 0.5 / truth.mean(), 0.5 / (1 - truth.mean()))
    for step in range(STEPS):
        context.progress("Learning the discriminator", 0.5 + 0.4 * step / STEPS)
        odds = last(first(inputs).relu())[:, 0]
        loss = functional.binary_cross_entropy_with_logits(odds, truth, balance)
        for value, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            value.grad = gradient
        search.step()
    return {
        "guard_weight_1": first.weight.detach(),
        "guard_bias_1": first.bias.detach(),
        "guard_weight_2": last.weight[0].detach(),
        "guard_bias_2": last.bias[0].detach(),
    }
