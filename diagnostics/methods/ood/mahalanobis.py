"""Distance to the nearest class mean."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood._formulas import squared_distances
from diagnostics.methods.ood._score import LABELS_PER_CLASS, Fitted, Outputs, Score
from diagnostics.reference.covariance import class_means, tied_covariance, whitening
from diagnostics.reference.statistics import Reference
from diagnostics.schema.spec import Need


def fit(reference: Reference) -> dict[str, Tensor]:
    """Return the class means, and what makes the shared covariance round."""
    means = class_means(reference, LABELS_PER_CLASS)
    return {"means": means, "whitening": whitening(tied_covariance(reference))}


@Score(
    "Mahalanobis distance",
    source="Lee et al. 2018, arXiv:1807.03888, equation 2",
    blind="Strangers whose features are small: it is weak on many convolutional networks, strong "
    "on transformers.",
    needs={Need.FEATURES},
    fit=fit,
    labels_per_class=LABELS_PER_CLASS,
    needs_covariance=True,
)
def mahalanobis(outputs: Outputs, fitted: Fitted) -> Float[Tensor, " n"]:
    """How far the image's features are from the nearest class mean.

    Args:
        outputs: What the network gave.
        fitted: "means", shape (classes, d), and "whitening" of the shared covariance.

    Returns:
        Squared distance in units of the classes' shared covariance, 0 or more.
    """
    return squared_distances(outputs.features, fitted["means"], fitted["whitening"]).amin(1)
