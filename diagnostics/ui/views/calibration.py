"""The calibration page: the bins of confidence, and the wrong answers in Inspect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from diagnostics.report.calibration import tables
from diagnostics.report.inspection.answers import originals
from diagnostics.schema.options import Methods
from diagnostics.schema.request import INSPECT, File, Options, Request
from diagnostics.schema.results.calibration import CalibrationAnswer
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import shortened
from diagnostics.ui.dialogs import open_in_inspect
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.forms import Field
from diagnostics.ui.widgets.run import try_request

BINS = (5, 10, 15, 20, 30)
SHOWN = 6  # wrong answers shown as pictures
PICTURES: Options = {"layers": (), "attributions": ()}


def calibration_request(spec: ModelSpec, methods: Methods, folder: File) -> Request:
    """Draw into how many bins confidence is cut; return the request."""
    session = current_session()
    field = Field(
        "Bins of confidence",
        "Bins of equal width in which confidence and accuracy are compared; many bins of few "
        "images make the error look larger than it is.",
        choices=BINS,
        width=180,
    )
    options = forms.options(methods["calibration/calibration"], {"bins": field}, "calibration")
    settings = session.preprocessing or spec.preprocessing
    return Request(
        "calibration/calibration", session.model, (), settings, options=options, folder=folder
    )


def wrong(answer: CalibrationAnswer, request: Request, board: Board, heading: str) -> None:
    """Draw the most confidently wrong images, and the way to open each in Inspect."""
    names = [one["file"] for one in answer["confident_errors"]]
    files = open_in_inspect.folder_files(request, names[:SHOWN])
    cells = tables.wrong_cells(answer, SHOWN)
    shown = replace(request, method=INSPECT, images=tuple(files), options=PICTURES, folder=None)
    pictures = try_request(shown, st.empty()) if files else None
    if pictures:
        drawn = originals(pictures.scores["images"], pictures.arrays)
        cells = [
            replace(cell, pictures=original.pictures, empty=original.empty)
            for cell, original in zip(cells, drawn, strict=True)
        ]
    board.row(heading, cells, "calibration.wrong")
    _open(answer, request, names)
    board.table(heading, tables.wrong(answer), folded=len(names) <= SHOWN)


def _open(answer: CalibrationAnswer, request: Request, names: Sequence[str]) -> None:
    """Draw which of the wrong answers to open in Inspect."""
    rows = tables.wrong(answer).rows
    with st.container(horizontal=True, vertical_alignment="bottom"):
        index = st.selectbox(
            "Wrong answer",
            range(len(names)),
            format_func=lambda row: shortened(
                f"{row + 1}. {rows[row]['file']}: {rows[row]['said']}, {rows[row]['confidence']}",
                60,
            ),
            width=420,
            key="calibration.chosen",
        )
        if st.button("Open in Inspect", key="calibration.open", type="primary"):
            open_in_inspect.open_files(open_in_inspect.folder_files(request, [names[index]]))
        if st.button(f"Open the first {min(len(names), SHOWN)}", key="calibration.open.all"):
            open_in_inspect.open_files(open_in_inspect.folder_files(request, names[:SHOWN]))
