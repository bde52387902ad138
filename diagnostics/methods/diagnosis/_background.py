"""What lies behind the object: pixels like the border's that are connected with it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from diagnostics.methods.diagnosis._regions import unit

LIKE, SPREAD = 0.12, 2.5  # how unlike the border a pixel may be: at least, and in deviations of it
ENOUGH, TOO_MUCH = 0.15, 0.985  # of the image
AXES = 0.38  # of height and width, of the ellipse that stands for the object where nothing is found
INNER = 3  # units from the border at which the palette is taken too


def background(pixels: Tensor) -> Tensor:
    """Return which pixels of an image lie behind its object, shape (h, w)."""
    from scipy.ndimage import binary_closing, gaussian_filter, label

    values = pixels.double().numpy()
    height, width = values.shape[1:]
    smooth = np.stack([gaussian_filter(one, 0.7, mode="nearest") for one in values])
    depth = unit(height, width)
    border = np.ones((height, width), bool)
    border[depth:-depth, depth:-depth] = False
    palette = np.median(smooth[:, border], 1)
    distance = np.abs(smooth - palette[:, None, None]).max(0)
    spread = float(np.median(np.abs(distance[border] - np.median(distance[border]))))
    like = distance <= max(LIKE, float(np.median(distance[border])) + SPREAD * 1.48 * spread)
    parts, _ = label(like)
    touching = np.setdiff1d(np.unique(parts[border]), [0])
    mask = np.isin(parts, touching)
    inside = binary_closing(~mask, iterations=depth)
    mask &= ~inside
    if not ENOUGH <= mask.mean() <= TOO_MUCH:
        mask = ~_ellipse(height, width)
    return torch.from_numpy(mask)


def _ellipse(height: int, width: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    rows, columns = np.mgrid[0:height, 0:width]
    y = (rows - (height - 1) / 2) / (AXES * height)
    x = (columns - (width - 1) / 2) / (AXES * width)
    return x**2 + y**2 <= 1  # type: ignore[no-any-return]


def _continued(pixels: Tensor, mask: Tensor) -> Tensor:
    """Return an image whose object is covered with pixels of its background, at random."""
    if not bool(mask.any()):
        return pixels
    behind = pixels[:, mask]
    generator = torch.Generator().manual_seed(0)
    covered = pixels.clone()
    hidden = int((~mask).sum())
    chosen = torch.randint(0, behind.shape[1], (hidden,), generator=generator)
    covered[:, ~mask] = behind[:, chosen]
    return covered


def give_background(images: Tensor, source: Tensor) -> Tensor:
    """Return images with their objects before the background of another."""
    behind = _continued(source, background(source))
    masks = torch.stack([background(one) for one in images])[:, None]
    return torch.where(masks, behind, images)


def take_background(image: Tensor, good: Tensor) -> Tensor:
    """Return an image before the median background of good images."""
    behind = good.median(0).values
    return torch.where(background(image), behind, image)
