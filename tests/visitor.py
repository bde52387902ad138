"""A visitor without a browser: what one says to the server over the wire."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect


def visit(address: str, pages: Sequence[str], leaving: Callable[[], object] = lambda: None) -> None:
    """Open the app over the wire, have pages drawn one after another, and leave.

    Args:
        address: Of the server.
        pages: By the names in their addresses.
        leaving: Called before the last page is closed.
    """
    stream = f"{address.replace('http', 'ws')}/_stcore/stream"
    with connect(stream, subprotocols=["streamlit"], origin=address, max_size=None) as socket:
        for page in pages:
            _draw(socket, page)
        leaving()


def _draw(socket: ClientConnection, page: str) -> None:
    asked = BackMsg()
    asked.rerun_script.query_string = ""
    asked.rerun_script.page_name = page
    socket.send(asked.SerializeToString())
    while True:
        told = ForwardMsg()
        told.ParseFromString(socket.recv(timeout=300))
        if told.WhichOneof("type") == "script_finished":
            return
