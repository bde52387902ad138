"""Integrated gradients."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.methods.attribution._batch_size import batch_size
from diagnostics.methods.attribution._heatmap import Heatmap, completeness_remarks
from diagnostics.methods.attribution._masking import baseline_image
from diagnostics.methods.registry import method
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
        Sundararajan et al. 2017, equations 1 and 3; computed by captum.
    """
    import captum.attr  # brings matplotlib, which every worker would wait for at its start

    explainer = captum.attr.IntegratedGradients(classifier.logits)
    maps, sums, rises = [], [], []
    for row, image in enumerate(torch.split(pixels, 1)):
        attribution, delta = explainer.attribute(
            image,
            baseline_image(image, baseline),
            target[row : row + 1],
            n_steps=steps,
            internal_batch_size=batch_size(pixels),
            return_convergence_delta=True,
        )
        maps.append(attribution.sum(1)[0].detach())
        sums.append(maps[-1].double().sum())
        rises.append(sums[-1] - float(delta))
    return Heatmap(
        torch.stack(maps),
        signed=True,
        blank=BLANK,
        remarks=completeness_remarks(sums, rises),
        rises=tuple(float(rise) for rise in rises),
    )
