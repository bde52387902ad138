"""The server reads a worker's words as those of a stranger."""

from __future__ import annotations

import io
import json
import pickle
import socket
import struct
import threading

import numpy as np
import pytest

from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import File, ModelSource, Progress, Request, Result
from diagnostics.worker import wire

REQUEST = Request(
    "attribution/grad_cam",
    ModelSource(File("/a", "1", "a.pth"), "timm/x", ("cat", "dog"), "logits"),
    (File("/i", "3", "i.png"),),
    Preprocessing(mean=(0.1, 0.2, 0.3)),
    7,
    -1,
    {"layer": "conv", "layers": ("a", "b"), "top": 3},
    5,
)


def received(*parts):
    """Return what the server reads when the worker sends these bytes and goes away."""
    ours, theirs = socket.socketpair()

    def send():
        with theirs:
            try:
                for part in parts:
                    theirs.sendall(part)
            except OSError:
                return

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with ours:
            return wire.receive(ours)
    finally:
        thread.join()


def framed(header, *blocks):
    text = json.dumps(header).encode()
    return struct.pack(">I", len(text)) + text + b"".join(blocks)


def npy(values, **options):
    stream = io.BytesIO()
    np.save(stream, values, **options)
    return stream.getvalue()


def claiming(shape):
    """Return an .npy of eight bytes whose header claims a shape."""
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + bytes(8)


def array_message(block, announced=None):
    size = len(block) if announced is None else announced
    return framed({"type": "result", "arrays": [{"name": "a", "bytes": size}]}, block)


def test_a_request_is_the_same_after_its_journey():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire.send(theirs, wire.request_message(REQUEST))
        header, arrays = wire.receive(ours)
    assert wire.read_request(header) == REQUEST
    assert arrays == {}


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64", "bool"])
def test_arrays_arrive_bit_for_bit(dtype):
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    _, arrays = received(array_message(npy(values)))
    assert arrays["a"].dtype == values.dtype
    np.testing.assert_array_equal(arrays["a"], values)


def test_nan_and_infinity_travel_in_arrays():
    values = np.array([np.nan, np.inf, -np.inf], dtype=np.float32)
    _, arrays = received(array_message(npy(values)))
    np.testing.assert_array_equal(arrays["a"], values)


HOSTILE = {
    "a header that is too long": struct.pack(">I", 2**31),
    "no json": struct.pack(">I", 4) + b"\xff\xfe{}",
    "a list": framed([1, 2]),
    "no list of arrays": framed({"type": "result"}),
    "an unknown type": framed({"type": "eval", "arrays": []}),
    "an array of negative size": framed({"type": "result", "arrays": [{"name": "a", "bytes": -1}]}),
    "an array that is too large": framed(
        {"type": "result", "arrays": [{"name": "a", "bytes": 2**40}]}
    ),
    "too many arrays": framed(
        {"type": "result", "arrays": [{"name": str(i), "bytes": 2**26} for i in range(9)]}
    ),
    "a pickle": array_message(npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)),
    "a bare pickle": array_message(pickle.dumps({"a": 1})),
    "text": array_message(npy(np.array(["<script>"]))),
    "complex numbers": array_message(npy(np.array([1j]))),
    "records": array_message(npy(np.zeros(2, dtype=[("a", "f4")]))),
    "half an array": array_message(npy(np.zeros(100))[:200]),
    "a shape larger than its bytes": array_message(claiming((2**40,))),
    "a negative shape": array_message(claiming((-1, 8))),
}


@pytest.mark.parametrize("message", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_was_not_agreed_is_refused(message):
    with pytest.raises(wire.ProtocolError):
        received(message)


@pytest.mark.parametrize("count", [0, 2, 10, 40])
def test_a_worker_that_goes_away_in_mid_sentence_is_noticed(count):
    with pytest.raises(EOFError):
        received(array_message(npy(np.zeros(100)))[:count])


RESULT = {
    "type": "result",
    "key": "k",
    "scores": {},
    "seconds": 0.1,
    "versions": {},
    "engine": "",
}


@pytest.mark.parametrize(
    "change",
    [
        {"key": "another"},
        {"scores": []},
        {"scores": None},
        {"seconds": "soon"},
        {"versions": "1.0"},
        {"engine": ["torch"]},
        {"engine": None},
    ],
    ids=str,
)
def test_a_result_with_other_fields_is_refused(change):
    assert wire.read_result(RESULT, {}, "k").seconds == 0.1
    with pytest.raises(wire.ProtocolError):
        wire.read_result({**RESULT, **change}, {}, "k")


def test_what_computed_an_answer_is_a_sentence_and_no_book():
    assert len(wire.read_result({**RESULT, "engine": "x" * 10**6}, {}, "k").engine) == 300


def test_progress_is_brought_into_its_bounds():
    long = wire.read_progress({"activity": "x" * 5000, "done": 7}, {}, "")
    assert len(long.activity) == 200
    assert long.done == 1
    for wrong in ({"activity": 3, "done": 0.1}, {"activity": "x", "done": "half"}):
        with pytest.raises(wire.ProtocolError):
            wire.read_progress(wrong, {}, "")


def test_what_is_there_so_far_travels_with_progress():
    ours, theirs = socket.socketpair()
    result = Result("k", {"a": np.arange(3)}, {"complete": False}, 0.25, {})
    progress = Progress("Working", 0.5, 2.0, result)
    with ours, theirs:
        wire.send(ours, wire.progress_message(progress), result.arrays)
        header, arrays = wire.receive(theirs)
    read = wire.read_progress(header, arrays, "k")
    assert (read.activity, read.done, read.seconds_left) == ("Working", 0.5, 2.0)
    assert read.partial is not None
    assert read.partial.scores == {"complete": False}
    assert np.array_equal(read.partial.arrays["a"], [0, 1, 2])
    with pytest.raises(wire.ProtocolError):
        wire.read_progress(header, arrays, "another")
    with pytest.raises(wire.ProtocolError):
        wire.read_progress({"activity": "x", "done": 0.1, "partial": "all"}, {}, "k")


@pytest.mark.parametrize(
    "values",
    [
        np.float64(3.5),
        np.zeros((0, 4), np.float32),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(24.0).reshape(4, 6)[::2, 1::2],
        np.arange(3, dtype=">i4"),
        np.array([True, False]),
    ],
    ids=["a number", "nothing", "by columns", "every other", "big endian", "yes and no"],
)
def test_an_array_arrives_as_it_was_however_it_lies_in_memory(values):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire.send(theirs, {"type": "result"}, {"a": np.asarray(values)})
        _, arrays = wire.receive(ours)
    assert arrays["a"].dtype == values.dtype
    assert arrays["a"].shape == values.shape
    np.testing.assert_array_equal(arrays["a"], values)
    arrays["a"][...] = 0  # whoever has it may write to it


@pytest.mark.parametrize("extra", [1, 8])
def test_an_array_that_announces_less_than_came_is_refused(extra):
    with pytest.raises(wire.ProtocolError):
        received(array_message(npy(np.zeros(4)) + bytes(extra)))
