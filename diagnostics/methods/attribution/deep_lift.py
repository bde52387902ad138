"""DeepLift."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.errors import NotOfferedError
from diagnostics.methods.attribution._backward_rules import rescaled
from diagnostics.methods.attribution._heatmap import Heatmap, completeness_remarks
from diagnostics.methods.attribution._masking import baseline_image
from diagnostics.methods.registry import method
from diagnostics.models.classifier import Classifier
from diagnostics.schema.spec import Need

MAX_MISSING = 0.05  # of the rise of the logit, beyond which the map is refused
ROUNDING = 1e-4  # logits, or this share of the logits themselves: no more than rounding
BLANK = (
    "The image equals its baseline, or its map misses more than 5 % of the rise of the logit and "
    "is not shown."
)


@method(
    "DeepLift",
    kind="map",
    source="Shrikumar et al. 2017, arXiv:1704.02685",
    needs={Need.GRADIENTS},
    forward_passes=lambda _spec, **__: 2,
)
def deep_lift(
    classifier: Classifier,
    pixels: Float[Tensor, "n c h w"],
    target: Int[Tensor, " n"],
    *,
    baseline: Literal["black", "grey", "white", "blur"] = "black",
) -> Heatmap:
    """How much each pixel adds to the logit's rise over a baseline, by ratios of changes.

    Args:
        classifier: The classifier explained.
        pixels: Images, values in [0, 1].
        target: Index of the class explained, one per image.
        baseline: Image that stands for "nothing"; a pixel that equals it gets zero.

    Returns:
        Signed: sums over all pixels to the logit of the image minus that of the baseline; both are
        stated. Same height and width as the pixels.

    Raises:
        NotOfferedError: When the network has an operation without a rule, or no map adds up.

    Source:
        Shrikumar et al. 2017, section 3.5.1, the rescale rule; products by the mean of the other
        factor, Lundberg & Lee 2017, arXiv:1705.07874.
    """
    pixels = pixels.detach().requires_grad_()
    baselines = baseline_image(pixels.detach(), baseline)
    with rescaled(classifier.spec, len(pixels)):
        logits = classifier.logits(torch.cat([pixels, baselines]))
    explained = logits.gather(1, torch.cat([target, target])[:, None])[:, 0]
    (multipliers,) = torch.autograd.grad(explained[: len(pixels)].sum(), pixels)
    values = (multipliers * (pixels.detach() - baselines)).sum(1)
    of_images, of_baselines = explained.detach().double().chunk(2)
    rises, sums = of_images - of_baselines, values.double().sum((1, 2))
    tolerance = MAX_MISSING * rises.abs() + ROUNDING * logits.detach().abs().amax().clamp_min(1)
    wrong = ~((sums - rises).abs() <= tolerance)
    if wrong.all():
        raise NotOfferedError(
            f"DeepLift's map sums to {sums[0]:.3g} where the logit rises by {rises[0]:.3g}: it is "
            "wrong for this network, which does something that the rescale rule does not cover."
        )
    return Heatmap(
        values.masked_fill(wrong[:, None, None], 0),
        signed=True,
        blank=BLANK,
        remarks=completeness_remarks(sums, rises),
        rises=tuple(rises.tolist()),
    )
