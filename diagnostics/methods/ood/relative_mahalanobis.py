"""Distance to the nearest class mean, less the distance to all images."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood import LABELS_PER_CLASS, Fitted, score
from diagnostics.models import guard
from diagnostics.models.features import Features
from diagnostics.reference.shrinkage import whitening
from diagnostics.reference.statistics import (
    Reference,
    class_means,
    covariance,
    mean_feature,
    tied_covariance,
)
from diagnostics.schema.spec import Need


def fit(reference: Reference) -> dict[str, Tensor]:
    """Return class means and overall mean, and what makes the two covariances round."""
    return {
        "means": class_means(reference, LABELS_PER_CLASS),
        "whitening": whitening(tied_covariance(reference)),
        "mean": mean_feature(reference),
        "whole_whitening": whitening(covariance(reference)),
    }


@score(
    "Relative Mahalanobis distance",
    source="Ren et al. 2021, arXiv:2106.09022, equation 4",
    blind="Strangers that differ from all classes alike: that part is taken away.",
    needs={Need.FEATURES},
    fit=fit,
    labels=LABELS_PER_CLASS,
    covariance=True,
)
def relative_mahalanobis(seen: Features, fitted: Fitted) -> Float[Tensor, " n"]:
    """How much farther the nearest class mean is than the mean of all images.

    Args:
        seen: What the network gave.
        fitted: "means", "whitening", "mean" and "whole_whitening".

    Returns:
        Difference of two squared distances, any number.
    """
    return guard.relative_mahalanobis(seen.features, fitted)
