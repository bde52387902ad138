"""One more class in the last layer, learned on features."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.guard import outcome
from diagnostics.methods.guard._splits import NOISE, SplitBuilder, require_features
from diagnostics.methods.registry import method
from diagnostics.models.guard import Fitted, Guard, Outputs
from diagnostics.schema.options import Range
from diagnostics.schema.results.guard import OUT_OF_DISTRIBUTION, GuardAnswer

PENALTY = 1e-4

Floats = NDArray[np.float64]


@method(
    "Extra class",
    kind="guard",
    source="Background class: Zhang & LeCun 2017, arXiv:1701.02071",
    order=2,
    explanation="adds one row to the last layer, which learns to win on noise and on your "
    "strangers.",
)
def extra_class(
    context: Context, *, alpha: Annotated[float, Range(0.001, 0.5)] = 0.05
) -> Outcome[GuardAnswer]:
    """Add one row to the last layer that wins on noise and strangers.

    The other rows stay as they are. The new one is learned with cross-entropy between all classes
    together and the new one, on features scaled to the known images' mean and deviation.

    Args:
        context: Gives known-good images, and strangers if there are some.
        alpha: Share of known-good images that may be rejected.

    Returns:
        Gains and costs beside the bare model, and the guard's file.
    """
    require_features(context)
    splits = SplitBuilder(context, ()).build((*NOISE, OUT_OF_DISTRIBUTION))
    outputs, truth = splits.two_sides()
    features = outputs.features.double()
    train = splits.train.outputs.features.double()
    mean = train.mean(0)
    std = train.std(0).clamp_min(1e-6) + features.std() * 1e-3
    context.progress("Learning the extra class", 0.6)
    weights, bias = logistic_regression(
        ((features - mean) / std).numpy(),
        -outputs.logits.double().logsumexp(1).numpy(),
        truth.numpy(),
        PENALTY,
    )
    row = torch.from_numpy(weights) / std
    guard = Guard(margin, {"guard_weight": row, "guard_bias": bias - mean @ row})
    return outcome(context, "extra_class", guard, (), splits, alpha)


def margin(outputs: Outputs, fitted: Fitted) -> Tensor:
    """Return the extra class's logit minus the largest of the others."""
    extra = outputs.features.double() @ fitted["guard_weight"] + fitted["guard_bias"]
    margins: Tensor = extra - outputs.logits.double().amax(1)
    return margins


def logistic_regression(
    features: Floats, offsets: Floats, truth: Floats, penalty: float
) -> tuple[Floats, float]:
    """Fit weights and bias so that features @ weights + bias + offsets are the log-odds of truth.

    Both sides weigh the same. The loss is convex, so where the search begins does not matter.

    Args:
        features: Shape (n, d).
        offsets: Shape (n,).
        truth: 0 or 1, shape (n,).
        penalty: Of the squared weights.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    share = truth.mean()
    balance = np.where(truth > 0, 0.5 / share, 0.5 / (1 - share)) / len(truth)
    rows = np.column_stack([features, np.ones(len(features))])
    penalties = np.append(np.full(features.shape[1], penalty), 0.0)

    def loss(coefficients: Floats) -> tuple[float, Floats]:
        odds = rows @ coefficients + offsets
        value = balance @ (np.logaddexp(0, odds) - truth * odds) + penalties @ coefficients**2
        gradient = rows.T @ (balance * (expit(odds) - truth)) + 2 * penalties * coefficients
        return float(value), gradient

    options = {"maxiter": 10_000, "maxfun": 100_000, "gtol": 1e-10, "ftol": 1e-16, "maxcor": 20}
    start = np.zeros(rows.shape[1])
    *weights, bias = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x.tolist()
    return np.array(weights), bias
