"""Free energy of the logits."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood._formulas import free_energy
from diagnostics.methods.ood._score import Fitted, Outputs, Score


@Score(
    "Energy",
    source="Liu et al. 2020, arXiv:2010.03759",
    blind="Values of the wrong size: logits grow with the input, so an image fed in 0..255 for "
    "0..1 looks better than any known one.",
    needs_raw_logits=True,
    misleads_transformers="On vision transformers it ranks strangers worse than plain doubt does, "
    "in the published comparisons.",
    compares_classes=True,
)
def energy(outputs: Outputs, fitted: Fitted) -> Float[Tensor, " n"]:
    """How small all logits are together.

    Args:
        outputs: What the network gave.
        fitted: Nothing.

    Returns:
        Minus the logarithm of the summed exponentials of the logits, any number.
    """
    return free_energy(outputs.logits)
