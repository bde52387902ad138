"""How far an image's statistics lie from those that BatchNorm remembers of the training."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.ood._score import Fitted, Score
from diagnostics.models.features import Features
from diagnostics.schema.spec import Need


@Score(
    "BatchNorm deviation",
    source="Own measure on the statistics of Ioffe & Szegedy 2015, arXiv:1502.03167",
    blind="A stranger with the texture and contrast of the training images; and flat but known "
    "images look strange to it.",
    needs={Need.BATCHNORM},
    exportable=False,
)
def batchnorm_deviation(outputs: Features, fitted: Fitted) -> Float[Tensor, " n"]:
    """How unlike the training images' the values inside the network are.

    Args:
        outputs: What the network gave.
        fitted: Nothing.

    Returns:
        |mean − remembered mean| / remembered std + |log of the ratio of variances| of each
        channel, averaged over channels and layers; 0 or more. It is no probability.
    """
    return outputs.batchnorm.double()
