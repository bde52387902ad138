"""Sums over known-good images: what means and covariances are made of, however many there are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from diagnostics.models.features import Features

MOST_FEATURES = 2048  # of which every pair's product is summed
UNKNOWN = -1  # label of an image that has none


def sums(seen: Features, labels: Tensor) -> dict[str, Tensor]:
    """Return what is summed over images: their number, sums by class, products of features.

    Args:
        seen: What the network gave.
        labels: Index of each image's class, or `UNKNOWN`.
    """
    features, layers = seen.features.double(), seen.layers.double()
    mean, deviation = seen.shades.double().chunk(2, 1)
    classes = seen.logits.shape[1]
    known = labels != UNKNOWN
    truth = _one_hot(labels.clamp_min(0), classes) * known[:, None]
    found = {
        "count": torch.tensor(float(len(labels)), dtype=torch.float64),
        "sum": features.sum(0),
        "pixel_mean": mean.sum(0),
        "pixel_square": (mean**2 + deviation**2).sum(0),
        "class_count": truth.sum(0),
    }
    if classes <= MOST_FEATURES:
        own = _one_hot(seen.logits.argmax(1), classes)
        said = own.T @ seen.logits.double().softmax(1)
        found |= {"said_count": own.sum(0), "said_sum": said}
    if layers.shape[1]:
        found |= {"layer_sum": layers.sum(0), "layer_gram": layers.T @ layers}
    if 0 < features.shape[1] <= MOST_FEATURES:
        found |= {
            "gram": features.T @ features,
            "labelled_gram": features[known].T @ features[known],
            "class_sum": truth.T @ features,
        }
    return found


def check(moments: Mapping[str, Tensor], classes: int, features: int, layers: int) -> None:
    """Hold sums that a file brought to the names and shapes that `sums` gives.

    Raises:
        ValueError: When one is missing, or of another shape or type.
    """
    k, d, m = classes, features, layers
    shapes: dict[str, tuple[int, ...]] = {"count": (), "sum": (d,), "class_count": (k,)}
    if k <= MOST_FEATURES:
        shapes |= {"said_count": (k,), "said_sum": (k, k)}
    if m:
        shapes |= {"layer_sum": (m,), "layer_gram": (m, m)}
    if 0 < d <= MOST_FEATURES:
        shapes |= {"gram": (d, d), "labelled_gram": (d, d), "class_sum": (k, d)}
    if moments.keys() & {"head_weight", "head_bias"}:
        shapes |= {"head_weight": (k, d), "head_bias": (k,)}
    for name, shape in shapes.items():
        demand(moments[name].shape == shape and moments[name].dtype == torch.float64)
    for name in ("pixel_mean", "pixel_square"):
        demand(moments[name].ndim == 1 and moments[name].dtype == torch.float64)
    demand(bool(moments["count"] > 0))


def demand(fine: bool) -> None:
    """Hold a file to something.

    Raises:
        ValueError: When it does not hold.
    """
    if not fine:
        raise ValueError


def _one_hot(indices: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(indices, classes).double()
