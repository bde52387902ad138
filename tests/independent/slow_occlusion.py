"""Occlusion, one window and one image at a time."""

import torch


def slow_occlusion(classifier, pixels, target, *, window, stride, value):
    """Return, for every pixel, the mean fall of the logit over the windows that cover it."""
    height, width = pixels.shape[2:]
    maps = []
    for image, index in zip(pixels, target, strict=True):
        complete = classifier.logits(image[None])[0, index]
        falls, counts = torch.zeros(height, width), torch.zeros(height, width)
        tops, lefts = (range(0, max(side - window, 0) + stride, stride) for side in (height, width))
        for top in tops:
            for left in lefts:
                covered = image.clone()
                covered[:, top : top + window, left : left + window] = value
                area = (slice(top, top + window), slice(left, left + window))
                falls[area] += (complete - classifier.logits(covered[None])[0, index]).item()
                counts[area] += 1
        maps.append(falls / counts)
    return torch.stack(maps)
