"""How unusual an early layer's means and deviations are."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood._formulas import squared_distances
from diagnostics.methods.ood._score import Fitted, Outputs, Score
from diagnostics.reference.covariance import layer_covariance, mean_layers, whitening
from diagnostics.reference.statistics import Reference
from diagnostics.schema.spec import Need


def fit(reference: Reference) -> dict[str, Tensor]:
    """Return the mean, and what makes the covariance round."""
    return {"mean": mean_layers(reference), "whitening": whitening(layer_covariance(reference))}


@Score(
    "Layer statistics",
    source="After Lee et al. 2018, arXiv:1807.03888, section 2.3",
    blind="A stranger with the textures and contrasts of the known images: it does not look at "
    "what they show.",
    needs={Need.LAYERS},
    fit=fit,
    needs_early_layer=True,
)
def layer_statistics(outputs: Outputs, fitted: Fitted) -> Float[Tensor, " n"]:
    """How unusual the strength and the spread of every channel of an early layer are together.

    Args:
        outputs: What the network gave.
        fitted: "mean" and "whitening" of the reference.

    Returns:
        Squared distance from the mean in units of the covariance, 0 or more.
    """
    mean = fitted["mean"][None]
    return squared_distances(outputs.layers, mean, fitted["whitening"])[:, 0]
