"""The noise page: which noise is drawn, and which of its images open in Inspect."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from diagnostics.report.noise import tables
from diagnostics.report.noise.tables import REAL, YOURS
from diagnostics.schema.options import Methods
from diagnostics.schema.request import File, Request
from diagnostics.schema.results.noise import NoiseAnswer, NoiseFamily
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import shortened
from diagnostics.ui.dialogs import open_in_inspect
from diagnostics.ui.session.choices import choose, toggle
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.forms import Field

DRAWS = (16, 64, 128, 256, 512)
MAX_OPENED = 4  # images, with one press
NAMES_OF_NOISE = (
    "uniform",
    "gaussian",
    "salt",
    "constant",
    "checkerboard",
    "shuffled",
    "noise",
    "blank",
)


def noise_request(spec: ModelSpec, methods: Methods) -> Request:
    """Draw how much noise is drawn and which images are noise; return the request."""
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
        shown = [file for file in session.shown_images() if not open_in_inspect.is_noise_draw(file)]
        user_noise = _user_noise(shown)
    images = [file for file in shown if session.in_distribution is None or file in user_noise]
    if user_noise:
        options["user_noise"] = ",".join(file.sha256 for file in user_noise)
    settings = session.preprocessing or spec.preprocessing
    return Request(
        "noise/noise",
        session.model,
        tuple(images),
        settings,
        options=options,
        folder=session.in_distribution,
    )


def _user_noise(shown: Sequence[File]) -> list[File]:
    """Draw which of the images shown are noise; a name may tell until a person does."""
    files = {file.sha256: file for file in shown}
    by_name = {key for key, file in files.items() if file.name.lower().startswith(NAMES_OF_NOISE)}
    choices = current_session().choices
    corrected = set(choices.get("noise.turned", "").split(","))  # where the name was wrong
    key = f"noise.user_noise.{hashlib.sha256(','.join(files).encode()).hexdigest()[:12]}"
    default = [sha256 for sha256 in files if (sha256 in by_name) != (sha256 in corrected)]
    st.session_state.setdefault(key, default)
    chosen = st.multiselect(
        "Noise of yours",
        list(files),
        key=key,
        format_func=lambda sha256: shortened(files[sha256].name, 28),
        help="Which of the images at the left show nothing. They get a row of their own; without "
        "a folder, the others stand for real images.",
        placeholder="None of the images in hand",
    )
    choices["noise.turned"] = ",".join((corrected - files.keys()) | (by_name ^ set(chosen)))
    return [files[sha256] for sha256 in chosen]


def open_clicked(
    points: Sequence[Mapping[str, Any]], answer: NoiseAnswer, request: Request
) -> None:
    """Open the images behind the mark that was clicked, if one was."""
    if not points or not points[0].get("customdata"):
        return
    families = answer["families"]
    name, number, *predicted = points[0]["customdata"]
    family = next(family for family in families if family["family"] == name)
    columns = tables.columns(families, len(answer["classes"]))
    numbers = [number]
    if predicted:
        numbers = tables.most_confident(family, MAX_OPENED, predicted[0], columns)
    _open(family, numbers, request)


def open_most_confident(families: Sequence[NoiseFamily], request: Request) -> None:
    """Draw a button for each family that opens its most confident images."""
    st.caption(
        f"Open the {MAX_OPENED} images of each kind that the model is surest of in Inspect, or "
        "click a mark of the chart:"
    )
    with st.container(horizontal=True):
        for family in tables.ordered(families):
            if st.button(family["title"], key=f"noise.open.{family['family']}"):
                _open(family, tables.most_confident(family, MAX_OPENED), request)


def _open(family: NoiseFamily, numbers: Sequence[int], request: Request) -> None:
    if not numbers:
        st.toast("No image stands behind this cell.")
        return
    if family["family"] not in (REAL, YOURS):
        open_in_inspect.open_files(open_in_inspect.noise_files(request, family["family"], numbers))
        return
    names = [family["files"][number] for number in numbers]
    if family["family"] == REAL and request.folder:
        open_in_inspect.open_files(open_in_inspect.folder_files(request, names))
        return
    user_noise = str(request.options.get("user_noise", "")).split(",")
    files = {
        file.name: file
        for file in request.images
        if (file.sha256 in user_noise) == (family["family"] == YOURS)
    }
    open_in_inspect.open_files([files[name] for name in names])


def depth_request(spec: ModelSpec, families: Sequence[NoiseFamily]) -> Request | None:
    """Draw which noise is followed through the layers; return the request once it is wanted."""
    session = current_session()
    if session.in_distribution is None:
        st.caption(
            "This needs a folder with labels: two images or more of each of two classes. Add one "
            "above, one folder for each class."
        )
        return None
    drawn = {
        family["family"]: family["title"]
        for family in families
        if family["family"] not in (REAL, YOURS)
    }
    with st.container(horizontal=True, vertical_alignment="bottom"):
        family = choose(
            "Noise", "noise.family", drawn, "Which noise is followed through the layers.", width=200
        )
        wanted = toggle(
            "Follow it through the layers",
            "noise.deep",
            "Every layer's answers to the labelled images are kept and averaged by class, "
            "which takes as long as asking about them once.",
        )
    if not wanted:
        return None
    settings, options = session.preprocessing or spec.preprocessing, {"family": family}
    return Request(
        "noise/depth", session.model, (), settings, options=options, folder=session.in_distribution
    )
