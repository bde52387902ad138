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
    from streamlit.web import bootstrap

    settings = {"server_address": address, "server_port": port}
    bootstrap.load_config_options(settings)
    bootstrap.run(str(ROOT / "app.py"), False, [], settings)
    return 0
