"""What server and worker say to each other: length-prefixed JSON, then arrays as .npy; no pickle.

A worker is not trusted: everything it sends is read under a size limit and checked.
"""

from __future__ import annotations

import io
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from diagnostics.schema.request import (
    FOLDERS,
    Factory,
    File,
    ModelSource,
    Progress,
    Request,
    Result,
)
from diagnostics.schema.spec import preprocessing_from

HEADER_MIB, ARRAY_MIB, MESSAGE_MIB = 16, 64, 512
MIB = 2**20
KINDS = {"request", "progress", "result", "error"}
Arrays = Mapping[str, NDArray[Any]]

# What the server asks of the zygote, each followed by a process id or zero.
FORK, WAIT = b"f", b"w"
NUMBER = struct.Struct(">i")


class ProtocolError(Exception):
    """The other side sent what this protocol does not allow."""


class TooLargeError(Exception):
    """What was to be sent is larger than the other side would read."""


def send(
    connection: socket.socket, header: Mapping[str, Any], arrays: Arrays | None = None
) -> None:
    """Send one message.

    Args:
        connection: To the other side.
        header: JSON with a "type"; no NaN and no infinity.
        arrays: Sent behind the header.

    Raises:
        TooLargeError: When the other side would refuse it for its size; nothing was sent.
    """
    arrays = arrays or {}
    total = sum(values.nbytes for values in arrays.values())
    largest = max((values.nbytes for values in arrays.values()), default=0)
    if total > (MESSAGE_MIB - 1) * MIB or largest > (ARRAY_MIB - 1) * MIB:
        raise TooLargeError(f"The answer has {total / MIB:.0f} MiB")
    blocks = {name: _npy(values) for name, values in arrays.items()}
    sizes = [{"name": name, "bytes": len(block)} for name, block in blocks.items()]
    text = json.dumps({**header, "arrays": sizes}, allow_nan=False).encode()
    connection.sendall(struct.pack(">I", len(text)) + text)
    for block in blocks.values():
        connection.sendall(block)


def receive(connection: socket.socket) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Receive one message: its header and its arrays.

    Raises:
        EOFError: When the other side is gone.
        ProtocolError: When the message is not as agreed.
    """
    (length,) = struct.unpack(">I", _exactly(connection, 4))
    if length > HEADER_MIB * MIB:
        raise ProtocolError(f"a header of {length} bytes")
    try:
        header = json.loads(_exactly(connection, length))
        announced = [(str(item["name"]), int(item["bytes"])) for item in header.pop("arrays")]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ProtocolError(f"a header that is no message: {error}") from None
    if header.get("type") not in KINDS:
        raise ProtocolError("a message of no known type")
    sizes = [size for _, size in announced]
    if any(not 0 < size <= ARRAY_MIB * MIB for size in sizes) or sum(sizes) > MESSAGE_MIB * MIB:
        raise ProtocolError("arrays larger than agreed")
    return header, {name: _array(_exactly(connection, size)) for name, size in announced}


def request_message(request: Request, inbox: str = "") -> dict[str, Any]:
    """Return the message that asks a request, and names the folder where its images lie."""
    return {"type": "request", "inbox": inbox, **asdict(request)}


def read_request(header: Mapping[str, Any]) -> Request:
    """Return the request that a message asks."""
    settings = header["preprocessing"]
    options = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in header["options"].items()
    }
    return Request(
        method=header["method"],
        model=_read_source(header["model"]),
        images=tuple(File(**image) for image in header["images"]),
        preprocessing=settings and preprocessing_from(settings),
        target=header["target"],
        against=header["against"],
        options=options,
        seed=header["seed"],
        **{name: header[name] and File(**header[name]) for name in FOLDERS},
    )


def _read_source(model: Mapping[str, Any]) -> ModelSource:
    names = model["class_names"] and tuple(model["class_names"])
    factory = model["factory"] and Factory(**model["factory"])
    file = File(**model["file"])
    decided = (model["architecture"], names, model["output"], factory)
    others = tuple(map(_read_source, model["others"]))
    return ModelSource(file, *decided, model["programs"], model["modules"], others)


def result_message(result: Result) -> dict[str, Any]:
    """Return the message that answers with a result; its arrays travel beside it."""
    return {
        "type": "result",
        "key": result.key,
        "scores": result.scores,
        "seconds": result.seconds,
        "versions": result.versions,
    }


def read_result(header: Mapping[str, Any], arrays: Arrays, key: str) -> Result:
    """Return the result that a message answers with.

    Raises:
        ProtocolError: When it is the answer to another request, or not as agreed.
    """
    scores, seconds = header.get("scores"), header.get("seconds")
    versions = header.get("versions")
    is_answer = isinstance(scores, dict) and isinstance(versions, dict) and header.get("key") == key
    if not is_answer or not isinstance(seconds, int | float):
        raise ProtocolError("a result that is not as agreed")
    return Result(key, arrays, scores, float(seconds), versions)  # type: ignore[arg-type]


def progress_message(progress: Progress) -> dict[str, Any]:
    """Return the message that reports progress; the arrays of what is there travel beside it."""
    partial = progress.partial and result_message(progress.partial)
    return {**vars(progress), "type": "progress", "partial": partial}


def read_progress(header: Mapping[str, Any], arrays: Arrays, key: str) -> Progress:
    """Return the progress that a message reports.

    Raises:
        ProtocolError: When it is of another request, or not as agreed.
    """
    activity, done = header.get("activity"), header.get("done")
    seconds_left = header.get("seconds_left")
    has_numbers = isinstance(done, int | float) and isinstance(seconds_left, int | float | None)
    if not isinstance(activity, str) or not has_numbers:
        raise ProtocolError("a progress that is not as agreed")
    partial = header.get("partial")
    if partial is not None and not isinstance(partial, dict):
        raise ProtocolError("an answer so far that is not as agreed")
    result = None if partial is None else read_result(partial, arrays, key)
    return Progress(activity[:200], min(max(float(done or 0), 0.0), 1.0), seconds_left, result)


def _npy(values: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    return stream.getvalue()


def _array(block: bytes) -> NDArray[Any]:
    """Read an array; its own header must announce exactly the bytes that came."""
    try:
        values = npy.read_array(io.BytesIO(block), allow_pickle=False, max_header_size=4096)
    except (ValueError, EOFError, MemoryError, OverflowError, TypeError) as error:
        raise ProtocolError(f"an array that cannot be read: {error}") from None
    if values.dtype.kind not in "biuf":
        raise ProtocolError(f"an array of {values.dtype}")
    return values


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        part = connection.recv(min(count - len(received), MIB))
        if not part:
            raise EOFError
        received += part
    return bytes(received)
