"""What server and worker say to each other: length-prefixed JSON, then arrays as .npy; no pickle.

A worker is not trusted: everything it sends is read under a size limit and checked.
"""

from __future__ import annotations

import io
import json
import re
import select
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, NoReturn

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
from diagnostics.schema.results.agreed import is_agreed
from diagnostics.schema.spec import preprocessing_from

HEADER_MIB, ARRAY_MIB, MESSAGE_MIB = 16, 64, 512
LARGEST = 1e15  # of seconds
SENTENCE = 300  # characters
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")  # half a character, which no page can show
ARRAY_HEADER = 4096  # bytes, at most
MIB = 2**20
DROP = "drop"  # the request that is being answered: nobody waits for it any more
KINDS = {"request", DROP, "progress", "result", "error"}
Arrays = Mapping[str, NDArray[Any]]

# What the server asks of the zygote, each followed by a process id or zero.
FORK, WAIT = b"f", b"w"
NUMBER = struct.Struct(">i")
OVER_DISK = 1000  # in place of an exit code: the zygote ended it, because it wrote too much


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
    sizes = [{"name": name, "bytes": sum(map(len, parts))} for name, parts in blocks.items()]
    text = json.dumps({**header, "arrays": sizes}, allow_nan=False).encode()
    connection.sendall(struct.pack(">I", len(text)) + text)
    for parts in blocks.values():
        for part in parts:
            connection.sendall(part)


def receive(
    connection: socket.socket, seconds: float | None = None
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Receive one message: its header and its arrays.

    Args:
        connection: To the other side.
        seconds: In which all of it must have come; None waits for each part as the connection
            does.

    Raises:
        EOFError: When the other side is gone.
        TimeoutError: When it takes too long.
        ProtocolError: When the message is not as agreed.
    """
    stream = _Stream(connection, seconds)
    (length,) = struct.unpack(">I", stream.exactly(4))
    if length > HEADER_MIB * MIB:
        raise ProtocolError(f"a header of {length} bytes")
    text = stream.exactly(length).tobytes()
    with _reading("a header that is no message"):
        header = json.loads(text.decode(), parse_constant=_no_number)
        kind = header["type"]
        if kind != "request" and SURROGATE.search(text):
            header = json.loads(json.dumps(header, ensure_ascii=False).encode("utf-8", "replace"))
        announced = [(str(item["name"]), int(item["bytes"])) for item in header.pop("arrays")]
    if not isinstance(kind, str) or kind not in KINDS:
        raise ProtocolError("a message of no known type")
    sizes = [size for _, size in announced]
    if any(not 0 < size <= ARRAY_MIB * MIB for size in sizes) or sum(sizes) > MESSAGE_MIB * MIB:
        raise ProtocolError("arrays larger than agreed")
    return header, {name: _array(stream.exactly(size)) for name, size in announced}


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Read what a stranger wrote: whatever goes wrong then is not as agreed.

    Parsers of libraries answer broken input with many kinds of errors, of which any list is short
    of some: deep nesting, numbers too large, text that is no Unicode.
    """
    try:
        yield
    except Exception as error:
        raise ProtocolError(f"{what}: {type(error).__name__}") from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


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
        engine=header["engine"],
        **{name: header[name] and File(**header[name]) for name in FOLDERS},
    )


def _read_source(model: Mapping[str, Any]) -> ModelSource:
    names = model["class_names"] and tuple(model["class_names"])
    factory = model["factory"] and Factory(**model["factory"])
    file = File(**model["file"])
    others = tuple(map(_read_source, model["others"]))
    decided = {**model, "file": file, "class_names": names, "factory": factory, "others": others}
    return ModelSource(**decided)


def result_message(result: Result) -> dict[str, Any]:
    """Return the message that answers with a result; its arrays travel beside it."""
    return {
        "type": "result",
        "key": result.key,
        "scores": result.scores,
        "seconds": result.seconds,
        "versions": result.versions,
        "engine": result.engine,
    }


def read_result(header: Mapping[str, Any], arrays: Arrays, key: str, method: str = "") -> Result:
    """Return the result that a message answers with.

    Args:
        header: The message.
        arrays: Those behind it.
        key: Of the request.
        method: That was asked, which may demand more of its answer.

    Raises:
        ProtocolError: When it is the answer to another request, or not as agreed.
    """
    scores, versions, engine = (header.get(name) for name in ("scores", "versions", "engine"))
    is_typed = isinstance(scores, dict) and isinstance(versions, dict) and isinstance(engine, str)
    if not is_typed or header.get("key") != key or not is_agreed(method, scores):
        raise ProtocolError("a result that is not as agreed")
    seconds = _number(header.get("seconds"))
    return Result(key, arrays, scores, seconds, versions, engine[:SENTENCE])  # type: ignore[arg-type,index]


def progress_message(progress: Progress) -> dict[str, Any]:
    """Return the message that reports progress; the arrays of what is there travel beside it."""
    partial = progress.partial and result_message(progress.partial)
    return {**vars(progress), "type": "progress", "partial": partial}


def read_progress(
    header: Mapping[str, Any], arrays: Arrays, key: str, method: str = ""
) -> Progress:
    """Return the progress that a message reports, see `read_result`.

    Raises:
        ProtocolError: When it is of another request, or not as agreed.
    """
    activity, seconds_left = header.get("activity"), header.get("seconds_left")
    if not isinstance(activity, str):
        raise ProtocolError("a progress that is not as agreed")
    done = min(max(_number(header.get("done")), 0.0), 1.0)
    left = None if seconds_left is None else _number(seconds_left)
    partial = header.get("partial")
    if partial is not None and not isinstance(partial, dict):
        raise ProtocolError("an answer so far that is not as agreed")
    result = None if partial is None else read_result(partial, arrays, key, method)
    return Progress(activity[:200], done, left, result)


def _number(value: object) -> float:
    """Return a number of a message; JSON also has some that no float can hold."""
    if isinstance(value, int | float) and abs(value) < LARGEST:
        return float(value)
    raise ProtocolError("something else where a number was agreed")


def _npy(values: NDArray[Any]) -> tuple[bytes, memoryview]:
    """Return an .npy in two parts, its header and the values where they lie in memory."""
    stream = io.BytesIO()
    values = np.asarray(values, order="C")
    npy.write_array_header_1_0(stream, npy.header_data_from_array_1_0(values))
    return stream.getvalue(), values.reshape(-1).view(np.uint8).data


def _array(block: memoryview) -> NDArray[Any]:
    """Read an array, which stays where it came; it must announce exactly the bytes that came."""
    with _reading("an array that cannot be read"):
        stream = io.BytesIO(block[:ARRAY_HEADER])
        if npy.read_magic(stream) != (1, 0):
            raise ValueError("another version")
        shape, is_fortran, dtype = npy.read_array_header_1_0(stream, ARRAY_HEADER)
        if dtype.kind not in "biuf":
            raise ValueError(f"{dtype}")
        if is_fortran or min(shape, default=0) < 0:
            raise ValueError("not as agreed")
        return np.frombuffer(block, np.uint8)[stream.tell() :].view(dtype).reshape(shape)


class _Stream:
    """Bytes from a connection, all of them within a time, however they drip."""

    def __init__(self, connection: socket.socket, seconds: float | None) -> None:
        self._connection = connection
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def exactly(self, count: int) -> memoryview:
        received = np.empty(count, np.uint8).data  # takes memory only as it is filled
        start = 0
        while start < count:
            if self._deadline is not None:
                left = max(0.0, self._deadline - time.monotonic())
                if not select.select([self._connection], [], [], left)[0]:
                    raise TimeoutError
            part = self._connection.recv_into(received[start : start + MIB])
            if not part:
                raise EOFError
            start += part
        return received
