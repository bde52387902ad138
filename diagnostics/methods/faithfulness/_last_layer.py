"""Does the last layer hold more than chance? Its weights against the same weights shuffled."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from diagnostics.errors import NotOfferedError
from diagnostics.methods.attribution import baseline_image
from diagnostics.methods.faithfulness._randomization import copied, head_weights, shuffle
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.head import capture_head
from diagnostics.schema.results.faithfulness import LastLayer

SHUFFLES = 199
ROUNDING = 1e-5  # of the largest logit
COVERED, NOISE, CELLS = 16, 8, 4  # probes with half of 4 × 4 cells covered, and of noise
PROBES = 1 + 2 + COVERED + 3 + 4 + NOISE


@torch.no_grad()
def last_layer(
    classifier: TorchClassifier, image: Tensor, seed: int, count: Callable[[int], None]
) -> LastLayer:
    """Return how much its logits vary over changed versions of an image, and if it is shuffled.

    A last layer that nobody trained has weights of which every order is as likely as any other,
    whatever the layers below it are: its logits then vary no more than those of a shuffled one.
    Training turns the weights towards what varies in the features.

    Args:
        classifier: The classifier, which stays as it is.
        image: Shape (1, c, h, w).
        seed: Of noise and shuffles.
        count: Called with the number of images of the one pass.
    """

    def missing(reason: str) -> LastLayer:
        return LastLayer(spread=0.0, shuffled=[], reason=reason)

    try:
        copy = copied(classifier)
        weights = head_weights(copy, image)
    except NotOfferedError as error:
        return missing(error.message)
    generator = torch.Generator().manual_seed(seed)
    images = probes(image, generator)
    with capture_head(copy.network, copy.spec.head) as inputs:
        copy.logits(images)
    count(len(images))
    if len(inputs) != 1:
        return missing("The last layer does not run once for all images.")
    logits = inputs[0].logits_of(inputs[0].features)
    own = _spread(logits)
    if not ROUNDING * float(logits.abs().max()) < own < torch.inf:
        return missing("The answer stays the same whatever the image is changed to.")
    shuffled = []
    for _ in range(SHUFFLES):
        for values in weights:
            shuffle(values, generator)
        shuffled.append(_spread(inputs[0].logits_of(inputs[0].features)))
    return LastLayer(spread=own, shuffled=shuffled, reason="")


def probes(image: Float[Tensor, "1 c h w"], generator: torch.Generator) -> Float[Tensor, "n c h w"]:
    """Return an image filled, half covered, mirrored and shifted, itself, and noise."""
    height, width = image.shape[2:]
    mean = baseline_image(image, "mean")
    cells = (torch.rand(COVERED, 1, CELLS, CELLS, generator=generator) < 0.5).float()
    visible = interpolate(cells, size=(height, width)).bool().to(image.device)
    shifts_px = ((height // 4, 2), (-(height // 4), 2), (width // 4, 3), (-(width // 4), 3))
    noise = torch.rand(NOISE, *image.shape[1:], generator=generator, dtype=image.dtype)
    return torch.cat(
        [
            image,
            mean,
            baseline_image(image, "blur"),
            torch.where(visible, image, mean),
            *(image.flip(axes) for axes in ((2,), (3,), (2, 3))),
            *(image.roll(shift, axis) for shift, axis in shifts_px),
            noise.to(image.device),
        ]
    )


def _spread(logits: Float[Tensor, "n k"]) -> float:
    """Return the standard deviation of logits over images, what all classes share left out."""
    centred = logits.double() - logits.double().mean(0)
    if logits.shape[1] > 1:
        centred = centred - centred.mean(1, keepdim=True)
    return float(centred.square().mean().sqrt())
