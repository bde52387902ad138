"""Occlusion, one window and one image at a time."""

import torch


def slow_occlusion(classifier, pixels, target, *, window, stride, value):
    """Return, for every pixel, the mean fall of the logit over the windows that cover it."""
    height, width = pixels.shape[2:]
    maps = []
    for image, index in zip(pixels, target, strict=True):
        whole = classifier.logits(image[None])[0, index]
        falls, counts = torch.zeros(height, width), torch.zeros(height, width)
        for top in range(0, height - window + 1, stride):
            for left in range(0, width - window + 1, stride):
                covered = image.clone()
                covered[:, top : top + window, left : left + window] = value
                place = (slice(top, top + window), slice(left, left + window))
                falls[place] += (whole - classifier.logits(covered[None])[0, index]).item()
                counts[place] += 1
        maps.append(falls / counts)
    return torch.stack(maps)
