"""Frames between server, zygote and worker: length-prefixed JSON, then arrays as .npy; no pickle.

A worker is not trusted: what it sends is read in pieces, under size limits, and checked before it
becomes a value. JSON has no NaN and no infinity: neither side sends or takes them, and a score
without a value is None. Arrays may hold them.
"""

from __future__ import annotations

import io
import json
import math
import socket
import struct
from collections.abc import Generator, Mapping
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

MIB = 2**20
HEADER_MIB, ARRAY_MIB, MESSAGE_MIB = 16, 64, 512
NPY_HEADER_BYTES = 4096
LENGTH = struct.Struct(">I")

# What the server asks of the zygote: one of these letters and the number of a worker.
FORK, END, ASK = b"f", b"e", b"a"
ORDER = struct.Struct(">cI")
STATUS = struct.Struct(">i")

Header: TypeAlias = dict[str, Any]
Arrays: TypeAlias = Mapping[str, NDArray[Any]]
Message: TypeAlias = tuple[Header, dict[str, NDArray[Any]]]


class ProtocolError(Exception):
    """A message is not as agreed, or larger."""


def send(
    connection: socket.socket, header: Mapping[str, Any], arrays: Arrays | None = None
) -> None:
    """Send one message, or nothing of it.

    Args:
        connection: To the other side.
        header: JSON.
        arrays: Sent behind the header; booleans, integers or floats.

    Raises:
        ProtocolError: When the other side would refuse it.
    """
    blocks = {name: _block(values) for name, values in (arrays or {}).items()}
    sizes = [{"name": name, "bytes": len(block)} for name, block in blocks.items()]
    try:
        text = json.dumps({**header, "arrays": sizes}, allow_nan=False).encode()
    except ValueError as error:
        raise ProtocolError(f"a header that is not JSON: {error}") from None
    _check_sizes(len(text), [len(block) for block in blocks.values()])
    connection.sendall(LENGTH.pack(len(text)) + text)
    for block in blocks.values():
        connection.sendall(block)


def receive(connection: socket.socket) -> Message:
    """Wait for one message and return its header and its arrays.

    Raises:
        EOFError: When the other side is gone.
        ProtocolError: When the message is not as agreed.
    """
    inbox = Inbox(connection)
    while (message := inbox.take()) is None:
        pass
    return message


class Inbox:
    """Puts messages together from whatever has arrived, so that waiting can be interrupted.

    Args:
        connection: To the other side; its timeout is how long `take` waits.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._begin()

    def take(self) -> Message | None:
        """Read once from the connection; return the message if that completed one.

        Raises:
            EOFError: When the other side is gone.
            ProtocolError: When the message is not as agreed.
        """
        part = self._connection.recv(min(self._wanted - len(self._piece), MIB))
        if not part:
            raise EOFError
        self._piece += part
        if len(self._piece) < self._wanted:
            return None
        piece, self._piece = self._piece, bytearray()
        try:
            self._wanted = self._parser.send(piece)
        except StopIteration as complete:
            message: Message = complete.value
            self._begin()
            return message
        return None

    def _begin(self) -> None:
        self._parser = _parse()
        self._wanted = next(self._parser)
        self._piece = bytearray()


def _parse() -> Generator[int, bytearray, Message]:
    """Read one message: yield how many bytes it needs next, be sent them, return it."""
    (length,) = LENGTH.unpack((yield LENGTH.size))
    _check_sizes(length, [])
    header, announced = _header((yield length))
    _check_sizes(length, list(announced.values()))
    arrays = {}
    for name, size in announced.items():
        arrays[name] = _array((yield size))
    return header, arrays


def _check_sizes(header: int, arrays: list[int]) -> None:
    fine = 0 < header <= HEADER_MIB * MIB and sum(arrays) <= MESSAGE_MIB * MIB
    if not fine or not all(0 < size <= ARRAY_MIB * MIB for size in arrays):
        raise ProtocolError("a message larger than agreed, or an empty one")


def _header(text: bytearray) -> tuple[Header, dict[str, int]]:
    """Return the JSON, and the arrays it announces with their sizes."""
    try:
        header = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        listed = header.pop("arrays")
        announced = {item["name"]: item["bytes"] for item in listed}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ProtocolError("a header that is no message") from None
    named = all(isinstance(name, str) and type(size) is int for name, size in announced.items())
    if not named or len(announced) != len(listed) or not isinstance(header.get("type"), str):
        raise ProtocolError("a header that is no message")
    return header, announced


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _block(values: NDArray[Any]) -> bytes:
    if values.dtype.kind not in "biuf":
        raise ProtocolError(f"an array of {values.dtype}")
    stream = io.BytesIO()
    npy.write_array(stream, np.asarray(values), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _array(block: bytearray) -> NDArray[Any]:
    """Return the array; its header must describe exactly the bytes that came."""
    stream = io.BytesIO(block)
    try:
        if npy.read_magic(stream) != (1, 0):
            raise ProtocolError("an array in another version of .npy")
        shape, columns_first, dtype = npy.read_array_header_1_0(stream, NPY_HEADER_BYTES)
        values = math.prod(shape) * dtype.itemsize
        if dtype.kind not in "biuf" or min(shape, default=0) < 0:
            raise ProtocolError("an array of something else than numbers")
        if stream.tell() + values != len(block):
            raise ProtocolError("an array whose size is not that of its bytes")
        order: Any = "F" if columns_first else "C"
        return np.ndarray(shape, dtype, buffer=block, offset=stream.tell(), order=order)
    except ProtocolError:
        raise
    except Exception as error:  # numpy reads the header as Python and raises whatever that raises
        raise ProtocolError("an array that cannot be read") from error
