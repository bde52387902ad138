"""Maps that know nothing of the model, which a map must beat when parts of the image are covered.

Noise alone is no match on an object in the middle: nearly every map beats it there.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

COARSE = (3, 4, 5, 7)  # cells in a row of smooth noise


def centre(image: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 h w"]:
    """Return a blob in the middle: the nearer, the higher."""
    down, along = (torch.linspace(-1, 1, side) for side in image.shape[2:])
    return -(down[:, None].square() + along.square())[None]


def edges(image: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 h w"]:
    """Return how much an image changes at each pixel and around it."""
    values = image.detach().cpu()
    down = values.diff(dim=2, append=values[:, :, -1:]).abs().sum(1)
    along = values.diff(dim=3, append=values[..., -1:]).abs().sum(1)
    return avg_pool2d(down + along, 3, 1, 1)


def noise(
    count: int, size: tuple[int, int], generator: torch.Generator
) -> Float[Tensor, "count h w"]:
    """Return noise, smooth and of ever finer grain in turn."""
    maps = []
    for number in range(count):
        cells = (*COARSE, max(size))[number % (len(COARSE) + 1)]
        grid = torch.rand(1, 1, min(cells, size[0]), min(cells, size[1]), generator=generator)
        maps.append(interpolate(grid, size=size, mode="bicubic")[0, 0])
    return torch.stack(maps)
