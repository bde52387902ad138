"""Open in Inspect: the images behind a mark, or pictures that a page computed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from diagnostics.data.image import encode_png
from diagnostics.errors import InputError
from diagnostics.preprocessing.inverse import framed
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import File, Request
from diagnostics.ui.dialogs.add_images import MAX_IMAGES
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.alerts import show_error
from diagnostics.ui.widgets.run import try_request

MAX_FILES = 8  # images that a method returns at once
INSPECT_PAGE = "pages/1_look/1_inspect.py"
NOISE_PREFIX = "draw "  # of the names of draws of noise


def is_noise_draw(file: File) -> bool:
    """Whether an image is a draw of the panel of noise, opened from its page."""
    return file.name.startswith(NOISE_PREFIX)


def noise_files(request: Request, family: str, numbers: Sequence[int]) -> list[File]:
    """Return draws of noise as files; none where the page says why not.

    Args:
        request: To `noise/noise`.
        family: Id of the family.
        numbers: Of the draws.
    """
    options = {
        "family": family,
        "draws": ",".join(str(number) for number in numbers[:MAX_FILES]),
        "user_noise": request.options.get("user_noise", ""),
    }
    answer = try_request(replace(request, method="noise/noise_images", options=options))
    if answer is None:
        return []
    return _store(
        (png(answer.arrays[f"draw/{number}"]), f"{NOISE_PREFIX}{number} {family}.png")
        for number in answer.scores["draws"]
    )


def folder_files(request: Request, names: Sequence[str]) -> list[File]:
    """Return images of the folder as files; none where the page says why not.

    Args:
        request: About the folder.
        names: Their paths below the folder.
    """
    options = {"names": json.dumps(list(names[:MAX_FILES]))}
    answer = try_request(
        replace(request, method="inspection/folder_images", images=(), options=options)
    )
    if answer is None:
        return []
    return _store(
        (answer.arrays[f"image/{index}"].tobytes(), name)
        for index, name in enumerate(answer.scores["names"])
    )


def picture_files(
    pictures: Iterable[tuple[NDArray[np.uint8], str]], settings: Preprocessing | None = None
) -> list[File]:
    """Return pictures as files, as many as there is room for.

    Args:
        pictures: Pixels, shape (h, w, c) with one or three channels, and the name of each.
        settings: What the files will go through, so that the network receives these very pixels,
            see `reprocessing_note`; None leaves the pictures as they are.
    """
    return _store(
        (png(framed(pixels, settings) if settings else pixels), f"{name}.png")
        for pixels, name in pictures
    )


def reprocessing_note(settings: Preprocessing) -> str:
    """Say how a picture reaches the network where it is opened as an image; empty if plainly."""
    sentences = []
    if settings.fit == "crop" and settings.resize_px > min(settings.height, settings.width):
        sentences.append(
            "What is opened gets a plain border, which the preprocessing cuts off: the network "
            "receives the very picture."
        )
    repeated = {"put through the contrast curve": settings.contrast, "blurred": settings.blur}
    if any(repeated.values()):
        stages = " and ".join(stage for stage, strength in repeated.items() if strength)
        sentences.append(f"It is {stages} again there, so the answer can differ.")
    return " ".join(sentences)


def open_files(files: Sequence[File]) -> None:
    """Add images and go to Inspect; do nothing where there are none."""
    session = current_session()
    new = {file.sha256 for file in files} - session.images_by_hash().keys()
    if len(session.images) + len(new) > MAX_IMAGES:
        show_error(f"{MAX_IMAGES} images are the most that can be in hand at once.")
    elif files:
        session.add_images(files)
        st.switch_page(INSPECT_PAGE)


def _store(contents: Iterable[tuple[bytes, str]]) -> list[File]:
    """Write images to this person's files, as many as there is room for."""
    files: list[File] = []
    for content, name in contents:
        try:
            files.append(current_session().store_upload(content, name))
        except InputError as error:
            show_error(error.message)
            break
    return files


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a picture, shape (h, w, c) with one or three channels, as a PNG file."""
    return encode_png(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
