"""Distance to the k-th nearest known feature."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood import Fitted, score
from diagnostics.models import guard
from diagnostics.models.features import Features
from diagnostics.reference.statistics import Reference
from diagnostics.schema.spec import Need

MOST_K, SHARE = 50, 20


def fit(reference: Reference) -> dict[str, Tensor]:
    """Return the known features, scaled to length one, and which neighbour counts."""
    bank = reference.fit.seen.features.double()
    neighbour = min(MOST_K, max(1, len(bank) // SHARE))
    lengths = bank.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return {"bank": bank / lengths, "k": torch.tensor(neighbour)}


@score(
    "Nearest neighbours (kNN)",
    source="Sun et al. 2022, arXiv:2204.06507, equation 2",
    blind="The length of the feature vector, and strangers that lie among the known features.",
    needs={Need.FEATURES},
    fit=fit,
)
def knn(seen: Features, fitted: Fitted) -> Float[Tensor, " n"]:
    """How far the image's features are from those of the nearest known-good images.

    Args:
        seen: What the network gave.
        fitted: "bank", known features of length one, shape (m, d), and "k".

    Returns:
        Distance to the k-th nearest, all features scaled to length one: 0 to 2.
    """
    return guard.knn(seen.features, fitted)
