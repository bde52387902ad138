"""What stands where a pixel is hidden: a colour, a blur, noise, or what its neighbours suggest.

Every function takes pixels of shape (n, c, h, w) with values in [0, 1] and returns the same shape.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, pad

from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.ensemble import EnsembleNetwork
from diagnostics.schema.preprocessing import Preprocessing

DIRECT, DIAGONAL = 1 / 6, 1 / 12  # weights of a pixel's neighbours, as ROAD has them
TOLERANCE, MAX_ITERATIONS = 1e-4, 600  # of ROAD's conjugate gradients; relative to the right side
TINY = 1e-30


def constant(pixels: Float[Tensor, "n c h w"], value: float) -> Float[Tensor, "n c h w"]:
    """Return one value everywhere: 0 is black, 0.5 grey, 1 white."""
    return torch.full_like(pixels, value)


def image_mean(pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Return each image's own mean colour everywhere."""
    return pixels.mean((2, 3), keepdim=True).expand_as(pixels)


def dataset_mean(
    pixels: Float[Tensor, "n c h w"], classifier: TorchClassifier
) -> Float[Tensor, "n c h w"]:
    """Return the mean colour of the classifier's training images everywhere."""
    return mean_colour(classifier).to(pixels)[:, None, None].expand_as(pixels)


def gaussian_blur(
    pixels: Float[Tensor, "n c h w"], sigma_px: float, radius_px: int
) -> Float[Tensor, "n c h w"]:
    """Return the images blurred by a Gaussian, the edges mirrored.

    Args:
        pixels: The images.
        sigma_px: Standard deviation.
        radius_px: Where the Gaussian is cut off; at most the image's side less one is taken.
    """
    for axis in (2, 3):
        radius = min(radius_px, pixels.shape[axis] - 1)
        offsets = torch.arange(-radius, radius + 1, dtype=pixels.dtype, device=pixels.device)
        weights = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
        weights = (weights / weights.sum()).view(1, 1, *((-1, 1) if axis == 2 else (1, -1)))
        margins = (0, 0, radius, radius) if axis == 2 else (radius, radius, 0, 0)
        padded = pad(pixels.flatten(0, 1)[:, None], margins, mode="reflect")
        pixels = conv2d(padded, weights).view_as(pixels)
    return pixels


def uniform_noise(pixels: Float[Tensor, "n c h w"], seed: int) -> Float[Tensor, "n c h w"]:
    """Return uniform noise in [0, 1], the same for every image."""
    generator = torch.Generator().manual_seed(seed)
    return _repeated(torch.rand(pixels.shape[1:], generator=generator), pixels)


def normal_noise(
    pixels: Float[Tensor, "n c h w"], sigma: float, seed: int
) -> Float[Tensor, "n c h w"]:
    """Return Gaussian noise around zero, to be added to images; the same for every image."""
    generator = torch.Generator().manual_seed(seed)
    return _repeated(sigma * torch.randn(pixels.shape[1:], generator=generator), pixels)


def road(
    pixels: Float[Tensor, "n c h w"],
    visible: Float[Tensor, "n 1 h w"],
    initial: Float[Tensor, "n c h w"],
) -> Float[Tensor, "n c h w"]:
    """Return the images with every hidden pixel the weighted mean of its eight neighbours.

    The linear system is solved by conjugate gradients. Where every pixel is hidden, nothing is left
    to go by, and the image's mean colour stands everywhere.

    Source: Rong et al. 2022, "A consistent and efficient evaluation strategy for attribution
    methods", arXiv:2202.00449: direct neighbours weigh 1/6, diagonal ones 1/12. The noise that the
    paper adds is left to the caller.

    Args:
        pixels: The images; pixels that are visible stay.
        visible: 1 where a pixel is known and 0 where it is solved for.
        initial: Where the iteration begins.
    """
    hidden = 1 - visible
    weight = neighbour_sum(torch.ones_like(pixels[:1, :1]))

    def system(values: Tensor) -> Tensor:
        return hidden * (weight * values - neighbour_sum(values))

    known = pixels * visible
    right_side = hidden * neighbour_sum(known)
    norm = right_side.square().sum((2, 3), keepdim=True).sqrt()
    solution = initial * hidden
    residual = right_side - system(solution)
    direction = residual.clone()
    square = residual.square().sum((2, 3), keepdim=True)
    for _ in range(MAX_ITERATIONS):
        unsolved = square.sqrt() > TOLERANCE * norm
        if not bool(unsolved.any()):
            break
        applied = system(direction)
        curvature = (direction * applied).sum((2, 3), keepdim=True)
        length = torch.where(unsolved & (curvature > 0), square / curvature.clamp_min(TINY), 0.0)
        solution = solution + length * direction
        residual = residual - length * applied
        next_square = residual.square().sum((2, 3), keepdim=True)
        ratio = torch.where(unsolved, next_square / square.clamp_min(TINY), 0.0)
        direction = residual + ratio * direction
        square = next_square
    nothing_visible = visible.sum((2, 3), keepdim=True) == 0
    return torch.where(nothing_visible, image_mean(pixels), known + solution * hidden)


def neighbour_sum(values: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Return the sum of each pixel's neighbours, as ROAD weighs them; none lie beyond the edge."""
    kernel = values.new_tensor(
        [[DIAGONAL, DIRECT, DIAGONAL], [DIRECT, 0.0, DIRECT], [DIAGONAL, DIRECT, DIAGONAL]]
    )
    flat = values.flatten(0, 1)[:, None]
    return conv2d(flat, kernel[None, None], padding=1).view_as(values)


def mean_colour(classifier: TorchClassifier) -> Float[Tensor, " c"]:
    """Return the mean colour of the training images, which is zero for the network.

    Of an ensemble it is the mean of its members' colours.
    """
    if isinstance(classifier.network, EnsembleNetwork):
        return torch.stack([mean_colour(one) for one in classifier.network.classifiers]).mean(0)
    return subtracted_colour(classifier.preprocessing)


def subtracted_colour(preprocessing: Preprocessing) -> Float[Tensor, " c"]:
    """Return the colour that a preprocessing subtracts, in the pixels' channel order, float64."""
    mean = torch.tensor(preprocessing.mean, dtype=torch.float64) / preprocessing.value_range
    colour = mean.flip(0) if preprocessing.bgr else mean
    return colour.clamp(0, 1)


def _repeated(drawn: Float[Tensor, "c h w"], pixels: Tensor) -> Float[Tensor, "n c h w"]:
    return drawn.to(pixels).expand_as(pixels).contiguous()
