"""Features outside the subspace of the known ones, against the logits."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood._formulas import free_energy
from diagnostics.methods.ood._score import Fitted, Outputs, Score
from diagnostics.reference.covariance import mean_feature
from diagnostics.reference.statistics import Reference
from diagnostics.schema.spec import Need


def dimensions(features: int) -> int:
    """Return how many directions count as known, as the paper does."""
    return 1000 if features > 1500 else 512 if features >= 768 else max(1, features // 2)


def fit(reference: Reference) -> dict[str, Tensor]:
    """Return the origin, the directions outside the known subspace, and the scale."""
    moments, seen = reference.sums, reference.fit.outputs
    origin = -torch.linalg.pinv(moments["head_weight"]) @ moments["head_bias"]
    mean = mean_feature(reference)
    around = moments["gram"] / moments["count"]  # around the origin: no mean is taken away
    around = around - torch.outer(mean, origin) - torch.outer(origin, mean)
    around = around + torch.outer(origin, origin)
    outside = torch.linalg.eigh(around).eigenvectors[:, : len(mean) - dimensions(len(mean))]
    lengths = ((seen.features.double() - origin) @ outside).norm(dim=1)
    alpha = seen.logits.double().amax(1).mean() / lengths.mean().clamp_min(1e-12)
    return {"origin": origin, "complement": outside.contiguous(), "alpha": alpha}


@Score(
    "Virtual logit (ViM)",
    source="Wang et al. 2022, arXiv:2203.10807, section 4",
    blind="A stranger inside the subspace that the known features span; with fewer images than "
    "features that subspace is not known well.",
    needs={Need.FEATURES, Need.HEAD},
    fit=fit,
    needs_raw_logits=True,
    compares_classes=True,
    needs_covariance=True,
)
def vim(outputs: Outputs, fitted: Fitted) -> Float[Tensor, " n"]:
    """How much of the image's features no known image has, against how sure the logits are.

    Args:
        outputs: What the network gave.
        fitted: "origin", "complement" of the known subspace, and the scale "alpha".

    Returns:
        The length outside, scaled to logits, plus the energy; any number.
    """
    outside = (outputs.features.double() - fitted["origin"]) @ fitted["complement"]
    virtual_logit: Tensor = fitted["alpha"] * outside.norm(dim=1)
    return virtual_logit + free_energy(outputs.logits)
