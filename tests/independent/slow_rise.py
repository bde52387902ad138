"""RISE, one mask after the other: each made large, then cut out."""

import torch
from torch.nn import functional


def slow_rise(classifier, pixels, target, *, masks, cells, keep, value):
    """Return, for every pixel, the mean logit weighed by how far masks keep it, minus the mean."""
    height, width = pixels.shape[2:]
    maps = []
    for image, index in zip(pixels, target, strict=True):
        generator = torch.Generator().manual_seed(torch.initial_seed())
        grids = (torch.rand(masks, cells, cells, generator=generator) < keep).float()
        down, along = (-(-side // cells) for side in (height, width))
        tops, lefts = (torch.randint(px, (masks,), generator=generator) for px in (down, along))
        weighed, kept, total = torch.zeros(height, width), torch.zeros(height, width), 0.0
        for grid, top, left in zip(grids, tops, lefts, strict=True):
            size = ((cells + 1) * down, (cells + 1) * along)
            large = functional.interpolate(grid[None, None], size, mode="bilinear")[0, 0]
            mask = large[top : top + height, left : left + width]
            covered = image * mask + value * (1 - mask)
            logit = float(classifier.logits(covered[None])[0, index])
            weighed, kept, total = weighed + logit * mask, kept + mask, total + logit
        maps.append(weighed / kept - total / masks)
    return torch.stack(maps)
