"""SmoothGrad."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.methods.attribution._batch_size import batch_size
from diagnostics.methods.attribution._gradient_sums import gradient_sums
from diagnostics.methods.attribution._heatmap import Heatmap
from diagnostics.methods.registry import method
from diagnostics.models.batch_size import slices
from diagnostics.models.classifier import Classifier
from diagnostics.schema.options import Range
from diagnostics.schema.spec import Need


@method(
    "SmoothGrad",
    kind="map",
    source="Smilkov et al. 2017, arXiv:1706.03825",
    needs={Need.GRADIENTS},
    forward_passes=lambda _spec, samples, **__: samples,
)
def smooth_grad(
    classifier: Classifier,
    pixels: Float[Tensor, "n c h w"],
    target: Int[Tensor, " n"],
    *,
    samples: Annotated[int, Range(1, 500)] = 25,
    noise: Annotated[float, Range(0.0, 1.0)] = 0.15,
    signed: bool = False,
) -> Heatmap:
    """Where a small change of a pixel changes the logit most, averaged over noisy copies.

    Args:
        classifier: The classifier explained.
        pixels: Images, values in [0, 1].
        target: Index of the class explained, one per image.
        samples: How many noisy copies of each image are averaged.
        noise: Standard deviation of the noise, as a share of the range from black to white.
        signed: Show the sum over channels, with its sign, instead of the largest magnitude.

    Returns:
        Like gradient saliency, of the mean gradient. Every image gets the same noise.

    Source:
        Smilkov et al. 2017, section 3.
    """
    generator = torch.Generator().manual_seed(torch.initial_seed())
    total = torch.zeros_like(pixels)
    limit = batch_size(pixels)
    for part in slices(samples, limit):
        drawn = pixels.new_empty((part.stop - part.start, *pixels.shape[1:]), device="cpu")
        for one in drawn:  # one by one, so that the noise does not depend on the batch size
            one.normal_(0, noise, generator=generator)
        drawn = drawn.to(pixels.device)
        for rows in slices(len(pixels), limit // len(drawn)):
            noisy = pixels[rows, None] + drawn
            total[rows] += gradient_sums(classifier, noisy, target[rows])
    mean = total / samples
    return Heatmap(mean.sum(1) if signed else mean.abs().amax(1), signed)
