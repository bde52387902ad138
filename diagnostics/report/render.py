"""Arrays to pictures: exact pixels, one scale for magnitudes, one for signed values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plotly import colors

from diagnostics.data.image import eight_bit, encode_png
from diagnostics.text import number

Rgb = NDArray[np.uint8]

NOT_A_NUMBER = (255, 0, 160)
PADDING = ((128, 128, 128), (168, 168, 168))
GAP = 128
NEUTRAL = 247
COLOURS = 256  # of a scale; behind them stand two more
ZERO_INDEX, NOT_A_NUMBER_INDEX = COLOURS, COLOURS + 1
QUANTILE = 0.995  # of the magnitudes that a scale of most values covers
MIN_VALUES = 500  # fewer are covered completely


@dataclass(frozen=True)
class Cells:
    """Which parts of a picture mean what: equal cells, row by row, with gaps between them.

    Args:
        columns: How many cells stand in a row.
        height: Height of a cell in px, without the gap.
        width: Width of a cell in px, without the gap.
        gap: Px between two cells.
        labels: What each cell is, in their order; cells without a label hold nothing.
        numbers: Number of each cell, a channel's or unit's index, in the same order.
        pixels: Whether each px of a cell is a value by itself.
    """

    columns: int
    height: int
    width: int
    gap: int
    labels: tuple[str, ...]
    numbers: tuple[int, ...]
    pixels: bool


@dataclass(frozen=True)
class Picture:
    """A picture and the words that belong to it.

    Args:
        pixels: Shape (h, w, 3), 8 bit, at their true size.
        alt: What the picture shows, for those who cannot see it.
        caption: What stands under it.
        name: File name for the download, without extension.
        cells: What lies under the pointer; None where that needs no words.
        outline: Left, top, right and bottom in px of a part that a line is drawn around, beside the
            pixels; right and bottom lie outside of it.
    """

    pixels: Rgb
    alt: str
    caption: str
    name: str
    cells: Cells | None = None
    outline: tuple[int, int, int, int] | None = None

    @property
    def png(self) -> bytes:
        """The picture as lossless PNG, one file pixel for one picture pixel."""
        return encode_png(self.pixels)


def _table(anchors: list[str]) -> Rgb:
    """Return the 256 colours of a scale, then those of an exact zero and of what is no number."""
    rgb = np.array([colors.hex_to_rgb(anchor) for anchor in anchors], np.float64)
    position = np.linspace(0, len(rgb) - 1, COLOURS)
    channels = [np.interp(position, np.arange(len(rgb)), rgb[:, c]) for c in range(3)]
    return np.vstack([np.stack(channels, 1), [NEUTRAL] * 3, NOT_A_NUMBER]).astype(np.uint8)


def _hex(anchor: str) -> str:
    red, green, blue = (int(float(part)) for part in anchor[4:-1].split(","))
    return f"#{red:02x}{green:02x}{blue:02x}"


VIRIDIS = _table(list(colors.sequential.Viridis))
BLUE_WHITE_RED = _table([_hex(anchor) for anchor in reversed(colors.diverging.RdBu)])


def photo(values: NDArray[Any]) -> Rgb:
    """Return grey or colour values in [0, 1] as they are; outside values are clipped.

    Args:
        values: Shape (h, w, 1) or (h, w, 3).
    """
    finite = np.isfinite(values)
    is_whole = bool(finite.all())
    shown = eight_bit(values if is_whole else np.nan_to_num(values))
    shown = np.repeat(shown, 3, axis=2) if shown.shape[2] == 1 else shown
    if not is_whole:
        shown[~finite.all(axis=2)] = NOT_A_NUMBER
    return shown


@dataclass(frozen=True)
class Scale:
    """The colours of a map: viridis from 0 up, or blue, white and red around 0.

    Args:
        limit: Value at the bright or red end; the blue end is its negative.
        signed: Whether values lie on both sides of zero.
        clipped: How many values lie beyond the limit; they are drawn in the colours of the ends.
    """

    limit: float
    signed: bool
    clipped: int = 0

    @classmethod
    def covering(cls, *arrays: NDArray[Any], signed: bool | None = None) -> Scale:
        """Return the scale that just covers all the arrays' finite values.

        Args:
            arrays: Arrays to be compared by colour.
            signed: None takes the signed scale if any value lies below zero.
        """
        finite = [values for values in map(_finite, arrays) if values.size]
        lows = [float(values.min()) for values in finite]
        highs = [float(values.max()) for values in finite]
        limit = max((*highs, *(-low for low in lows), 0.0))
        return cls(limit, min(lows, default=0.0) < 0 if signed is None else signed)

    @classmethod
    def of_most(cls, *arrays: NDArray[Any], signed: bool | None = None) -> Scale:
        """Return the scale that covers all but the largest few of many values.

        A handful of pixels would otherwise leave the rest of a heatmap in the dark. Maps of few
        cells are covered completely.

        Args:
            arrays: Arrays to be compared by colour.
            signed: None takes the signed scale if any value lies below zero.
        """
        full = cls.covering(*arrays, signed=signed)
        sizes = np.concatenate([np.abs(_finite(array)).ravel() for array in arrays])
        limit = float(np.quantile(sizes, QUANTILE)) if sizes.size >= MIN_VALUES else 0.0
        if limit == 0 or limit == full.limit:
            return full
        return cls(limit, full.signed, int((sizes > limit).sum()))

    def at(self, values: NDArray[Any]) -> Scale:
        """Return this scale as it lies over one of several arrays."""
        clipped = int((np.abs(_finite(values)) > self.limit).sum())
        return Scale(self.limit, self.signed, clipped if self.clipped else 0)

    def colour(self, values: NDArray[Any]) -> Rgb:
        """Return an 8-bit colour for every value, NaN and infinity in the reserved colour."""
        finite = np.isfinite(values)
        share = np.where(finite, values, 0) / (self.limit or 1.0)
        if self.signed:
            index = _index((np.clip(share, -1, 1) + 1) / 2)
            index[share == 0] = ZERO_INDEX
        else:
            index = _index(np.clip(share, 0, 1))
        index[~finite] = NOT_A_NUMBER_INDEX
        table = BLUE_WHITE_RED if self.signed else VIRIDIS
        return table.take(index, axis=0)

    @property
    def ends(self) -> str:
        """The values at the two ends of the scale, and how many lie beyond them."""
        low = number(-self.limit) if self.signed and self.limit else "0"
        clipped = f", {self.clipped} values beyond the ends" if self.clipped else ""
        return f"colours {low} … {number(self.limit)}{clipped}"


def missing(pixels: Rgb, where: NDArray[np.bool_]) -> Rgb:
    """Return a picture with slanted lines where there is no value.

    Args:
        pixels: Shape (h, w, 3).
        where: Which have none, shape (h, w).
    """
    lines: Rgb = np.where(where[..., None], _hatch(*where.shape), pixels)
    return lines


def enlarge(pixels: Rgb, factor: int) -> Rgb:
    """Repeat every pixel `factor` times in both directions."""
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def stretch(pixels: Rgb, shape: tuple[int, ...]) -> Rgb:
    """Cover a larger grid with a smaller one, each target pixel taking the cell it lies in."""
    rows = np.arange(shape[0]) * pixels.shape[0] // shape[0]
    columns = np.arange(shape[1]) * pixels.shape[1] // shape[1]
    stretched: Rgb = pixels[np.ix_(rows, columns)]
    return stretched


def overlay(image: Rgb, heatmap: Rgb, opacity: float) -> Rgb:
    """Lay a coloured map over an image, 0 showing the image alone and 1 the map alone."""
    over = stretch(heatmap, image.shape)
    mixed = (1 - opacity) * image.astype(np.float64) + opacity * over
    blended: Rgb = np.rint(mixed).astype(np.uint8)
    return blended


def tiles(maps: NDArray[Any], scale: Scale | None, *, gap: int = 1) -> Rgb:
    """Lay maps out row by row in a near-square grid with a grey gap between them.

    Args:
        maps: Shape (c, h, w).
        scale: Colours of all the maps; None gives each map a scale of its own.
        gap: Width of the gap in px.
    """
    count, height, width = maps.shape
    columns = tile_columns(maps.shape)
    rows = math.ceil(count / columns)
    down, across = height + gap, width + gap
    sheet = np.full((rows * down - gap, columns * across - gap, 3), GAP, np.uint8)
    if empty := rows * columns - count:  # at the end of the last row
        top, left = (rows - 1) * down, (columns - empty) * across
        sheet[top:, left:] = _hatch(height, sheet.shape[1] - left, top + left)
    coloured = scale.colour(maps) if scale else [Scale.covering(one).colour(one) for one in maps]
    for index, one in enumerate(coloured):
        top, left = index // columns * down, index % columns * across
        sheet[top : top + height, left : left + width] = one
    return sheet


def tile_columns(shape: tuple[int, ...]) -> int:
    """Return how many maps of a shape (c, h, w) stand in a row, so that all make a square."""
    count, height, width = shape
    return min(max(math.ceil(math.sqrt(count * height / width)), 1), count)


def padded_square(vector: NDArray[Any]) -> NDArray[np.float64]:
    """Lay a vector out row by row in the smallest square that holds it, the rest NaN.

    Value i stands at row i // side, column i % side, with side = ceil(sqrt(n)).
    """
    side = math.ceil(math.sqrt(len(vector)))
    square = np.full(side * side, np.nan)
    square[: len(vector)] = vector
    return square.reshape(side, side)


def dense(vector: NDArray[Any], scale: Scale, cell_px: int = 8) -> Rgb:
    """Draw a vector as a padded square of cells; cells that hold no value are hatched."""
    count = len(vector)
    square = padded_square(vector)
    coloured = np.zeros((*square.shape, 3), np.uint8)
    coloured.reshape(-1, 3)[:count] = scale.colour(np.asarray(vector))
    sheet = enlarge(coloured, cell_px)
    empty = _cells((np.arange(square.size) >= count).reshape(square.shape), cell_px, cell_px)
    sheet[empty] = _hatch(*empty.shape)[empty]
    return sheet


def _cells(chosen: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """Blow each cell of a grid up to height × width px."""
    return chosen.repeat(height, 0).repeat(width, 1)


def _hatch(height: int, width: int, start: int = 0) -> Rgb:
    """Draw the slanted lines that stand where there is no value.

    Args:
        height: In px.
        width: In px.
        start: Row and column of the first px in the whole picture, added.
    """
    line = np.array(PADDING, np.uint8)[np.arange(start, start + width + 4) // 2 % 2]
    lines = np.empty((height, width, 3), np.uint8)
    for row in range(4):  # then it begins anew
        lines[row::4] = line[row : row + width]
    return lines


def _index(share: NDArray[Any]) -> NDArray[np.intp]:
    indices: NDArray[np.intp] = np.rint(share * (COLOURS - 1)).astype(np.intp)
    return indices


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    """Return the finite ones of some values, which are not copied where all are."""
    finite = np.isfinite(values)
    return values if finite.all() else values[finite]
