"""Start the server: Streamlit in this process, the worker's zygote beside it."""

from __future__ import annotations

import os

from diagnostics.samples import ROOT
from diagnostics.ui.state import Beginning, begin_with
from diagnostics.worker import Zygote


def serve(address: str, port: int, beginning: Beginning | None = None) -> int:
    """Serve the app until it is interrupted.

    Args:
        address: Address to listen on.
        port: Port to listen on.
        beginning: What every person has in hand at first; None takes the samples.

    Returns:
        The exit code.
    """
    Zygote.start()
    begin_with(beginning)
    os.chdir(ROOT)
    from streamlit.runtime.pages_manager import PagesManager
    from streamlit.web import bootstrap

    # Otherwise Streamlit does not know our pages before the first visit, because of the folder's
    # name, and tells the first visitor that a page that was linked to does not exist.
    PagesManager.uses_pages_directory = False

    settings = {"server_address": address, "server_port": port}
    bootstrap.load_config_options(settings)
    bootstrap.run(str(ROOT / "app.py"), False, [], settings)
    return 0
