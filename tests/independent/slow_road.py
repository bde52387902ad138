"""ROAD's imputation, equation by equation."""

from __future__ import annotations

import numpy as np

NEIGHBOURS = {
    (down, across): 1 / 12 if down and across else 1 / 6
    for down in (-1, 0, 1)
    for across in (-1, 0, 1)
    if down or across
}


def slow_road(pixels, shown):
    """Return pixels (c, h, w) with those not shown solved for; no noise is added."""
    channels, height, width = pixels.shape
    hidden = [tuple(pixel) for pixel in np.argwhere(~shown)]
    unknowns = {pixel: index for index, pixel in enumerate(hidden)}
    system, right = np.zeros((len(hidden), len(hidden))), np.zeros((len(hidden), channels))
    for index, (row, column) in enumerate(hidden):
        for (down, across), weight in NEIGHBOURS.items():
            neighbour = (row + down, column + across)
            if not (0 <= neighbour[0] < height and 0 <= neighbour[1] < width):
                continue
            system[index, index] += weight
            if neighbour in unknowns:
                system[index, unknowns[neighbour]] -= weight
            else:
                right[index] += weight * pixels[:, neighbour[0], neighbour[1]]
    imputed = np.array(pixels, float)
    for (row, column), values in zip(hidden, np.linalg.solve(system, right), strict=True):
        imputed[:, row, column] = values
    return imputed
