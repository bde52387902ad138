"""Rows of pictures, tables and charts: the only module that sends pictures to the browser."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from diagnostics.report import chart
from diagnostics.report.formats import formats
from diagnostics.report.render import Picture
from diagnostics.report.table import SEPARATOR, Cell, Row, Table
from diagnostics.schema.results.inspection import ImageEntry
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import markdown, probability, shortened, signed
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.preprocessing_alert import complete_alert

FOLDER = Path(__file__).parent / "row"
PINNED = "pinned: the others are compared with this image"
MINUS = "The same, minus the pinned image's: blue is less, red is more"
FIELDS = ("image", "picture", "number", "row", "column")


@dataclass(frozen=True)
class CellClick:
    """A cell of a picture: whose picture, which unit, and where in its map."""

    image: int
    picture: int
    number: int
    row: int
    column: int


class Board:
    """The rows, tables and charts of one page, which make its report too.

    `facts` is what the report says besides of how they were computed.

    Args:
        title: The page's title.
        question: The sentence that says what the page answers.
        spec: The selected model.
    """

    def __init__(self, title: str, question: str, spec: ModelSpec) -> None:
        self._title = title
        self._spec = spec
        self._sections: dict[str, list[Row | Table]] = {}
        self.facts: dict[str, str] = {}
        with st.container(horizontal=True, vertical_alignment="center"):
            st.title(title, width="stretch")
            self._corner = st.container(width="content")
        st.caption(question)

    def section(self, heading: str) -> DeltaGenerator:
        """Open a section that folds; sections stand in the order in which they are opened."""
        self._sections.setdefault(heading, [])
        return st.expander(heading, expanded=True)

    def row(
        self,
        heading: str,
        cells: Sequence[Cell],
        key: str,
        *,
        title: str = "",
        sentences: tuple[str, ...] = (),
        clickable: bool = False,
        columns: bool = True,
    ) -> CellClick | None:
        """Draw a row, and add it to its section of the report.

        Args:
            heading: Of the section.
            cells: One per image, in the order of the columns.
            key: Unique on the page.
            title: Stands above the row, its first part in bold; whatever marks are in it, it is
                text.
            sentences: Paragraphs under the title, text as well.
            clickable: Return a click on a cell of a picture instead of enlarging the picture.
            columns: Whether the cells are those of the images shown.

        Returns:
            The cell that was clicked just now.
        """
        files = current_session().shown_images()
        is_nameless = not any(cell.title or cell.card for cell in cells)
        names = columns and is_nameless and len(files) == len(cells) > 1
        if names:  # the first row's titles are out of sight by now
            cells = [
                replace(cell, title=shortened(file.name, 28), hover=file.name)
                for cell, file in zip(cells, files, strict=True)
            ]
        if title:
            name, _, rest = title.partition(SEPARATOR)
            details = f" :small[:gray[{markdown(rest)}]]" if rest else ""
            st.markdown(f"**{markdown(name)}**{details}")
        for sentence in sentences:
            st.markdown(markdown(sentence))
        self._sections.setdefault(heading, []).append(Row(tuple(cells), title, sentences))
        pinned = columns and current_session().is_comparing
        return _row(cells, key, pinned=pinned, clickable=clickable, names=names)

    def cards(
        self, heading: str, cells: Sequence[Cell], key: str, on_click: Callable[[int], None]
    ) -> None:
        """Draw a verdict in each column, and add them to the section of the report.

        Args:
            heading: Of the section.
            cells: One per image, in the order of the columns.
            key: Unique on the page.
            on_click: Called with the number of the image whose card is clicked, before the page is
                drawn anew.
        """
        self._sections.setdefault(heading, []).append(Row(tuple(cells)))

        def clicked() -> None:
            if found := st.session_state[key].clicked:
                on_click(int(found["image"]))

        pinned = current_session().is_comparing
        _row(cells, key, pinned=pinned, clickable=True, names=False, on_click=clicked)

    def position(self, heading: str) -> int:
        """Return how much of a section of the report is there already."""
        return len(self._sections.setdefault(heading, []))

    @contextmanager
    def at(self, heading: str, position: int) -> Iterator[None]:
        """Let what is drawn within stand earlier in its section of the report, as on the page.

        Args:
            heading: Of the section.
            position: Before how much of the section it stands, see `position`.
        """
        rows = self._sections[heading]
        end = len(rows)
        yield
        added = rows[end:]
        del rows[end:]
        rows[position:position] = added

    def difference(self, heading: str, cells: Sequence[Cell], key: str) -> None:
        """Draw a row of differences to the pinned image, and say that it is one."""
        if cells:
            self.row(heading, [Cell(notes=(PINNED,)), *cells[1:]], key, title=MINUS)

    def chart(
        self, heading: str, figure: Any, table: Table, key: str, *, clickable: bool = False
    ) -> list[dict[str, Any]]:
        """Draw a chart, with its numbers folded under it, and add the numbers to the report.

        Args:
            heading: Of the section.
            figure: A plotly figure.
            table: Its numbers, and in a sentence what it shows.
            key: Unique on the page.
            clickable: Return which of its marks were clicked.

        Returns:
            The marks that were clicked, as plotly describes points; none unless it is clickable.
        """
        clicked: Any = st.plotly_chart(
            _themed(figure),
            key=key,
            config={"displayModeBar": False, "scrollZoom": False},
            on_select="rerun" if clickable else "ignore",
            selection_mode="points",
        )
        if table.caption:
            st.caption(table.caption)
        self.table(heading, table, folded=True)
        return list(clicked.selection.points) if clickable else []

    def table(
        self, heading: str, table: Table, *, folded: bool = False, label: str = "Numbers"
    ) -> None:
        """Draw a table of numbers, and add it to the report.

        Args:
            heading: Of the section.
            table: The table.
            folded: Whether it must be unfolded to be seen.
            label: What stands on the fold.
        """
        self._sections.setdefault(heading, []).append(table)
        with st.expander(label) if folded else st.container():
            st.dataframe([dict(row) for row in table.rows], hide_index=True)

    def offer_report(self) -> None:
        """Offer what was drawn as a file, in every format there is; the page is drawn by then."""
        session, spec = current_session(), self._spec
        settings = session.preprocessing or spec.preprocessing
        facts = {
            "Model": f"{spec.name}, {spec.architecture}, {spec.parameters:,} parameters",
            "sha256": spec.sha256,
            "Outputs": f"{len(spec.class_names)} classes, {spec.output}",
            "Preprocessing": settings.summary,
            "Images": ", ".join(file.name for file in session.shown_images()),
            **self.facts,
        }
        known = formats()
        menu = self._corner if len(known) == 1 else self._corner.popover("Report")
        for place, one in enumerate(known):
            menu.download_button(
                "Report" if len(known) == 1 else one.title,
                partial(one.write, f"Oversure: {self._title}", facts, self._sections),
                f"{self._title.lower()}-{Path(spec.name).stem}{one.ending}",
                one.mime,
                on_click="ignore",
                icon=":material/download:",
                help=one.summary,
                key=f"report{place or ''}",
            )
        complete_alert(spec)


def _themed(figure: Any) -> Any:
    """Return a figure whose labels are read on the page as it is now, light or dark."""
    return chart.themed(figure, dark=st.context.theme.type == "dark")


def transient_chart(figure: Any, key: str) -> None:
    """Draw a chart of a partial result, which is gone soon and belongs in no report.

    Args:
        figure: A plotly figure.
        key: Another each time.
    """
    st.plotly_chart(_themed(figure), key=key, config={"displayModeBar": False})


def transient_cards(cells: Sequence[Cell], key: str) -> None:
    """Draw verdicts that are not there yet, or not all, which belong in no report.

    Args:
        cells: One per image, in the order of the columns.
        key: Another each time.
    """
    _row(cells, key, pinned=current_session().is_comparing, clickable=False, names=False)


def transient_picture(picture: Picture) -> None:
    """Draw a picture of a partial result, which is gone soon and belongs in no report."""
    width = picture.pixels.shape[1]
    st.image(picture.png, picture.caption, width=width, output_format="PNG", alt=picture.alt)


def _row(
    cells: Sequence[Cell],
    key: str,
    *,
    pinned: bool,
    clickable: bool,
    names: bool,
    on_click: Callable[[], None] = lambda: None,
) -> CellClick | None:
    """Draw one row of the table, a cell per image, at the size that their number allows.

    Args:
        cells: One per image, in the order of the columns.
        key: Unique on the page.
        pinned: Keep the first column in sight.
        clickable: Return a click on a cell of a picture instead of enlarging the picture.
        names: The titles only repeat which image this is.
        on_click: Called after a click, before the page is drawn anew.

    Returns:
        The cell that was clicked just now.
    """
    if not cells:
        return None
    max_side, min_width = _sizes(len(cells))
    content = {
        "box": max_side,
        "least": min_width,
        "pinned": pinned,
        "asks": clickable,
        "cells": [{**_content(cell), "names": names} for cell in cells],
    }
    state = _component()(data=content, key=key, on_clicked_change=on_click)
    return (
        CellClick(**{name: int(state.clicked[name]) for name in FIELDS}) if state.clicked else None
    )


def _component() -> Any:
    return st.components.v2.component(
        "oversure_row",
        css=(FOLDER / "row.css").read_text("utf-8"),
        js=(FOLDER / "row.js").read_text("utf-8"),
    )


def _sizes(columns: int) -> tuple[int, int]:
    """Return the largest side of a picture and the least width of a column, in px."""
    if columns == 1:
        return 336, 240
    if columns <= 3:
        return 352, 148
    return (256, 160) if columns == 4 else (168, 100)


def picture_source(picture: Picture) -> str:
    """Return a picture as an address; most stay the same from run to run."""
    digest = f"{picture.pixels.shape} {hashlib.sha256(picture.pixels.tobytes()).hexdigest()}"
    return current_session().picture_source(
        digest, lambda: "data:image/png;base64," + base64.b64encode(picture.png).decode()
    )


def _content(cell: Cell) -> dict[str, Any]:
    return {
        **vars(cell),
        "card": cell.card and vars(cell.card),
        "bars": [vars(bar) for bar in cell.bars],
        "pictures": [
            {
                "source": picture_source(picture),
                "width": picture.pixels.shape[1],
                "height": picture.pixels.shape[0],
                "alt": picture.alt,
                "caption": picture.caption,
                "name": picture.name,
                "cells": picture.cells and vars(picture.cells),
                "outline": picture.outline,
            }
            for picture in cell.pictures
        ],
    }


@st.dialog("Numbers", width="large")
def numbers(images: Sequence[ImageEntry]) -> None:
    """Show every image's ranking as a table."""
    for image in images:
        st.text(image["file"])
        if image["top"]:
            st.dataframe(_table(image), hide_index=True)
        else:
            st.caption(markdown(image["error"] or " ".join(image["warnings"])))


def _table(image: ImageEntry) -> list[dict[str, Any]]:
    return [
        {
            "class": score["class"],
            "index": score["index"],
            "probability": probability(score["probability"], score["one_minus_p"]),
            "logit": signed(score["logit"]),
            "margin to next": "" if score["margin"] is None else signed(score["margin"]),
        }
        for score in image["top"]
    ]
