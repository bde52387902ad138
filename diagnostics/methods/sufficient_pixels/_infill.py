"""Images with some pixels hidden, and what these show instead."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diagnostics.errors import OptionError
from diagnostics.models import infill
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.sufficient_pixels import FILLS

BLUR_SHARE = 0.1  # of the shorter side: the blur's standard deviation
ROAD_NOISE = 0.01  # standard deviation


class Infill:
    """Images, and what each pixel shows while it is hidden.

    Args:
        name: One of `schema.sufficient_pixels.FILLS`.
        pixels: Shape (n, c, h, w), values in [0, 1].
        baseline: What stands there instead, of the same shape.
    """

    def __init__(self, name: str, pixels: Tensor, baseline: Tensor) -> None:
        self.name, self.pixels, self.baseline = name, pixels, baseline

    def apply(self, shown: Bool[Tensor, "n h w"]) -> Float[Tensor, "n c h w"]:
        """Return the images with the pixels hidden that are not shown."""
        return torch.where(shown[:, None], self.pixels, self.baseline)

    def change(self, masked: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Return by how much hiding each pixel would change it.

        Args:
            masked: The images as they are now, some pixels hidden.
        """
        del masked  # what a hidden pixel shows does not depend on the others
        return self.baseline - self.pixels

    def select(self, rows: Sequence[int] | Tensor) -> Infill:
        """Return the same for some of the images, each as often as its row is named."""
        index = torch.as_tensor(rows, device=self.pixels.device)
        return type(self)(self.name, self.pixels[index], self.baseline[index])


class RoadInfill(Infill):
    """Each hidden pixel is the weighted mean of its eight neighbours, with a little noise.

    Args:
        name: "road".
        pixels: Shape (n, c, h, w), values in [0, 1].
        baseline: The noise that is added to hidden pixels.
    """

    def __init__(self, name: str, pixels: Tensor, baseline: Tensor) -> None:
        super().__init__(name, pixels, baseline)
        self._solution: Tensor | None = None  # of the last mask: the next one begins there

    def apply(self, shown: Bool[Tensor, "n h w"]) -> Float[Tensor, "n c h w"]:
        """Return the images with the other pixels imputed from those shown."""
        initial = self._solution
        if initial is None or initial.shape != self.pixels.shape:
            initial = infill.image_mean(self.pixels)
        visible = shown[:, None].to(self.pixels.dtype)
        self._solution = infill.road(self.pixels, visible, initial)
        noisy = (self._solution + self.baseline).clamp(0, 1)
        return torch.where(shown[:, None], self.pixels, noisy)

    def change(self, masked: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Return the step to the mean of each pixel's neighbours, as the image is now."""
        weights = infill.neighbour_sum(torch.ones_like(masked))
        return infill.neighbour_sum(masked) / weights - self.pixels


def make_infill(
    name: str, classifier: TorchClassifier, pixels: Float[Tensor, "n c h w"], seed: int
) -> Infill:
    """Return an infill of images.

    Args:
        name: One of `schema.sufficient_pixels.FILLS`.
        classifier: Gives the mean colour that its preprocessing subtracts.
        pixels: Values in [0, 1].
        seed: Seed of what is random; every image gets the same noise.

    Raises:
        OptionError: When there is no such infill.
    """
    if name == "road":
        return RoadInfill(name, pixels, infill.normal_noise(pixels, ROAD_NOISE, seed))
    return Infill(name, pixels, _baseline(name, classifier, pixels, seed))


def _baseline(name: str, classifier: TorchClassifier, pixels: Tensor, seed: int) -> Tensor:
    match name:
        case "dataset_mean":
            return infill.dataset_mean(pixels, classifier)
        case "black":
            return infill.constant(pixels, 0.0)
        case "image_mean":
            return infill.image_mean(pixels)
        case "blur":
            sigma_px = BLUR_SHARE * min(pixels.shape[2:])
            return infill.gaussian_blur(pixels, sigma_px, int(3 * sigma_px) + 1)
        case "noise":
            return infill.uniform_noise(pixels, seed)
    raise OptionError(f"There is no fill {name!r}; there are {', '.join(FILLS)}.")
