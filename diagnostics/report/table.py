"""What stands on a page: rows of pictures, a column per image, and tables of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from diagnostics.report.render import Picture

SEPARATOR = "  ·  "  # of the parts of a row's title


@dataclass(frozen=True)
class Bar:
    """One bar of a ranking: a name, its share of the whole width, and the number beside it."""

    name: str
    share: float
    text: str
    title: str


@dataclass(frozen=True)
class Card:
    """A verdict on one image.

    Args:
        kind: Decides icon and colour; "waiting" where there is none yet.
        word: The verdict in a word or two, beside the icon.
        sentence: Why.
        advice: What to do about it.
        is_open: Whether its evidence stands open.
    """

    kind: Literal["trust", "distrust", "cannot_tell", "waiting"]
    word: str
    sentence: str = ""
    advice: str = ""
    is_open: bool = False


@dataclass(frozen=True)
class Cell:
    """What one image gets in a row.

    Args:
        title: Shown in bold, shortened by the browser.
        hover: The whole title.
        answer: The class in large.
        confidence: How sure, below it.
        bars: A ranking.
        pictures: Pictures, beside each other where there is room.
        side_by_side: Make them so small that they stand beside each other.
        counts: Histogram counts per channel, all with the same bins.
        counts_alt: What the histogram shows.
        notes: Sentences under the pictures.
        details: Sentences under them where there is room, and on hover.
        warnings: Sentences that should be seen.
        empty: Why there is no picture.
        card: The verdict on the image, under its answer.
    """

    title: str = ""
    hover: str = ""
    answer: str = ""
    confidence: str = ""
    bars: tuple[Bar, ...] = ()
    pictures: tuple[Picture, ...] = ()
    side_by_side: bool = False
    counts: tuple[tuple[int, ...], ...] = ()
    counts_alt: str = ""
    notes: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    empty: str = ""
    card: Card | None = None


@dataclass(frozen=True)
class Row:
    """One row: a cell for each image, and what stands above it if anything must be said.

    Args:
        cells: Beside each other.
        title: What they show.
        sentences: Paragraphs under the title.
    """

    cells: tuple[Cell, ...] = ()
    title: str = ""
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Numbers, as they stand under a chart or by themselves.

    Args:
        rows: Each a text by the name of its column.
        title: What they are.
        caption: What the chart above them shows.
        is_folded: Whether a report shows only the title until it is opened.
    """

    rows: tuple[Mapping[str, str], ...]
    title: str = ""
    caption: str = ""
    is_folded: bool = False
