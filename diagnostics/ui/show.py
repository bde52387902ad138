"""Put rows of pictures on the page: the one place through which pictures reach the browser."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from diagnostics.render import Picture

FOLDER = Path(__file__).parent / "row"


@dataclass(frozen=True)
class Bar:
    """One bar of a ranking: a name, its share of the whole width, and the number beside it."""

    name: str
    share: float
    text: str
    title: str


@dataclass(frozen=True)
class Cell:
    """What one image gets in a row.

    Args:
        title: Shown in bold, shortened by the browser.
        hover: The whole title.
        answer: The class in large.
        sure: How sure, below it.
        bars: A ranking.
        pictures: Pictures, beside each other where there is room.
        abreast: Make them so small that they stand beside each other.
        counts: Histogram counts per channel, all with the same bins.
        counts_alt: What the histogram shows.
        notes: Sentences under the pictures.
        warnings: Sentences that should be seen.
        empty: Why there is no picture.
    """

    title: str = ""
    hover: str = ""
    answer: str = ""
    sure: str = ""
    bars: tuple[Bar, ...] = ()
    pictures: tuple[Picture, ...] = ()
    abreast: bool = False
    counts: tuple[tuple[int, ...], ...] = ()
    counts_alt: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    empty: str = ""


def row(cells: Sequence[Cell], key: str) -> None:
    """Draw one row of the table, a cell per image, at the size that their number allows.

    Args:
        cells: One per image, in the order of the columns.
        key: Unique on the page.
    """
    if not cells:
        return
    box, least = _sizes(len(cells))
    content = {"box": box, "least": least, "cells": [_content(cell) for cell in cells]}
    _component()(data=content, key=key)


def _component() -> Any:
    return st.components.v2.component(
        "oversure_row",
        css=(FOLDER / "row.css").read_text("utf-8"),
        js=(FOLDER / "row.js").read_text("utf-8"),
    )


def _sizes(columns: int) -> tuple[int, int]:
    """Return the largest side of a picture and the least width of a column, in px."""
    if columns == 1:
        return 448, 240
    return (256, 160) if columns <= 4 else (168, 100)


def _content(cell: Cell) -> dict[str, Any]:
    return {
        **vars(cell),
        "bars": [vars(bar) for bar in cell.bars],
        "pictures": [
            {
                "source": "data:image/png;base64," + base64.b64encode(picture.png).decode(),
                "width": picture.pixels.shape[1],
                "height": picture.pixels.shape[0],
                "alt": picture.alt,
                "caption": picture.caption,
                "name": picture.name,
            }
            for picture in cell.pictures
        ],
    }
