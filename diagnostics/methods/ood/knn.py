"""Distance to the k-th nearest feature of the reference."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood._score import Fitted, Outputs, Score
from diagnostics.reference.statistics import Reference
from diagnostics.schema.spec import Need

MAX_K, SHARE = 50, 20


def fit(reference: Reference) -> dict[str, Tensor]:
    """Return the reference's features, scaled to length one, and which neighbour counts."""
    features = reference.fit.outputs.features.double()
    k = min(MAX_K, max(1, len(features) // SHARE))
    lengths = features.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return {"bank": features / lengths, "k": torch.tensor(k)}


@Score(
    "Nearest neighbours (kNN)",
    source="Sun et al. 2022, arXiv:2204.06507, equation 2",
    blind="The length of the feature vector, and strangers that lie among the known features.",
    needs={Need.FEATURES},
    fit=fit,
)
def knn(outputs: Outputs, fitted: Fitted) -> Float[Tensor, " n"]:
    """How far the image's features are from those of the nearest known-good images.

    Args:
        outputs: What the network gave.
        fitted: "bank", the reference's features of length one, shape (m, d), and "k".

    Returns:
        Distance to the k-th nearest, all features scaled to length one: 0 to 2.
    """
    features = outputs.features.double()
    lengths: Tensor = features.norm(dim=1, keepdim=True)
    similarities = features / lengths.clamp_min(1e-12) @ fitted["bank"].T
    kth = similarities.topk(int(fitted["k"]), dim=1).values[:, -1]
    distances: Tensor = (2 - 2 * kth).clamp_min(0).sqrt()
    return distances
