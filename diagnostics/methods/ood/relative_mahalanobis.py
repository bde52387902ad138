"""Distance to the nearest class mean, less the distance to all images."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood._formulas import squared_distances
from diagnostics.methods.ood._score import LABELS_PER_CLASS, Fitted, Outputs, Score
from diagnostics.reference.covariance import (
    class_means,
    covariance,
    mean_feature,
    tied_covariance,
    whitening,
)
from diagnostics.reference.statistics import Reference
from diagnostics.schema.spec import Need


def fit(reference: Reference, least: int = LABELS_PER_CLASS) -> dict[str, Tensor]:
    """Return class means and overall mean, and what makes the two covariances round.

    Args:
        reference: What the model gives for in-distribution images.
        least: How many images a class must have for its mean to count.
    """
    return {
        "means": class_means(reference, least),
        "whitening": whitening(tied_covariance(reference)),
        "mean": mean_feature(reference),
        "background_whitening": whitening(covariance(reference)),
    }


@Score(
    "Relative Mahalanobis distance",
    source="Ren et al. 2021, arXiv:2106.09022, equation 4",
    blind="Strangers that differ from all classes alike: that part is taken away.",
    needs={Need.FEATURES},
    fit=fit,
    labels_per_class=LABELS_PER_CLASS,
    needs_covariance=True,
)
def relative_mahalanobis(outputs: Outputs, fitted: Fitted) -> Float[Tensor, " n"]:
    """How much farther the nearest class mean is than the mean of all images.

    Args:
        outputs: What the network gave.
        fitted: "means", "whitening", "mean" and "background_whitening".

    Returns:
        Difference of two squared distances, any number.
    """
    features = outputs.features
    nearest = squared_distances(features, fitted["means"], fitted["whitening"]).amin(1)
    background = squared_distances(features, fitted["mean"][None], fitted["background_whitening"])
    return nearest - background[:, 0]
