"""What stands where a pixel is hidden: a colour, a blur, noise, or what its neighbours suggest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from diagnostics.errors import OptionError
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.ensemble import EnsembleNetwork
from diagnostics.schema.sufficient_pixels import FILLS

BLUR_SHARE = 0.1  # of the shorter side: the blur's standard deviation
DIRECT, DIAGONAL = 1 / 6, 1 / 12  # weights of a pixel's neighbours, as ROAD has them
ROAD_NOISE = 0.01
SOLVED, MOST_ROUNDS = 1e-4, 600


class Fill:
    """Images, and what each pixel shows while it is hidden.

    Args:
        name: One of `sufficiency.FILLS`.
        pixels: Shape (n, c, h, w), values in [0, 1].
        hidden: What stands there instead, of the same shape.
    """

    def __init__(self, name: str, pixels: Tensor, hidden: Tensor) -> None:
        self.name, self.pixels, self.hidden = name, pixels, hidden

    def applied(self, shown: Tensor) -> Tensor:
        """Return the images with the other pixels hidden.

        Args:
            shown: Shape (n, h, w), bool.
        """
        return torch.where(shown[:, None], self.pixels, self.hidden)

    def change(self, _applied: Tensor) -> Tensor:
        """Return by how much hiding each pixel would change it, shape (n, c, h, w).

        Args:
            _applied: The images as they are now, some pixels hidden.
        """
        return self.hidden - self.pixels

    def rows(self, places: Sequence[int] | Tensor) -> Fill:
        """Return the same for some of the images, each as often as it is named."""
        taken = torch.as_tensor(places, device=self.pixels.device)
        return type(self)(self.name, self.pixels[taken], self.hidden[taken])


class RoadFill(Fill):
    """Each hidden pixel is the weighted mean of its eight neighbours, with a little noise.

    Rong et al. 2022, "A consistent and efficient evaluation strategy for attribution methods",
    arXiv:2202.00449: direct neighbours weigh 1/6, diagonal ones 1/12, and the noise has a standard
    deviation of 0.01. The linear system is solved by conjugate gradients. Where every pixel is
    hidden, nothing is left to go by, and the image's mean colour stands everywhere.

    Args:
        name: "road".
        pixels: Shape (n, c, h, w), values in [0, 1].
        hidden: The noise that is added to hidden pixels.
    """

    def __init__(self, name: str, pixels: Tensor, hidden: Tensor) -> None:
        super().__init__(name, pixels, hidden)
        self._before: Tensor | None = None  # the last solution: the next one begins there

    def applied(self, shown: Tensor) -> Tensor:
        """Return the images with the other pixels imputed from those shown."""
        visible = shown[:, None].to(self.pixels.dtype)
        first = self._before
        if first is None or first.shape != self.pixels.shape:
            first = self.pixels.mean((2, 3), keepdim=True).expand_as(self.pixels)
        smooth = imputed(self.pixels, visible, first)
        self._before = smooth
        return torch.where(shown[:, None], self.pixels, (smooth + self.hidden).clamp(0, 1))

    def change(self, applied: Tensor) -> Tensor:
        """Return the step to the mean of each pixel's neighbours, as the image is now."""
        return _around(applied) / _around(torch.ones_like(applied)) - self.pixels


def made(name: str, classifier: TorchClassifier, pixels: Tensor, seed: int) -> Fill:
    """Return a fill of images.

    Args:
        name: One of `sufficiency.FILLS`.
        classifier: Gives the mean colour that its preprocessing subtracts.
        pixels: Shape (n, c, h, w), values in [0, 1].
        seed: Seed of what is random; every image gets the same noise.

    Raises:
        OptionError: When there is no such fill.
    """
    if name not in FILLS:
        raise OptionError(f"There is no fill {name!r}; there are {', '.join(FILLS)}.")
    if name == "road":
        return RoadFill(name, pixels, ROAD_NOISE * _drawn(torch.randn, pixels, seed))
    if name == "noise":
        return Fill(name, pixels, _drawn(torch.rand, pixels, seed))
    if name == "blur":
        return Fill(name, pixels, blurred(pixels))
    colour = torch.zeros(pixels.shape[1])
    if name == "dataset_mean":
        colour = mean_colour(classifier).to(torch.float32)
    filled = colour.to(pixels)[:, None, None].expand_as(pixels)
    if name == "image_mean":
        filled = pixels.mean((2, 3), keepdim=True).expand_as(pixels)
    return Fill(name, pixels, filled.contiguous())


def mean_colour(classifier: TorchClassifier) -> Tensor:
    """Return the colour that is zero for the network, shape (c,), in [0, 1].

    Preprocessing subtracts the mean colour of the training images, so that this is the colour;
    of an ensemble it is the mean of its members' colours.
    """
    if isinstance(classifier.network, EnsembleNetwork):
        return torch.stack([mean_colour(one) for one in classifier.network.classifiers]).mean(0)
    settings = classifier.preprocessing
    mean = torch.tensor(settings.mean, dtype=torch.float64) / settings.value_range
    return (mean.flip(0) if settings.bgr else mean).clamp(0, 1)


def blurred(pixels: Tensor) -> Tensor:
    """Return images blurred by a Gaussian of a tenth of their shorter side."""
    sigma = BLUR_SHARE * min(pixels.shape[2:])
    for axis in (2, 3):
        reach = min(int(3 * sigma) + 1, pixels.shape[axis] - 1)
        at = torch.arange(-reach, reach + 1, dtype=pixels.dtype, device=pixels.device)
        weights = torch.exp(-0.5 * (at / sigma) ** 2)
        weights = (weights / weights.sum()).view(1, 1, *((-1, 1) if axis == 2 else (1, -1)))
        sides = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
        flat = pad(pixels.flatten(0, 1)[:, None], sides, mode="reflect")
        pixels = conv2d(flat, weights).view_as(pixels)
    return pixels


def imputed(pixels: Tensor, visible: Tensor, first: Tensor) -> Tensor:
    """Solve for pixels that equal the weighted mean of their neighbours.

    Args:
        pixels: Shape (n, c, h, w); those that are visible stay.
        visible: Shape (n, 1, h, w), 1 where a pixel is known and 0 where it is solved for.
        first: Where the search for the solution begins, of the pixels' shape.
    """
    hidden = 1 - visible
    weight = _around(torch.ones_like(pixels[:1, :1]))

    def system(values: Tensor) -> Tensor:
        return hidden * (weight * values - _around(values))

    known = pixels * visible
    wanted = hidden * _around(known)
    size = wanted.square().sum((2, 3), keepdim=True).sqrt()
    found = first * hidden
    rest = wanted - system(found)
    way = rest.clone()
    square = rest.square().sum((2, 3), keepdim=True)
    for _ in range(MOST_ROUNDS):
        open_ones = square.sqrt() > SOLVED * size
        if not bool(open_ones.any()):
            break
        turned = system(way)
        along = (way * turned).sum((2, 3), keepdim=True)
        length = torch.where(open_ones & (along > 0), square / along.clamp_min(1e-30), 0.0)
        found = found + length * way
        rest = rest - length * turned
        after = rest.square().sum((2, 3), keepdim=True)
        way = rest + torch.where(open_ones, after / square.clamp_min(1e-30), 0.0) * way
        square = after
    alone = visible.sum((2, 3), keepdim=True) == 0
    mean = pixels.mean((2, 3), keepdim=True)
    return torch.where(alone, mean.expand_as(pixels), known + found * hidden)


def _around(values: Tensor) -> Tensor:
    """Return the weighted sum of each pixel's neighbours; there are none beyond the edge."""
    kernel = values.new_tensor(
        [[DIAGONAL, DIRECT, DIAGONAL], [DIRECT, 0.0, DIRECT], [DIAGONAL, DIRECT, DIAGONAL]]
    )
    flat = values.flatten(0, 1)[:, None]
    return conv2d(flat, kernel[None, None], padding=1).view_as(values)


def _drawn(draw: object, pixels: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn: Tensor = draw(pixels.shape[1:], generator=generator)  # type: ignore[operator]
    return drawn.to(pixels).expand_as(pixels).contiguous()
