"""The controls of the noise page: what is drawn, how it is read, and what opens in Inspect."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from diagnostics.report.noise import tables
from diagnostics.report.noise.tables import REAL, YOURS, Entry, Said
from diagnostics.schema.options import Methods
from diagnostics.schema.request import File, Request
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import shortened
from diagnostics.ui.dialogs import open_in_inspect
from diagnostics.ui.session.choices import choose, remembered
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.forms import Field

DRAWS = (16, 64, 128, 256, 512)
AT_ONCE = 4  # images opened with one press
NAMES_OF_NOISE = (
    *("uniform", "gaussian", "salt", "constant", "checkerboard", "shuffled", "noise", "blank"),
)


def about_noise(spec: ModelSpec, methods: Methods) -> Request:
    """Draw how much noise is drawn and which images are noise; return the question."""
    session = current_session()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        fields = {
            "draws": Field(
                "Draws of each kind",
                "How many images of each kind of noise; more make the intervals narrower.",
                choices=DRAWS,
                width=190,
            )
        }
        options = forms.options(methods["noise/noise"], fields, "noise")
        shown = [file for file in session.shown_images() if not open_in_inspect.is_drawn(file)]
        made = _made(shown)
    images = [file for file in shown if session.in_distribution is None or file in made]
    if made:
        options["made"] = ",".join(file.sha256 for file in made)
    settings = session.preprocessing or spec.preprocessing
    return Request(
        "noise/noise",
        session.model,
        tuple(images),
        settings,
        options=options,
        folder=session.in_distribution,
    )


def _made(shown: Sequence[File]) -> list[File]:
    """Draw which of the images in hand are noise; a name may tell until a person does."""
    files = {file.sha256: file for file in shown}
    usual = {one for one, file in files.items() if file.name.lower().startswith(NAMES_OF_NOISE)}
    kept = current_session().choices
    turned = set(kept.get("noise.turned", "").split(","))  # where the person said otherwise
    key = f"noise.made.{hashlib.sha256(','.join(files).encode()).hexdigest()[:12]}"
    first = [one for one in files if (one in usual) != (one in turned)]
    st.session_state.setdefault(key, first)
    chosen = st.multiselect(
        "Noise of yours",
        list(files),
        key=key,
        format_func=lambda one: shortened(files[one].name, 28),
        help="Which of the images at the left show nothing. They get a row of their own; without "
        "a folder, the others stand for real images.",
        placeholder="None of the images in hand",
    )
    kept["noise.turned"] = ",".join((turned - files.keys()) | (usual ^ set(chosen)))
    return [files[one] for one in chosen]


def open_clicked(
    points: Sequence[Mapping[str, Any]], answer: Mapping[str, Any], asked: Request
) -> None:
    """Open the images behind the mark that was clicked, if one was."""
    if not points or not points[0].get("customdata"):
        return
    found: Said = answer["families"]
    family, number, *said = points[0]["customdata"]
    one = next(one for one in found if one["family"] == family)
    columns = tables.swallowing(found, len(answer["classes"]))
    numbers = tables.surest(one, AT_ONCE, said[0], columns) if said else [number]
    _open(one, numbers, asked)


def open_surest(found: Said, asked: Request) -> None:
    """Draw a button for each family that opens its most confident images."""
    st.caption(
        f"Open the {AT_ONCE} images of each kind that the model is surest of in Inspect, or click "
        "a mark of the chart:"
    )
    with st.container(horizontal=True):
        for one in tables.lanes(found):
            if st.button(one["title"], key=f"noise.open.{one['family']}"):
                _open(one, tables.surest(one, AT_ONCE), asked)


def _open(one: Entry, numbers: Sequence[int], asked: Request) -> None:
    if not numbers:
        st.toast("No image stands behind this cell.")
        return
    if one["family"] not in (REAL, YOURS):
        open_in_inspect.inspect(open_in_inspect.draws(asked, one["family"], numbers))
        return
    names = [one["files"][number] for number in numbers]
    if one["family"] == REAL and asked.folder:
        open_in_inspect.inspect(open_in_inspect.folder_images(asked, names))
        return
    made = str(asked.options.get("made", "")).split(",")
    own = {
        file.name: file
        for file in asked.images
        if (file.sha256 in made) == (one["family"] == YOURS)
    }
    open_in_inspect.inspect([own[name] for name in names])


def about_depth(spec: ModelSpec, found: Said) -> Request | None:
    """Draw which noise is followed through the layers; return the question once it is wanted."""
    session = current_session()
    if session.in_distribution is None:
        st.caption(
            "This needs a folder with labels: two images or more of each of two classes. Add one "
            "above, one folder for each class."
        )
        return None
    shown = {one["family"]: one["title"] for one in found if one["family"] not in (REAL, YOURS)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        family = choose(
            "Noise", "noise.family", shown, "Which noise is followed through the layers.", width=200
        )
        remembered("noise.deep", usual=0, most=1)
        wanted = st.toggle(
            "Follow it through the layers",
            key="noise.deep",
            help="Every layer's answers to the labelled images are kept and averaged by class, "
            "which takes as long as asking about them once.",
        )
    if not wanted:
        return None
    settings, options = session.preprocessing or spec.preprocessing, {"family": family}
    return Request(
        "noise/depth", session.model, (), settings, options=options, folder=session.in_distribution
    )
