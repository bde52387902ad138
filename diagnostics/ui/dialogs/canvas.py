"""Images that are pasted from the clipboard, or drawn here."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

import streamlit as st

from diagnostics.schema.spec import ModelSpec
from diagnostics.ui.dialogs.add_images import store_images
from diagnostics.ui.session.state import current_session

FOLDER = Path(__file__).parent / "hand"
DRAWING = "drawing.png"
MAX_CHARACTERS = 25 * 2**20  # of base64, some 18 MiB of image
ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/bmp": "bmp"}


def paste() -> None:
    """Add images that are pasted anywhere on the page."""
    mount = _component("paste", '<div class="hint">or paste one with Ctrl+V</div>')
    mount(key="paste", on_pasted_change=_pasted)


def draw(spec: ModelSpec) -> None:
    """Draw a canvas; what is drawn is an image like any other."""
    html = (FOLDER / "draw.html").read_text("utf-8")
    mount = _component("draw", html)
    mount(data={"bright": spec.channels == 3}, key="draw", on_drawn_change=_drawn)


def _component(name: str, html: str) -> Any:
    return st.components.v2.component(
        f"oversure_{name}",
        html=html,
        css=(FOLDER / "hand.css").read_text("utf-8"),
        js=(FOLDER / f"{name}.js").read_text("utf-8"),
    )


def _pasted() -> None:
    session = current_session()
    image = _content(st.session_state["paste"].get("pasted"))
    if image:
        content, ending = image
        count = 1 + sum(file.name.startswith("pasted") for file in session.images)
        store_images([(content, f"pasted {count}.{ending}")])


def _drawn() -> None:
    session = current_session()
    image = _content(st.session_state["draw"].get("drawn"))
    if image:
        session.draw(session.store_upload(image[0], DRAWING))


def _content(address: object) -> tuple[bytes, str] | None:
    """Return the bytes of a "data:" address and the ending for its kind; None for anything else.

    Only the model's process decodes them.
    """
    head, _, body = str(address or "").partition(";base64,")
    ending = ENDINGS.get(head.removeprefix("data:"))
    try:
        fits = ending and 0 < len(body) <= MAX_CHARACTERS
        return (base64.b64decode(body, validate=True), str(ending)) if fits else None
    except binascii.Error:
        return None
