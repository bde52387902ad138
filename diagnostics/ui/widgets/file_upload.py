"""A widget that sends one large file, or a folder as one, straight to the server's disk."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from diagnostics.schema.request import File
from diagnostics.ui.server import uploads
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.alerts import show_error

FOLDER = Path(__file__).parent / "sender"


def upload(label: str, *, key: str, folder: bool = False) -> File | None:
    """Draw the widget and return the file that came last, if one came.

    The script asks for its own ticket on every run, and what the browser says only makes it run:
    name, hash and size come from the server.

    Args:
        label: What the file is.
        key: The widget's, by which the session keeps its ticket and its file.
        folder: Take a folder of images, which the browser sends as one .tar, or such an archive.
    """
    session = current_session()
    limit = session.free_bytes()
    token = session.tickets.get(key) or uploads.issue(session.upload_folder, limit)
    arrived = uploads.take(token)
    if arrived is not None:
        if arrived.size > limit:  # other files came since the ticket was issued
            arrived.path.unlink(missing_ok=True)
            show_error(f"{arrived.name[:60]} was not taken: {session.quota_message()}")
        else:
            session.accept_upload(key, arrived.path, arrived.sha256, arrived.name)
        limit = session.free_bytes()
        token = uploads.issue(session.upload_folder, limit)
    session.tickets[key] = token
    file = session.uploaded.get(key)
    mount = st.components.v2.component(
        "oversure_upload",
        html=(FOLDER / "upload.html").read_text("utf-8"),
        css=(FOLDER / "upload.css").read_text("utf-8"),
        js="".join((FOLDER / name).read_text("utf-8") for name in ("tar.js", "upload.js")),
        isolate_styles=False,  # a dialog's focus trap does not see into a shadow root
    )
    mount(
        key=key,
        data={  # flat: a mapping within makes Streamlit load pandas
            "url": uploads.address(token, str(st.get_option("server.baseUrlPath") or "")),
            "limit": limit,
            "label": label,
            "folder": folder,
            "held": file.name if file else "",
            "size": Path(file.path).stat().st_size if file else 0,
        },
        on_arrived_change=lambda: None,
    )
    return file
