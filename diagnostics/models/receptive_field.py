"""Receptive fields: which part of the input can reach one cell of a layer."""

from __future__ import annotations

import torch
from torch import Tensor

from diagnostics.errors import NotOfferedError, OptionError
from diagnostics.models.classifier import Classifier
from diagnostics.models.layers import as_maps
from diagnostics.schema.results.inspection import ReceptiveField


def receptive_field(
    classifier: Classifier, layer: str, row: int, column: int
) -> ReceptiveField | None:
    """Return the part of the input that can reach one cell, whatever the image shows.

    A pixel that is not a number makes everything that it reaches not a number, through zeros,
    ReLUs and poolings alike. Each edge is found by halving.

    Args:
        classifier: The classifier; only its wiring matters.
        layer: A layer with maps, or with tokens on a grid.
        row: Of the cell.
        column: Of the cell.

    Returns:
        The smallest rectangle, in px of what the network receives, that holds all pixels that can
        reach the cell; None when no pixel does.

    Raises:
        NotOfferedError: When the layer has no cells.
        OptionError: When the layer or the cell does not exist.
    """
    info, size = classifier.spec.layer(layer), (classifier.spec.height, classifier.spec.width)
    if info is None:
        raise OptionError(f"The model has no layer {layer!r}.")

    def reached(pixels: Tensor) -> list[bool]:
        values = classifier.trace(pixels, (layer,)).activations.get(layer)
        maps = None if values is None else as_maps(values.detach(), info, size)
        if maps is None:
            raise NotOfferedError(f"{layer} has no cells that belong to places of the image.")
        height, width = maps.shape[2:]
        if not (0 <= row < height and 0 <= column < width):
            raise OptionError(
                f"{layer} has {height} × {width} cells; got row {row}, column {column}."
            )
        return maps[:, :, row, column].isnan().any(1).tolist()

    blank = torch.full((1, classifier.spec.channels, *size), 0.5)
    if not reached(torch.full_like(blank, torch.nan))[0]:
        return None
    # For each edge: `low` px from its side do not reach the cell, `high` px do.
    low, high = [0] * 4, [size[0], size[0], size[1], size[1]]
    while any(far - near > 1 for near, far in zip(low, high, strict=True)):
        middle = [(near + far) // 2 for near, far in zip(low, high, strict=True)]
        probes = blank.repeat(4, 1, 1, 1)
        probes[0, :, : middle[0]] = torch.nan
        probes[1, :, size[0] - middle[1] :] = torch.nan
        probes[2, :, :, : middle[2]] = torch.nan
        probes[3, :, :, size[1] - middle[3] :] = torch.nan
        for edge, reaches in enumerate(reached(probes)):
            if reaches:
                high[edge] = middle[edge]
            else:
                low[edge] = middle[edge]
    return ReceptiveField(
        top=high[0] - 1,
        bottom=size[0] - high[1] + 1,
        left=high[2] - 1,
        right=size[1] - high[3] + 1,
    )
