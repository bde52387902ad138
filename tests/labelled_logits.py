"""Logits and labels whose law is known."""

from __future__ import annotations

import numpy as np

from diagnostics.methods.calibration.calibration import measure


def drawn_from_softmax(n=300, k=5, sharpness=1.0, seed=0):
    """Logits whose softmax at sharpness 1 is exactly the law that the labels were drawn from."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (n, k))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (shares.cumsum(axis=1) < random.random((n, 1))).sum(axis=1)
    return logits * sharpness, labels


def constant_margin(n=1000, margin=10.0, accuracy=0.8, k=2):
    """The first class leads by the margin in every image and is right in `accuracy` of them."""
    logits = np.zeros((n, k))
    logits[:, 0] = margin
    labels = (np.arange(n) >= round(accuracy * n)).astype(int)
    return logits, labels


def measured(logits, labels, **options):
    """The calibration of images that are named after their rows."""
    return measure(logits, labels, [f"{row}.png" for row in range(len(logits))], **options)
