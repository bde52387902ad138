"""Take the images behind a mark in hand, and open them in Inspect."""

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
from diagnostics.ui.dialogs.add_images import MOST_IMAGES
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.alerts import show_error
from diagnostics.ui.widgets.run import try_request

MOST = 8  # images that a probe gives at once
INSPECT_PAGE = "pages/1_look/1_inspect.py"
DRAWN = "draw "  # begins the names of images drawn here


def is_drawn(file: File) -> bool:
    """Whether an image is a draw of the panel of noise, opened from its page."""
    return file.name.startswith(DRAWN)


def draws(asked: Request, family: str, numbers: Sequence[int]) -> list[File]:
    """Return draws of noise as files; none where it was said why not.

    Args:
        asked: What the noise probe was asked.
        family: Id of the family.
        numbers: Of the draws.
    """
    wanted = ",".join(str(number) for number in numbers[:MOST])
    options = {
        "family": family,
        "draws": wanted,
        "user_noise": asked.options.get("user_noise", ""),
    }
    answer = try_request(replace(asked, method="noise/noise_images", options=options))
    if answer is None:
        return []
    return _kept(
        (encoded(answer.arrays[f"draw/{number}"]), f"{DRAWN}{number} {family}.png")
        for number in answer.scores["draws"]
    )


def folder_images(asked: Request, names: Sequence[str]) -> list[File]:
    """Return images of the folder as files; none where it was said why not.

    Args:
        asked: What was asked about the folder.
        names: Their paths below the folder.
    """
    options = {"names": json.dumps(list(names[:MOST]))}
    answer = try_request(
        replace(asked, method="inspection/folder_images", images=(), options=options)
    )
    if answer is None:
        return []
    return _kept(
        (answer.arrays[f"image/{place}"].tobytes(), name)
        for place, name in enumerate(answer.scores["names"])
    )


def pictures(
    made: Iterable[tuple[NDArray[np.uint8], str]], settings: Preprocessing | None = None
) -> list[File]:
    """Return pictures as files, as many as there is room for.

    Args:
        made: Pixels, shape (h, w, c) with one or three channels, and the name of each.
        settings: What the files will go through, so that the network receives these very pixels,
            see `again`; None leaves the pictures as they are.
    """
    return _kept(
        (encoded(framed(pixels, settings) if settings else pixels), f"{name}.png")
        for pixels, name in made
    )


def again(settings: Preprocessing) -> str:
    """Say how a picture reaches the network where it is opened as an image; empty if plainly."""
    said = []
    if settings.fit == "crop" and settings.resize_px > min(settings.height, settings.width):
        said.append(
            "What is opened gets a plain border, which the preprocessing cuts off: the network "
            "receives the very picture."
        )
    done = {"put through the contrast curve": settings.contrast, "blurred": settings.blur}
    if any(done.values()):
        what = " and ".join(one for one, is_done in done.items() if is_done)
        said.append(f"It is {what} again there, so the answer can differ.")
    return " ".join(said)


def inspect(files: Sequence[File]) -> None:
    """Take files in hand and go to Inspect; do nothing where there are none."""
    session = current_session()
    fresh = {file.sha256 for file in files} - session.known_images().keys()
    if len(session.images) + len(fresh) > MOST_IMAGES:
        show_error(f"{MOST_IMAGES} images are the most that can be in hand at once.")
    elif files:
        session.add_images(files)
        st.switch_page(INSPECT_PAGE)


def _kept(contents: Iterable[tuple[bytes, str]]) -> list[File]:
    """Write images to this person's files, as many as there is room for."""
    files: list[File] = []
    for content, name in contents:
        try:
            files.append(current_session().store_upload(content, name))
        except InputError as error:
            show_error(error.message)
            break
    return files


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    """Return a picture, shape (h, w, c) with one or three channels, as a PNG file."""
    return encode_png(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
