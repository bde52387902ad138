"""Preprocessing once more, slowly, a pixel at a time."""

from __future__ import annotations

import math


def blur(rows, sigma):
    """Gaussian blur of a grey image as nested lists, edges mirrored."""
    radius = max(1, int(4 * sigma + 0.5))
    height, width = len(rows), len(rows[0])
    blurred = []
    for y in range(height):
        line = []
        for x in range(width):
            total = weight = 0.0
            for dy in range(-radius, radius + 1):
                for dx in range(-radius, radius + 1):
                    share = math.exp(-(dx * dx + dy * dy) / (2 * sigma * sigma))
                    total += share * rows[_mirror(y + dy, height)][_mirror(x + dx, width)]
                    weight += share
            line.append(total / weight)
        blurred.append(line)
    return blurred


def bilinear(rows, height, width):
    """Sample a grey image at the centres of the new pixels, without widening the kernel."""
    tall, wide = len(rows), len(rows[0])
    sampled = []
    for y in range(height):
        at_y = (y + 0.5) * tall / height - 0.5
        top = math.floor(at_y)
        line = []
        for x in range(width):
            at_x = (x + 0.5) * wide / width - 0.5
            left = math.floor(at_x)
            total = 0.0
            for dy in (0, 1):
                for dx in (0, 1):
                    share = (1 - abs(at_y - top - dy)) * (1 - abs(at_x - left - dx))
                    row = min(max(top + dy, 0), tall - 1)
                    total += share * rows[row][min(max(left + dx, 0), wide - 1)]
            line.append(total)
        sampled.append(line)
    return sampled


def _mirror(index, length):
    while not 0 <= index < length:
        index = -1 - index if index < 0 else 2 * length - 1 - index
    return index
