"""The dialog that brings images in: files, samples, and noise or blanks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from diagnostics.data import noise, samples
from diagnostics.data.image import eight_bit, encode_png
from diagnostics.errors import InputError
from diagnostics.schema.request import INSPECT, READ, File, Request
from diagnostics.schema.results.inspection import ReadAnswer
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import shortened
from diagnostics.ui.session import store
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.alerts import show_error
from diagnostics.ui.widgets.run import run_request, try_request

IMAGE_MIB = 25
MAX_IMAGES = 500
ENDINGS = ("png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif")
SHUFFLED = "shuffled pixels"
KINDS: dict[str, noise.Kind] = {
    "uniform noise": "uniform",
    "Gaussian noise": "gaussian",
    "salt and pepper": "salt-and-pepper",
    "constant": "constant",
    "checkerboard": "checkerboard",
}
LEVELS = {"salt-and-pepper": "Share of pixels turned black or white"}


@st.dialog("Add images", width="large")
def add_images(spec: ModelSpec) -> None:
    """Add images from files, from the samples, or generated here."""
    source = st.segmented_control(
        "From",
        ("Files", "Folder", "Camera", "Samples", "Noise and blanks"),
        default="Files",
        key="add.from",
        required=True,
    )
    if source in ("Files", "Folder"):
        _files(folder=source == "Folder")
    elif source == "Camera":
        _camera()
    elif source == "Samples":
        _samples()
    else:
        _noise(spec)


def add_noise(spec: ModelSpec) -> None:
    """Add one more image of uniform noise in the model's size, its seed not used before."""
    session = current_session()
    seed = 1 + sum(file.name.startswith("uniform") for file in session.images)
    values = noise.generate("uniform", spec.height, spec.width, spec.channels, seed=seed)
    session.add_images([_store(values, f"uniform {seed}")])


def store_images(contents: Iterable[tuple[bytes, str]]) -> None:
    """Add images by content and name, those that can be read and as many as one may have.

    Why the others were refused stands on the page until it is dismissed.
    """
    session = current_session()
    files: list[File] = []
    refused: list[str] = []
    for content, name in contents:
        try:
            if len(session.images) + len(files) >= MAX_IMAGES:
                raise InputError(
                    f"{name} and what came after it was not taken: {MAX_IMAGES} images are the "
                    "most that can be in hand at once."
                )
            files.append(session.store_upload(content, name))
        except InputError as error:
            refused.append(error.message)
            break
    errors = _unreadable(files)
    refused += errors.values()
    session.add_own_images([file for file in files if file.sha256 not in errors])
    session.refused = tuple(refused)


def _unreadable(files: Sequence[File]) -> dict[str, str]:
    """Return why files cannot be read as images, by their hash; only the worker decodes them."""
    session = current_session()
    known = session.images_by_hash()
    new = tuple(file for file in files if file.sha256 not in known)
    result = try_request(Request(READ, session.model, new)) if new else None
    if result is None:  # nobody could say: each column will
        return {}
    answer: ReadAnswer = result.scores
    errors = {entry["sha256"]: entry["error"] for entry in answer["images"] if entry["error"]}
    for file in new:
        if file.sha256 in errors:
            store.release(file, session.owner)
    return errors


def _files(*, folder: bool) -> None:
    key = "add.folder" if folder else "add.files"
    uploads = st.file_uploader(
        f"Drop {'a folder of images' if folder else 'images'} here: PNG, JPEG, WebP, BMP, TIFF "
        "or GIF",
        type=ENDINGS if folder else None,  # other files of a folder are left out
        accept_multiple_files="directory" if folder else True,
        key=key,
        max_upload_size=IMAGE_MIB,
    )
    if uploads:
        store_images((upload.getvalue(), upload.name) for upload in uploads)
        del st.session_state[key]
        st.rerun()


def _camera() -> None:
    photo = st.camera_input("Take a photo", key="add.camera")
    if photo:
        count = 1 + sum(file.name.startswith("camera") for file in current_session().images)
        store_images([(photo.getvalue(), f"camera {count}.jpg")])
        del st.session_state["add.camera"]
        st.rerun()


def _samples() -> None:
    images = samples.image_files()
    chosen = st.pills("Samples", list(images), selection_mode="multi", key="add.samples")
    columns = st.columns(6)
    for index, name in enumerate(images):
        with columns[index % 6]:
            path = images[name].path
            st.image(path, name, width=96, output_format="PNG", alt=f"Sample image {name}.")
    if st.button("Add", type="primary", disabled=not chosen, key="add.samples.button"):
        current_session().add_images([images[name] for name in chosen])
        st.rerun()


def _noise(spec: ModelSpec) -> None:
    shown = {shortened(file.name, 28): file for file in current_session().shown_images()}
    left, right = st.columns(2)
    kind = left.selectbox("Kind", (*KINDS, SHUFFLED), key="add.kind")
    seed = right.number_input("Seed", 0, 2**31 - 1, 0, key="add.seed")
    if kind == SHUFFLED:
        name = st.selectbox("Pixels of", list(shown), key="add.source")
        file = _shuffled(shown[name], int(seed)) if name else None
    else:
        file = _generated(spec, KINDS[kind], f"{kind} {seed}", int(seed))
    if st.button("Add", type="primary", key="add.made") and file is not None:
        current_session().add_images([file])
        st.rerun()


def _generated(spec: ModelSpec, kind: noise.Kind, name: str, seed: int) -> File:
    left, middle, right = st.columns(3)
    height = left.number_input("Height, px", 1, 2048, spec.height, key="add.height")
    width = middle.number_input("Width, px", 1, 2048, spec.width, key="add.width")
    level = 0.5
    if kind != "uniform":
        label = LEVELS.get(kind, "Level, 0 black to 1 white")
        level = right.slider(label, 0.0, 1.0, level, key="add.level")
    values = noise.generate(kind, int(height), int(width), spec.channels, seed=seed, level=level)
    return _store(values, name)


def _shuffled(image: File, seed: int) -> File | None:
    """Shuffle what the network receives of an image; only the worker decodes images."""
    session = current_session()
    options = {"layers": (), "attributions": ()}
    request = Request(INSPECT, session.model, (image,), session.preprocessing, options=options)
    result = run_request(request)
    entry = result.scores["images"][0]
    unsigned = [stage for stage in entry["preprocessing"] if not stage["signed"]]
    if not unsigned:
        show_error(entry["error"])
        return None
    values: NDArray[Any] = result.arrays[f"0/{unsigned[-1]['picture']}"]
    levels = eight_bit(values)
    return _store(noise.shuffle(levels, seed=seed), f"shuffled {image.name} {seed}")


def _store(values: NDArray[np.uint8], name: str) -> File:
    picture = values[..., 0] if values.shape[2] == 1 else values
    return current_session().store_upload(encode_png(picture), f"{name}.png")
