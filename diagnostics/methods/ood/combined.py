"""Several scores' places among in-distribution images, as one piece of evidence."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood._score import Fit, Fitted, Outputs, Score
from diagnostics.methods.ood.knn import fit as fit_neighbours
from diagnostics.methods.ood.knn import knn
from diagnostics.methods.ood.layer_statistics import fit as fit_layers
from diagnostics.methods.ood.layer_statistics import layer_statistics
from diagnostics.methods.ood.mahalanobis import mahalanobis
from diagnostics.methods.ood.msp import msp
from diagnostics.methods.ood.react import fit as fit_head
from diagnostics.methods.ood.react import react
from diagnostics.methods.ood.relative_mahalanobis import fit as fit_features
from diagnostics.methods.ood.relative_mahalanobis import relative_mahalanobis
from diagnostics.reference.running_sums import MAX_FEATURES, running_sums
from diagnostics.reference.statistics import Half, Reference
from diagnostics.schema.spec import Need

FOLDS = 5  # with two, a covariance of so few images ranks others than that of all of them
PER_CLASS = 4  # images per predicted class, below which classes have no means
NARROW, TAIL, TINY = 0.01, 0.9, 1e-9
LOG_RARE = -3.0  # logarithm of the p-value below which a part counts that tells no near strangers


def fit(reference: Reference) -> dict[str, Tensor]:
    """Return the parts' statistics, and each part's scores of images that did not fit it.

    All of it is measured on the half that fits scores, dealt to five folds: each is scored by the
    statistics of the other four. The half that judges is scored as new images are, so that it and
    good new images are exchangeable, and the conformal promise holds for any number of them.
    """
    outputs, count = reference.fit.outputs, len(reference.fit.labels)
    groups = _groups(reference)
    statistics = _statistics(reference, torch.ones(count, dtype=torch.bool), groups)
    parts = {name: part for name, part in _parts().items() if part[1] in groups}
    held_out = {name: torch.zeros(count, dtype=torch.float64) for name in parts}
    folds = torch.arange(count) % FOLDS
    for fold in range(min(FOLDS, count)):
        own = folds == fold
        others = _statistics(reference, ~own, groups)
        for name, (part, group, _) in parts.items():
            held_out[name][own] = part(outputs.select(own), others[group])
    fitted = {
        f"{group}__{key}": value
        for group, values in statistics.items()
        for key, value in values.items()
    }
    for name, scores in held_out.items():
        ordered = scores.sort().values
        highest = ordered[int(TAIL * count) :]
        width = ordered.std().clamp_min(TINY) * NARROW
        fitted[f"{name}__held_out"], fitted[f"{name}__width"] = ordered, width
        fitted[f"{name}__tail"] = (highest - highest[0]).mean().clamp_min(float(width))
    return fitted


def _parts() -> dict[str, tuple[Callable[[Outputs, Fitted], Tensor], str, bool]]:
    """Return each part's function, its group of statistics, and whether only its tail counts."""
    return {
        "msp": (msp, "logits", False),
        "react": (react, "head", False),
        "relative_mahalanobis": (relative_mahalanobis, "features", False),
        "knn": (knn, "neighbours", False),
        "mahalanobis": (mahalanobis, "features", True),
        "layer_statistics": (layer_statistics, "layers", True),
    }


def _groups(reference: Reference) -> tuple[str, ...]:
    """Return which groups of statistics its images are enough for."""
    outputs = reference.fit.outputs
    classes = len(torch.unique(outputs.logits.argmax(1)))
    has_means = len(outputs.logits) >= PER_CLASS * classes
    by_features = has_means and outputs.features.shape[1] <= MAX_FEATURES
    head = ("head",) if "head_weight" in reference.sums else ()
    layers = ("layers",) if outputs.layers.shape[1] else ()
    return ("logits", *head, "features" if by_features else "neighbours", *layers)


def _statistics(
    reference: Reference, rows: Tensor, groups: Collection[str]
) -> dict[str, dict[str, Tensor]]:
    """Return the statistics of some images by group; predicted classes stand for labels."""
    outputs = reference.fit.outputs.select(rows)
    classes = outputs.logits.argmax(1)
    sums = {**reference.sums, **running_sums(outputs, classes)}
    chosen = Reference(Half(outputs, classes), reference.calibration, sums, reference.about)
    fits: dict[str, Fit] = {
        "logits": lambda _: {},
        "head": fit_head,
        "features": lambda known: fit_features(known, 1),
        "neighbours": fit_neighbours,
        "layers": fit_layers,
    }
    return {group: fits[group](chosen) for group in groups}


@Score(
    "Combined evidence",
    source="Fisher 1925, Statistical Methods for Research Workers, section 21.1; truncated as in "
    "Zaykin et al. 2002, Genetic Epidemiology 22",
    blind="A stranger that looks usual to every one of its parts.",
    needs={Need.FEATURES},
    fit=fit,
    compares_classes=True,
)
def combined(outputs: Outputs, fitted: Fitted) -> Float[Tensor, " n"]:
    """How rare the image's places by several scores are together among known-good images.

    Doubt, the energy of cut features and relative Mahalanobis distance always count: they tell a
    class that the network never saw. Mahalanobis distance and layer statistics tell
    noise and other pictures, and count only where they are rare, so that they cost little where
    they are blind. Where images are too few for class means, or features too many, nearest
    neighbours stand for both distances.
    Values are never added up, only the logarithms of p-values. So that a rounding cannot make a
    step, every score counted through a narrow sigmoid; beyond the highest of them the p-value falls
    as one over the distance.

    Args:
        outputs: What the network gave.
        fitted: The parts' statistics, and their scores of images that did not fit them.

    Returns:
        Minus the summed natural logarithms of the parts' p-values, 0 or more; it orders images, and
        is itself no p-value: the parts depend on each other.
    """
    total = torch.zeros(outputs.logits.shape[0], dtype=torch.float64, device=outputs.logits.device)
    for name, (part, group, only_tail) in _parts().items():
        held_out = fitted.get(f"{name}__held_out")
        if held_out is not None:
            prefix = f"{group}__"
            own = {k.removeprefix(prefix): v for k, v in fitted.items() if k.startswith(prefix)}
            scores = part(outputs, own)
            at_least = ((held_out - scores[:, None]) / fitted[f"{name}__width"]).sigmoid().sum(1)
            beyond = (scores - held_out[-1]).clamp_min(0) / fitted[f"{name}__tail"]
            evidence = beyond.log1p() - ((1 + at_least) / (held_out.shape[0] + 1)).log()
            total = total + ((evidence + LOG_RARE).clamp_min(0) if only_tail else evidence)
    return total
