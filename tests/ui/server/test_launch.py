"""How connections to the server behave."""

from __future__ import annotations

import os
import socket

from diagnostics.ui.server.launch import send_at_once


def _waits(connection):
    """Say whether small packets wait until those before them are confirmed."""
    return not connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_small_packets_go_at_once_to_whoever_connects_to_a_socket_that_names_no_protocol():
    with socket.socket(family=socket.AF_INET) as listening, socket.socket() as other:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        before = set(os.listdir("/dev/fd"))
        send_at_once()
        assert set(os.listdir("/dev/fd")) == before
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert not _waits(accepted)
        assert _waits(other)
