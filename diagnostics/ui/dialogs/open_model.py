"""The dialog that opens a model: what was recognised, what is doubtful, and the choice."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

import streamlit as st

from diagnostics.data import class_names, samples
from diagnostics.errors import InputError
from diagnostics.schema import recipe
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import OPEN, File, ModelSource, Request
from diagnostics.schema.spec import Candidate, ModelSpec, Output, read
from diagnostics.text import counted
from diagnostics.ui.dialogs.add_images import IMAGE_MIB, KINDS, SHUFFLED, store_images
from diagnostics.ui.server.startup import source_of_upload
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.alerts import show_error
from diagnostics.ui.widgets.file_upload import upload
from diagnostics.ui.widgets.run import run_request

WEIGHTS, PHOTOS = "open.weights", "open.photos"
RECIPE_MIB = 1
MARKS = {
    "passed": ":material/check_circle:",
    "warned": ":material/warning:",
    "failed": ":material/error:",
}


@st.dialog("Open a model", width="large")
def open_model() -> None:
    """Ask for weights, show what they are, and select the model."""
    st.caption(
        "Weights from training: .safetensors, or .pt, .pth, .ckpt with a state_dict, whose network "
        "is recognised from the tensors; or .onnx, .keras, .h5, .pt2, a zipped folder of Hugging "
        "Face, or a whole module of torch, torchvision or timm, which hold their own."
    )
    _sample_models()
    file = upload("Model file", key=WEIGHTS)
    left, right = st.columns(2)
    classes = left.file_uploader(
        "Class names (optional): .txt, .json, .csv or .yaml",
        key="open.classes",
        max_upload_size=class_names.LARGEST_MIB,
    )
    recipe_file = right.file_uploader(
        "Recipe (optional): .toml", key="open.recipe", max_upload_size=RECIPE_MIB
    )
    if file is None:
        return
    try:
        source, preprocessing = source_of_upload(file), None
        if recipe_file:
            known = recipe.loads(recipe_file.getvalue().decode("utf-8", "replace"))
            source, preprocessing = known.source(source), known.preprocessing
        if classes:
            listed = class_names.read(classes.getvalue(), classes.name)
            source = replace(source, class_names=listed.names, class_names_read_as=listed.read_as)
    except InputError as error:
        show_error(error.message)
        return
    _decide(source, preprocessing)


def _sample_models() -> None:
    models = samples.model_files()
    name = st.pills("Sample models", list(models), key="open.sample")
    if name:
        session, images = current_session(), samples.image_files()
        session.select_model(ModelSource(models[name]))
        session.add_images([images[image] for image in samples.SHOWN.get(name, ())])
        st.session_state.pop("open.sample", None)
        st.rerun()


def _decide(source: ModelSource, preprocessing: Preprocessing | None) -> None:
    session, photos = current_session(), _photos()
    spec = read(run_request(Request(OPEN, source, images=photos)).scores["model"])
    chosen = spec.architecture or _choose(spec)
    show_facts(spec)
    output = _output(spec, source.output)
    ema = _ema(spec, source.ema)
    if st.button("Use this model", type="primary", disabled=not chosen, key="open.use"):
        session.uploaded.pop(WEIGHTS, None)
        decided = replace(source, architecture=chosen, output=output, ema=ema)
        session.select_model(decided, preprocessing)
        st.rerun()


def _output(spec: ModelSpec, current: str | None) -> str | None:
    """Let the person say what the outputs are, where they know better."""
    kinds = [None, *(kind.value for kind in Output)]
    return st.selectbox(
        "The outputs are",
        kinds,
        kinds.index(current),
        lambda kind: kind or f"as recognised: {spec.output}",
        key="open.output",
        help="Logits and probabilities are told apart by the network's last operation. Logits that "
        "are each a yes or no of their own look like any others: say so here.",
    )


def _ema(spec: ModelSpec, current: bool | None) -> bool | None:
    """Let the person say which weights of a checkpoint are meant, where it has two."""
    if not any(check.name == "ema" for check in spec.checks):
        return current
    return st.radio(
        "Weights",
        [True, False],
        1 if current is False else 0,
        lambda averaged: "their moving average (EMA)" if averaged else "as they were trained",
        key="open.ema",
        horizontal=True,
        help="The checkpoint holds both. timm evaluates the moving average.",
    )


def decide_architecture() -> NoReturn:
    """Let the person say which network the selected model is, where its tensors cannot tell."""
    session = current_session()
    st.title("Which network is this?")
    _decide(session.model, session.preprocessing)
    st.stop()


def _choose(spec: ModelSpec) -> str | None:
    """Let the person choose where the tensors cannot tell; nothing is chosen beforehand."""
    advice = "Choose the one that you trained; its name stands in your training code."
    if any(item.deviation is not None for item in spec.candidates):
        advice = (
            "Compare their BatchNorm deviation on images like those it was trained on, and choose."
        )
    elif not _photos():
        advice += (
            " Photos like those it was trained on could tell by their BatchNorm deviation; the "
            "samples and noise in hand can't."
        )
    st.warning(
        "The tensors cannot tell which of these networks was trained; they answer differently or "
        f"want other images. {advice}",
        icon=MARKS["warned"],
    )
    st.file_uploader(
        "Add photos like those it was trained on",
        accept_multiple_files=True,
        key=PHOTOS,
        max_upload_size=IMAGE_MIB,
        on_change=_take_photos,
    )
    return st.radio(
        "Network",
        [item.architecture for item in spec.candidates],
        index=None,
        captions=list(map(_caption, spec.candidates)),
        key="open.architecture",
    )


def _photos() -> tuple[File, ...]:
    """Return the images shown that a person brought: neither samples nor noise."""
    known = {file.sha256 for file in samples.image_files().values()}
    generated = ("uniform", *KINDS, SHUFFLED)
    return tuple(
        file
        for file in current_session().shown_images()
        if file.sha256 not in known and not file.name.startswith(generated)
    )


def _take_photos() -> None:
    uploads = st.session_state[PHOTOS] or ()
    store_images((upload.getvalue(), upload.name) for upload in uploads)


def _caption(item: Candidate) -> str:
    deviation = "BatchNorm deviation not measured"
    if item.deviation is not None:
        images = counted(item.deviation_images, "image")
        deviation = f"BatchNorm deviation {item.deviation:.2f} on {images}, lower fits better"
    return f"{deviation} · {item.preprocessing.summary}"


def show_facts(spec: ModelSpec) -> None:
    """Say what the file is, what fits, and what came of every check."""
    size = f"{spec.width} × {spec.height} px, {'colour' if spec.channels == 3 else 'grey'}"
    facts = {
        "Format": spec.format,
        "Network": spec.architecture or "to be chosen",
        "Input": size,
        "Outputs": f"{len(spec.class_names)} classes, {spec.output}",
        "Parameters": f"{spec.parameters:,}",
        "sha256": f"{spec.sha256[:32]} {spec.sha256[32:]}",
    }
    st.table({"": list(facts), "what was found": list(facts.values())}, hide_index=True)
    for check in spec.checks:
        mark, message = st.columns([1, 24])
        mark.markdown(MARKS[check.status])
        message.text(f"{check.name}: {check.message}")
    if len(spec.candidates) > 1:
        with st.expander(f"All {len(spec.candidates)} networks that fit"):
            st.dataframe(
                [
                    {"network": item.architecture, "fit": item.fit, "what matches": item.message}
                    for item in spec.candidates
                ],
                hide_index=True,
            )


def recipe_text(spec: ModelSpec) -> str:
    """Return model, classes and preprocessing in force as a recipe's text."""
    settings = current_session().preprocessing or spec.preprocessing
    return recipe.dumps(
        recipe.Recipe(
            spec.name,
            spec.sha256,
            spec.architecture,
            spec.output,
            spec.class_names,
            settings,
            current_session().model.ema,
        )
    )
