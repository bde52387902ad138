"""Minus the largest logit."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood._score import Fitted, Outputs, Score


@Score(
    "Largest logit",
    source="Hendrycks et al. 2022, arXiv:1911.11132",
    blind="Values of the wrong size: logits grow with the input, so an image fed in 0..255 for "
    "0..1 looks better than any known one.",
    needs_raw_logits=True,
)
def max_logit(outputs: Outputs, fitted: Fitted) -> Float[Tensor, " n"]:
    """How small the largest logit is.

    Args:
        outputs: What the network gave.
        fitted: Nothing.

    Returns:
        Minus the largest logit, any number.
    """
    return -outputs.logits.double().amax(1)
