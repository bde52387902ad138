"""The sidebar of every page: the selected model, and the images shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import streamlit as st

from diagnostics.data import class_names
from diagnostics.errors import ClassesError, InputError
from diagnostics.schema.options import Methods, read_info
from diagnostics.schema.request import OPEN, Request
from diagnostics.schema.spec import ModelSpec, read
from diagnostics.text import counted, markdown, shortened
from diagnostics.ui.dialogs import canvas
from diagnostics.ui.dialogs.add_images import add_images, add_noise
from diagnostics.ui.dialogs.name_classes import offer_class_names
from diagnostics.ui.dialogs.open_model import (
    decide_architecture,
    open_model,
    recipe_text,
    show_facts,
)
from diagnostics.ui.session.state import MAX_SHOWN, current_session, update_address
from diagnostics.ui.widgets.alerts import show_error
from diagnostics.ui.widgets.preprocessing_alert import begin_alert
from diagnostics.ui.widgets.run import try_request
from diagnostics.worker import selftest
from diagnostics.worker.doctor import sandbox_sentence
from diagnostics.worker.sandbox import Level

STYLE = Path(__file__).with_name("sidebar.css")


def selection() -> tuple[ModelSpec, Methods]:
    """Draw the sidebar; return what is known of the selected model, and the methods by id."""
    session = current_session()
    st.html(STYLE)
    _refused()
    page = st.empty()
    with st.sidebar:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**Model**", width="stretch")
            if st.button("Open", key="open", help="Open another model"):
                open_model()
        st.text(shortened(session.model.name, 30))
        facts = st.empty()  # those of the model before are gone while this one is opened
        facts.caption(":orange[●] opening")
    request = Request(OPEN, session.model)
    if request.key not in session.results:
        page.markdown(_opening())
    answer = try_request(request)
    if answer is None:
        facts.caption(":red[●] failed")
        st.stop()
    page.empty()
    opened = answer.scores
    spec = read(opened["model"])
    if not spec.architecture:
        facts.caption(":orange[●] to be decided")
        decide_architecture()
    try:
        session.adjust_preprocessing(spec.preprocessing)
    except InputError as error:
        show_error(error.message)
    with facts.container():
        _facts(spec)
    with st.sidebar:
        st.divider()
        _images(spec)
        _sandbox()
    begin_alert(spec)
    update_address()
    methods = map(read_info, opened["methods"])
    return spec, {info.id: info for info in methods}


def _refused() -> None:
    """Say which files were not taken, until the person has read it."""
    session = current_session()
    if not session.refused:
        return
    with st.container(border=True):
        for sentence in session.refused:
            show_error(sentence)
        st.button("Dismiss", key="refused", on_click=_dismiss)


def _dismiss() -> None:
    current_session().refused = ()


def _opening() -> str:
    """Say what happens on a page that has nothing to draw yet."""
    session = current_session()
    names = ", ".join(markdown(file.name) for file in session.shown_images())
    then = f"\n\nThen it is asked about: {names}" if names else ""
    return f"### Opening {markdown(session.model.name)}{then}"


def _facts(spec: ModelSpec) -> None:
    colour = "colour" if spec.channels == 3 else "grey"
    st.caption(
        f":green[●] ready · {spec.width} × {spec.height} {colour} · "
        f"{counted(len(spec.class_names), 'class', 'classes')} · {spec.output}"
    )
    doubts = sum(check.status != "passed" for check in spec.checks)
    if not spec.has_class_names:
        offer_class_names(spec, "sidebar")
    label = f"The model · {doubts} to read" if doubts else "The model"
    with st.popover(label, width="stretch"):
        show_facts(spec)
        _names_of_folders()
        if current_session().model.others:  # a recipe goes with one file of weights
            return
        st.download_button(
            "Download recipe",
            recipe_text(spec),
            f"{spec.name.rpartition('.')[0] or spec.name}.toml",
            "application/toml",
            help="Model, classes and preprocessing in one file, for another day or for the "
            "command line.",
        )


def _sandbox() -> None:
    """Say how far models are locked in: a word when all is well, a sentence otherwise."""
    outcome = selftest.outcome()
    sentence = sandbox_sentence(outcome)
    if outcome.level is Level.STRICT:
        st.caption(":material/lock: sandbox strict", help=f"{sentence.capitalize()}.")
    else:
        st.warning(f"Sandbox {sentence}.", icon=":material/lock_open:")


def _names_of_folders() -> None:
    """Offer the folders that the images came in as class names, where there are several."""
    try:
        names = class_names.of_folders(file.name for file in current_session().images)
    except ClassesError:
        return
    st.button(
        f"Name the classes after the {len(names)} folders of the images",
        on_click=_rename,
        args=(names,),
        help=markdown(", ".join(names[:20])),
    )


def _rename(names: tuple[str, ...]) -> None:
    session = current_session()
    read_as = "the folders of the images, sorted as text"
    named = replace(session.model, class_names=names, class_names_read_as=read_as)
    session.select_model(named, session.preprocessing)


def _images(spec: ModelSpec) -> None:
    session = current_session()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Images**", width="stretch")
        if st.button("Add", key="add", help="Add images"):
            add_images(spec)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Noise",
            on_click=add_noise,
            args=(spec,),
            key="noise",
            width="stretch",
            help="Add an image of uniform noise in the model's size",
        )
        is_drawing = st.toggle("Draw", key="drawing")
    if is_drawing:
        canvas.draw(spec)
    known = session.images_by_hash()
    st.session_state["shown"] = [digest for digest in session.shown if digest in known]
    st.multiselect(
        "Images shown",
        list(known),
        key="shown",
        on_change=_set_shown,
        format_func=lambda digest: shortened(known[digest].name, 26),
        max_selections=MAX_SHOWN,
        label_visibility="collapsed",
        placeholder="Choose up to 8 images",
    )
    if len(session.shown) < len(known):
        st.caption(
            f"{len(session.shown)} of {len(known)} images are shown, at most {MAX_SHOWN}; the "
            "others wait in the list above."
        )
    canvas.paste()
    _pin()


def _pin() -> None:
    """Let the person pin one of the images shown, to compare the others with it."""
    session = current_session()
    if len(session.shown) < 2:
        return
    known = session.images_by_hash()
    if session.pinned not in session.shown:
        session.pinned = ""
    st.session_state["pinned"] = session.pinned
    st.selectbox(
        "Compare with",
        ["", *session.shown],
        key="pinned",
        on_change=_set_pinned,
        format_func=lambda digest: shortened(known[digest].name, 26) if digest else "none",
        help="Pins one image at the left; the answers and the layers then say how the others "
        "differ from it.",
    )


def _set_pinned() -> None:
    current_session().pinned = str(st.session_state["pinned"])


def _set_shown() -> None:
    current_session().shown = list(st.session_state["shown"])
