"""The one-pixel map, one changed image at a time."""

import torch


def slow_one_pixel(classifier, image, levels):
    """Return, for every pixel, which share of the levels changes the first class.

    Args:
        classifier: The classifier asked.
        image: Shape (c, h, w).
        levels: How many, evenly from 0 to 1.
    """
    first = classifier.logits(image[None])[0].argmax().item()
    shares = torch.zeros(image.shape[1:])
    for row in range(image.shape[1]):
        for column in range(image.shape[2]):
            hits = 0
            for level in range(levels):
                changed = image.clone()
                for channel in range(image.shape[0]):
                    changed[channel, row, column] = level / (levels - 1)
                hits += classifier.logits(changed[None])[0].argmax().item() != first
            shares[row, column] = hits / levels
    return shares
