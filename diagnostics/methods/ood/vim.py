"""Features outside the principal subspace of the reference's, against the logits."""

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
    """Return how many dimensions the principal subspace has, as in the paper."""
    return 1000 if features > 1500 else 512 if features >= 768 else max(1, features // 2)


def fit(reference: Reference) -> dict[str, Tensor]:
    """Return the origin, the directions outside the principal subspace, and the scale."""
    sums, outputs = reference.sums, reference.fit.outputs
    origin = -torch.linalg.pinv(sums["head_weight"]) @ sums["head_bias"]
    mean = mean_feature(reference)
    scatter = sums["gram"] / sums["count"]  # around the origin: no mean is taken away
    scatter = scatter - torch.outer(mean, origin) - torch.outer(origin, mean)
    scatter = scatter + torch.outer(origin, origin)
    complement = torch.linalg.eigh(scatter).eigenvectors[:, : len(mean) - dimensions(len(mean))]
    lengths = ((outputs.features.double() - origin) @ complement).norm(dim=1)
    alpha = outputs.logits.double().amax(1).mean() / lengths.mean().clamp_min(1e-12)
    return {"origin": origin, "complement": complement.contiguous(), "alpha": alpha}


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
        fitted: "origin", "complement" of the principal subspace, and the scale "alpha".

    Returns:
        The length outside, scaled to logits, plus the energy; any number.
    """
    outside = (outputs.features.double() - fitted["origin"]) @ fitted["complement"]
    virtual_logit: Tensor = fitted["alpha"] * outside.norm(dim=1)
    return virtual_logit + free_energy(outputs.logits)
