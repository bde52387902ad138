"""Running sums over in-distribution images, of which means and covariances are made.

"count" (); "sum" and products "gram", "labelled_gram" of features (d,) and (d, d); "class_count"
(k,) and "class_sum" (k, d) by label; "predicted_count" (k,) and "predicted_sum" (k, k) of the
probabilities by predicted class; "layer_sum" (m,) and "layer_gram" (m, m) of the early layer's
statistics; "pixel_mean" and "pixel_square" (c,) of each channel. All are float64.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from diagnostics.data.folder import UNKNOWN
from diagnostics.models.features import Features

MAX_FEATURES = 2048  # of which every pair's product is summed


def running_sums(outputs: Features, labels: Tensor) -> dict[str, Tensor]:
    """Return what is summed over images: their number, sums by class, products of features.

    Args:
        outputs: What the network gave.
        labels: Index of each image's class, or `UNKNOWN`.
    """
    features, layers = outputs.features.double(), outputs.layers.double()
    mean, deviation = outputs.pixel_statistics.double().chunk(2, 1)
    classes = outputs.logits.shape[1]
    labelled = labels != UNKNOWN
    truth = _one_hot(labels.clamp_min(0), classes) * labelled[:, None]
    sums = {
        "count": torch.tensor(float(len(labels)), dtype=torch.float64),
        "sum": features.sum(0),
        "pixel_mean": mean.sum(0),
        "pixel_square": (mean**2 + deviation**2).sum(0),
        "class_count": truth.sum(0),
    }
    if classes <= MAX_FEATURES:
        predicted = _one_hot(outputs.logits.argmax(1), classes)
        sums |= {
            "predicted_count": predicted.sum(0),
            "predicted_sum": predicted.T @ outputs.logits.double().softmax(1),
        }
    if layers.shape[1]:
        sums |= {"layer_sum": layers.sum(0), "layer_gram": layers.T @ layers}
    if 0 < features.shape[1] <= MAX_FEATURES:
        sums |= {
            "gram": features.T @ features,
            "labelled_gram": features[labelled].T @ features[labelled],
            "class_sum": truth.T @ features,
        }
    return sums


def check_sums(sums: Mapping[str, Tensor], classes: int, features: int, layers: int) -> None:
    """Hold sums that a file brought to the names and shapes that `running_sums` gives.

    Raises:
        ValueError: When one is missing, or of another shape or type.
    """
    k, d, m = classes, features, layers
    shapes: dict[str, tuple[int, ...]] = {"count": (), "sum": (d,), "class_count": (k,)}
    if k <= MAX_FEATURES:
        shapes |= {"predicted_count": (k,), "predicted_sum": (k, k)}
    if m:
        shapes |= {"layer_sum": (m,), "layer_gram": (m, m)}
    if 0 < d <= MAX_FEATURES:
        shapes |= {"gram": (d, d), "labelled_gram": (d, d), "class_sum": (k, d)}
    if sums.keys() & {"head_weight", "head_bias"}:
        shapes |= {"head_weight": (k, d), "head_bias": (k,)}
    for name, shape in shapes.items():
        require(sums[name].shape == shape and sums[name].dtype == torch.float64)
    for name in ("pixel_mean", "pixel_square"):
        require(sums[name].ndim == 1 and sums[name].dtype == torch.float64)
    require(bool(sums["count"] > 0))


def require(condition: bool) -> None:
    """Hold a file to something.

    Raises:
        ValueError: When it does not hold.
    """
    if not condition:
        raise ValueError


def _one_hot(indices: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(indices, classes).double()
