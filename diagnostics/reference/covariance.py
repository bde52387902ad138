"""Means and covariances of a reference, steady where its images are few; and whitening."""

from __future__ import annotations

import torch
from torch import Tensor

from diagnostics.data.folder import UNKNOWN
from diagnostics.reference.statistics import Reference

ENOUGH = 5  # images per feature, from which on a covariance is taken as it was measured


def mean_feature(reference: Reference) -> Tensor:
    """Return the mean feature, shape (d,)."""
    mean: Tensor = reference.sums["sum"] / reference.sums["count"]
    return mean


def mean_layers(reference: Reference) -> Tensor:
    """Return the mean of the early layer's statistics."""
    mean: Tensor = reference.sums["layer_sum"] / reference.sums["count"]
    return mean


def class_means(reference: Reference, min_count: int) -> Tensor:
    """Return the mean feature of each class with at least so many labelled images."""
    counts = reference.sums["class_count"]
    enough = counts >= min_count
    means: Tensor = reference.sums["class_sum"][enough] / counts[enough, None]
    return means


def covariance(reference: Reference) -> Tensor:
    """Return the features' covariance, shape (d, d), shrunk where the images are few."""
    features = reference.fit.outputs.features
    return _around(mean_feature(reference), "gram", reference, features)


def layer_covariance(reference: Reference) -> Tensor:
    """Return the covariance of the early layer's statistics, shrunk where the images are few."""
    layers = reference.fit.outputs.layers
    return _around(mean_layers(reference), "layer_gram", reference, layers)


def tied_covariance(reference: Reference) -> Tensor:
    """Return the covariance around the classes' means, shape (d, d), shrunk where few."""
    sums, labels = reference.sums, reference.fit.labels
    counts, class_sums = sums["class_count"].clamp_min(1), sums["class_sum"]
    by_class = class_sums / counts.sqrt()[:, None]
    count = float(sums["class_count"].sum())
    measured = (sums["labelled_gram"] - by_class.T @ by_class) / count
    labelled = labels != UNKNOWN
    means = (class_sums / counts[:, None])[labels[labelled]]
    centred = reference.fit.outputs.features[labelled].double() - means
    return _shrink_if_few(measured, centred, count)


def shrink(covariances: Tensor, centred: Tensor) -> Tensor:
    """Shrink a covariance towards a multiple of the identity.

    Args:
        covariances: Shape (d, d).
        centred: Rows that it was measured on, shape (n, d), their mean taken away.

    Source:
        Ledoit & Wolf 2004, section 3.2.
    """
    count, size = centred.shape
    level = covariances.trace() / size
    identity = torch.eye(size, dtype=covariances.dtype)
    spread = ((covariances - level * identity) ** 2).sum()
    fourth = (centred**2).sum(1).pow(2).sum() / count**2
    noise = (fourth - (covariances**2).sum() / count).clamp_min(0).minimum(spread)
    share = noise / spread.clamp_min(1e-300)
    shrunk: Tensor = share * level * identity + (1 - share) * covariances
    return shrunk


def whitening(covariances: Tensor) -> Tensor:
    """Return what makes a covariance the identity; directions without variance are dropped."""
    values, vectors = torch.linalg.eigh(covariances)
    varies = values > values.max() * 1e-10
    scale = torch.where(varies, values.clamp_min(1e-300).rsqrt(), torch.zeros(()).double())
    scaled: Tensor = vectors * scale
    return scaled


def _around(mean: Tensor, products: str, reference: Reference, rows: Tensor) -> Tensor:
    """Return the covariance around a mean, out of the summed products of that name."""
    count = float(reference.sums["count"])
    measured = reference.sums[products] / count - torch.outer(mean, mean)
    return _shrink_if_few(measured, rows.double() - mean, count)


def _shrink_if_few(covariances: Tensor, centred: Tensor, count: float) -> Tensor:
    few = count < ENOUGH * len(covariances)
    return shrink(covariances, centred) if few else covariances
