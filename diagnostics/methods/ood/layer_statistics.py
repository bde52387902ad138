"""How unusual an early layer's means and deviations are."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood import Fitted, score
from diagnostics.models import guard
from diagnostics.models.features import Features
from diagnostics.reference.shrinkage import whitening
from diagnostics.reference.statistics import Reference, layer_covariance, mean_layers
from diagnostics.schema.spec import Need


def fit(reference: Reference) -> dict[str, Tensor]:
    """Return the known mean, and what makes the known covariance round."""
    return {"mean": mean_layers(reference), "whitening": whitening(layer_covariance(reference))}


@score(
    "Layer statistics",
    source="After Lee et al. 2018, arXiv:1807.03888, section 2.3",
    blind="A stranger with the textures and contrasts of the known images: it does not look at "
    "what they show.",
    needs={Need.LAYERS},
    fit=fit,
    early=True,
)
def layer_statistics(seen: Features, fitted: Fitted) -> Float[Tensor, " n"]:
    """How unusual the strength and the spread of every channel of an early layer are together.

    Args:
        seen: What the network gave.
        fitted: "mean" and "whitening" of the known images.

    Returns:
        Squared distance from the known mean in units of the known covariance, 0 or more.
    """
    return guard.layer_statistics(seen.layers, fitted)
