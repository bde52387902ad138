"""The defocus of ImageNet-C in plain loops, as hendrycks/robustness makes it with OpenCV."""

from __future__ import annotations

import math

import numpy as np

DEFOCUS = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))  # radius and blur of the disk


def mirrored(index, length):
    """Return where an index beyond an edge is reflected to, the edge itself not repeated."""
    while not 0 <= index < length:
        index = -index if index < 0 else 2 * (length - 1) - index
    return index


def defocus_kernel(radius, alias_blur):
    """Return the disk: first scaled to a sum of one, then smoothed, and not scaled again."""
    reach, taps = (8, 1) if radius <= 8 else (radius, 2)
    side = 2 * reach + 1
    disk = [[0.0] * side for _ in range(side)]
    for row in range(side):
        for column in range(side):
            disk[row][column] = float((row - reach) ** 2 + (column - reach) ** 2 <= radius**2)
    total = sum(map(sum, disk))
    bell = [math.exp(-((tap / alias_blur) ** 2) / 2) for tap in range(-taps, taps + 1)]
    kernel = np.zeros((side, side))
    for row in range(side):
        for column in range(side):
            for down in range(-taps, taps + 1):
                for across in range(-taps, taps + 1):
                    weight = bell[down + taps] * bell[across + taps] / sum(bell) ** 2
                    there = disk[mirrored(row + down, side)][mirrored(column + across, side)]
                    kernel[row, column] += weight * there / total
    return kernel


def defocus(values, severity):
    """Return an image of shape (h, w, c) in [0, 1] out of focus at a severity from 1 to 5."""
    kernel = defocus_kernel(*DEFOCUS[severity - 1])
    reach, (height, width, _) = len(kernel) // 2, values.shape
    result = np.zeros(values.shape)
    for row in range(height):
        for column in range(width):
            for down in range(-reach, reach + 1):
                for across in range(-reach, reach + 1):
                    there = values[mirrored(row + down, height), mirrored(column + across, width)]
                    result[row, column] += kernel[down + reach, across + reach] * there
    return result.clip(0, 1)
