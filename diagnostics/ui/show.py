"""Put rows of pictures on the page: the one place through which pictures reach the browser."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from diagnostics import words
from diagnostics.report.table import Cell

FIELDS = ("image", "picture", "number", "row", "column")


@dataclass(frozen=True)
class Clicked:
    """A cell of a picture: whose picture, which unit, and where in its map."""

    image: int
    picture: int
    number: int
    row: int
    column: int


FOLDER = Path(__file__).parent / "row"


def row(
    cells: Sequence[Cell], key: str, *, pinned: bool = False, asks: bool = False
) -> Clicked | None:
    """Draw one row of the table, a cell per image, at the size that their number allows.

    Args:
        cells: One per image, in the order of the columns.
        key: Unique on the page.
        pinned: Keep the first column in sight.
        asks: Report a click on a cell of a picture instead of enlarging the picture.

    Returns:
        The cell that was clicked just now.
    """
    if not cells:
        return None
    box, least = _sizes(len(cells))
    content = {
        "box": box,
        "least": least,
        "pinned": pinned,
        "asks": asks,
        "cells": [_content(cell) for cell in cells],
    }
    answer = _component()(data=content, key=key, on_clicked_change=lambda: None)
    clicked = answer.clicked
    return Clicked(**{name: int(clicked[name]) for name in FIELDS}) if clicked else None


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
    if columns <= 3:
        return 352, 200
    return (256, 160) if columns == 4 else (168, 100)


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
                "cells": picture.cells and vars(picture.cells),
            }
            for picture in cell.pictures
        ],
    }


@st.dialog("Numbers", width="large")
def numbers(images: Sequence[Mapping[str, Any]]) -> None:
    """Show every image's ranking as a table."""
    for image in images:
        st.text(image["file"])
        if image["top"]:
            st.dataframe(_table(image), hide_index=True)
        else:
            st.caption(image["error"] or " ".join(image["warnings"]))


def _table(image: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "class": score["class"],
            "index": score["index"],
            "probability": words.probability(score["probability"], score["distance"]),
            "logit": words.signed(score["logit"]),
            "margin to next": "" if score["margin"] is None else words.signed(score["margin"]),
        }
        for score in image["top"]
    ]
