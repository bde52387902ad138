"""Gradients of several variants of each image, summed."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.models.classifier import Classifier


def gradient_sums(
    classifier: Classifier,
    variants: Float[Tensor, "n k c h w"],
    target: Int[Tensor, " n"],
    weights: Float[Tensor, " k"] | None = None,
) -> Float[Tensor, "n c h w"]:
    """Return the sum of the gradients of the target logit at an image's variants.

    Args:
        classifier: The classifier.
        variants: k of each image; all go through the network at once.
        target: Index of the class, one per image.
        weights: Of the variants; None weighs all by one.
    """
    images, count = variants.shape[:2]
    pixels = variants.detach().flatten(0, 1).requires_grad_()
    with torch.enable_grad():
        logits = classifier.logits(pixels)
        logit = logits.gather(1, target.repeat_interleave(count)[:, None])[:, 0]
        score = logit.sum() if weights is None else logit @ weights.repeat(images)
        (gradient,) = torch.autograd.grad(score, pixels)
    return gradient.reshape(variants.shape).sum(1)
