"""Integrated gradients."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.methods.attribution._batch_size import batch_size
from diagnostics.methods.attribution._gradient_sums import gradient_sums
from diagnostics.methods.attribution._heatmap import Heatmap, completeness_remarks
from diagnostics.methods.attribution._masking import baseline_image
from diagnostics.methods.registry import method
from diagnostics.models.batch_size import slices
from diagnostics.models.classifier import Classifier
from diagnostics.schema.options import Range
from diagnostics.schema.spec import Need

BLANK = "The image equals its baseline, so there is no way from one to the other."


@method(
    "Integrated gradients",
    kind="map",
    source="Sundararajan et al. 2017, arXiv:1703.01365",
    needs={Need.GRADIENTS},
    forward_passes=lambda _spec, steps, **__: steps + 2,
)
def integrated_gradients(
    classifier: Classifier,
    pixels: Float[Tensor, "n c h w"],
    target: Int[Tensor, " n"],
    *,
    steps: Annotated[int, Range(2, 500)] = 50,
    baseline: Literal["black", "grey", "white", "blur"] = "black",
) -> Heatmap:
    """How much each pixel adds to the logit on the way from a baseline image to this one.

    Args:
        classifier: The classifier explained.
        pixels: Images, values in [0, 1].
        target: Index of the class explained, one per image.
        steps: Gauss-Legendre points on the straight way from the baseline.
        baseline: Image that stands for "nothing"; a pixel that equals it gets zero.

    Returns:
        Signed: sums over all pixels to the logit of the image minus that of the baseline, but for
        the convergence delta; both are stated. Same height and width as the pixels.

    Source:
        Sundararajan et al. 2017, equations 1 and 3.
    """
    baselines = baseline_image(pixels, baseline)
    positions, weights = (values.to(pixels) for values in _gauss_legendre(steps))
    mean = torch.zeros_like(pixels)
    limit = batch_size(pixels)
    for part in slices(steps, limit):
        share, weight = positions[part, None, None, None], weights[part]
        for rows in slices(len(pixels), limit // len(weight)):
            points = torch.lerp(baselines[rows, None], pixels[rows, None], share)
            mean[rows] += gradient_sums(classifier, points, target[rows], weight)
    values = (mean * (pixels - baselines)).sum(1)
    with torch.no_grad():
        ends = torch.split(torch.cat([pixels, baselines]), limit)
        logits = torch.cat([classifier.logits(images) for images in ends])
    reached, started = logits.gather(1, target.repeat(2)[:, None]).double().view(2, -1)
    sums, rises = values.double().sum((1, 2)), reached - started
    return Heatmap(
        values,
        signed=True,
        blank=BLANK,
        remarks=completeness_remarks(sums, rises),
        rises=tuple(rises.tolist()),
    )


@cache
def _gauss_legendre(steps: int) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """Return points between 0 and 1, and weights that sum to one, in float64."""
    positions, weights = np.polynomial.legendre.leggauss(steps)
    return torch.from_numpy((1 + positions) / 2), torch.from_numpy(weights / 2)
