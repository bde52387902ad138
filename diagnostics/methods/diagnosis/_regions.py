"""Regions of an image that may decide an answer: parts, strips across, and rings along the border.

At 28 px they are squares of 4, 6, 8 and 12 px that overlap by half, strips of 4 px and rings of 1
to 4 px; at other sizes they scale. Any square of up to 3, 4, 5 and 7 px lies whole in one of the
squares, so that trimming finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from diagnostics.schema.results.diagnosis import Box

Kind: TypeAlias = Literal["part", "strip", "ring"]
UNITS = 28  # of the shorter side, in which sizes are given
SQUARES = (4, 6, 8, 12)
STRIP, RINGS = 4, (1, 2, 3, 4)
EDGE = 2  # units from the border within which a part lies at it


@dataclass(frozen=True)
class Region:
    """Pixels that are changed together.

    Args:
        kind: What shape it has.
        left: First column.
        top: First row.
        right: The column after the last.
        bottom: The row after the last.
        ring: Width of the ring inside its box in px; 0 takes the whole box.
    """

    kind: Kind
    left: int
    top: int
    right: int
    bottom: int
    ring: int = 0

    @property
    def box(self) -> Box:
        """Left, top, right, bottom."""
        return [self.left, self.top, self.right, self.bottom]

    @property
    def pixels(self) -> int:
        """How many pixels it has."""
        width, height = self.right - self.left, self.bottom - self.top
        inside = max(0, width - 2 * self.ring) * max(0, height - 2 * self.ring)
        return width * height - (inside if self.ring else 0)

    def share(self, height: int, width: int) -> float:
        """Return which share of an image it takes."""
        return self.pixels / (height * width)

    def paste(self, source: Tensor, into: Tensor) -> Tensor:
        """Return images with the region taken from others; shapes (..., c, h, w)."""
        pasted = into.clone()
        window = (..., slice(self.top, self.bottom), slice(self.left, self.right))
        pasted[window] = source[window]
        if self.ring:
            inside = (
                ...,
                slice(self.top + self.ring, self.bottom - self.ring),
                slice(self.left + self.ring, self.right - self.ring),
            )
            pasted[inside] = into[inside]
        return pasted

    def total(self, integral: Tensor) -> float:
        """Return the sum over the region of what was summed to (h + 1, w + 1) by `integrate`."""
        total = _sum(integral, self.left, self.top, self.right, self.bottom)
        if self.ring and self.right - self.left > 2 * self.ring:
            ring = self.ring
            total -= _sum(
                integral, self.left + ring, self.top + ring, self.right - ring, self.bottom - ring
            )
        return total

    def trimmed(self, side: str, by: int) -> Region | None:
        """Return the region without some rows or columns at one side; None where none remain."""
        if self.ring:
            return None
        sign = 1 if side in ("left", "top") else -1
        found = replace(self, **{side: getattr(self, side) + sign * by})
        empty = found.right <= found.left or found.bottom <= found.top
        return None if empty else replace(found, kind="part")

    def where(self, height: int, width: int) -> str:
        """Return where it lies, in words."""
        if self.ring:
            return f"the outermost {self.ring} px all around"
        size = f"the {self.right - self.left}×{self.bottom - self.top} px"
        middle_x, middle_y = (
            (self.left + self.right) / 2 / width,
            (self.top + self.bottom) / 2 / height,
        )
        rows = "upper" if middle_y < 1 / 3 else "lower" if middle_y > 2 / 3 else ""
        columns = "left" if middle_x < 1 / 3 else "right" if middle_x > 2 / 3 else ""
        place = f"{rows} {columns}".strip()
        if not place:
            return f"{size} in the middle"
        return f"{size} at the {place}" if rows and columns else f"{size} at the {place} side"


def unit(height: int, width: int) -> int:
    """Return how many pixels a unit has."""
    return max(1, round(min(height, width) / UNITS))


def regions(height: int, width: int) -> list[Region]:
    """Return every region of an image."""
    u = unit(height, width)
    found = [
        Region("part", left, top, left + side, top + side)
        for side in (min(size * u, height, width) for size in SQUARES)
        for top in _starts(height, side, max(1, side // 2))
        for left in _starts(width, side, max(1, side // 2))
    ]
    deep = min(STRIP * u, height, width)
    found += [
        Region("strip", 0, top, width, top + deep)
        for top in _starts(height, deep, max(1, deep // 2))
    ]
    found += [
        Region("strip", left, 0, left + deep, height)
        for left in _starts(width, deep, max(1, deep // 2))
    ]
    return found + rings(height, width)


def rings(height: int, width: int) -> list[Region]:
    """Return the rings along the border."""
    u = unit(height, width)
    return [
        Region("ring", 0, 0, width, height, size * u)
        for size in RINGS
        if 2 * size * u < min(height, width)
    ]


def integrate(values: Tensor) -> Tensor:
    """Return the sums of shape (h + 1, w + 1) that `Region.total` reads off in one step."""
    sums = torch.zeros(values.shape[0] + 1, values.shape[1] + 1, dtype=torch.float64)
    sums[1:, 1:] = values.double().cumsum(0).cumsum(1)
    return sums


def _sum(integral: Tensor, left: int, top: int, right: int, bottom: int) -> float:
    total = integral[bottom, right] - integral[top, right] - integral[bottom, left]
    return float(total + integral[top, left])


def _starts(length: int, side: int, stride: int) -> Iterator[int]:
    """Return where windows start, so that the last one ends at the border."""
    yield from range(0, length - side, stride)
    yield length - side
