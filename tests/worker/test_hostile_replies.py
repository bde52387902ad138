"""A worker that was taken over answers as it likes: one error, the worker ended, the page free."""

from __future__ import annotations

import copy
import io
import json
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest

from diagnostics.errors import OversureError, WorkerCrashedError
from diagnostics.schema.request import File, ModelSource, Progress, Request, Result
from diagnostics.worker import Limits, WorkerRunner, wire
from diagnostics.worker.spawn import Worker
from tests.report.diagnosis.answers import answer

REPLIES = 2500  # of 10,000 none did either
REQUEST = Request("open", ModelSource(File("/model", "0" * 64, "model.pt")))
NASTY = [
    None,
    True,
    [],
    {},
    [[]] * 3,
    "",
    "\ud800",
    "\x1b[2J",
    "x" * 5000,
    -1,
    2**63,
    10**400,
    -(10**400),
    1e308,
    float("nan"),
    float("inf"),
    "result",
    "OversureError",
    "by_name",
    "WorkerMemoryError",
    {"name": "a", "bytes": 1},
]


class Ended(Worker):
    """A process that is none."""

    def kill(self):
        pass


@dataclass
class Scripted:
    """Workers that have said what they say before they are asked."""

    folder: object
    reply: bytes = b""
    ended_count: int = 0

    def fork(self):
        ours, self._theirs = socket.socketpair()
        self._theirs.sendall(self.reply)
        self._theirs.shutdown(socket.SHUT_WR)
        return Ended(0, ours)

    def ended(self, worker):
        self.ended_count += 1
        worker.connection.close()
        self._theirs.close()
        return 0


def message(header, arrays):
    """Return what `wire.send` writes, and where its first array begins."""
    blocks = []
    for values in arrays.values():
        stream = io.BytesIO()
        np.save(stream, values, allow_pickle=False)
        blocks.append(stream.getvalue())
    sizes = [
        {"name": name, "bytes": len(block)} for name, block in zip(arrays, blocks, strict=True)
    ]
    return {**header, "arrays": sizes}, blocks


def framed(text, blocks):
    return struct.pack(">I", len(text)) + text.encode() + b"".join(blocks)


def honest_messages():
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.zeros(4, np.uint8)}
    result = Result(REQUEST.key, arrays, {"model": {"name": "x"}}, 0.5, {"torch": "2"})
    partial = Progress("Working", 0.5, 2.0, result)
    error = {"type": "error", "kind": "ImageError", "message": "This is no image."}
    return [
        message(wire.result_message(result), arrays),
        message(wire.progress_message(partial), arrays),
        message(wire.progress_message(Progress("Acting", 0.25, None)), {}),
        message(error, {}),
    ]


def mutated(chance, honest):
    """Return an honest message with something wrong in it, as bytes."""
    header, blocks = honest
    header, blocks = json.loads(json.dumps(header)), list(blocks)
    for _ in range(chance.choice((0, 1, 1, 2))):
        _change(chance, header)
    text = json.dumps(header).encode()
    kind = chance.randrange(7)
    if kind == 0:
        deep = chance.choice((b"[", b'{"a":')) * chance.choice((10, 900, 20_000))
        text = text.replace(b'"type"', b'"deep": ' + deep + b', "type"', 1)
    elif kind == 1:
        text = _flipped(chance, text, len(text))
    elif kind == 2 and blocks:
        blocks[0] = _flipped(chance, blocks[0], 128)  # the header of the array
    elif kind == 3 and blocks:
        blocks[0] = blocks[0].replace(
            chance.choice((b"(2, 3)", b"<f8", b"False")),
            chance.choice((b"(" * 90, b"|O", b"[[", b"2**9", b"-1", b"(9,)*9", b"\xff", b"")),
            1,
        )
    length = len(text) if chance.random() < 0.9 else chance.choice((0, 1, len(text) - 1, 2**32 - 1))
    whole = struct.pack(">I", length) + text + b"".join(blocks)
    return whole[: chance.randrange(len(whole))] if chance.random() < 0.05 else whole


def _change(chance, header):
    holder = chance.choice([header, *(value for value in header.values() if value)])
    if isinstance(holder, list):
        holder = chance.choice(holder)
    if not isinstance(holder, dict):
        holder = header
    key = chance.choice([*holder, "another"])
    if chance.random() < 0.2:
        holder.pop(key, None)
    else:
        holder[key] = copy.deepcopy(chance.choice(NASTY))


def _flipped(chance, block, end):
    changed = bytearray(block)
    for _ in range(chance.randrange(1, 4)):
        changed[chance.randrange(min(end, len(changed)))] = chance.randrange(256)
    return bytes(changed)


def outcomes(tmp_path, replies):
    """Count how replies end: as answers, as errors in words, and as anything else."""
    counts = {"answers": 0, "errors": 0}
    others = []
    source = Scripted(tmp_path)

    def show(progress):
        """Do with a progress what a page does."""
        f"{progress.activity} {progress.seconds_left or 0:.0f} {progress.done:.0%}".encode()
        assert 0 <= progress.done <= 1

    for reply in replies:
        source.reply = reply
        runner = WorkerRunner(Limits(message_seconds=2.0), source)
        try:
            runner.run(REQUEST, show)
            counts["answers"] += 1
        except OversureError as error:
            counts["errors"] += 1
            if not error.message.isprintable():
                others.append(f"a message that cannot be shown: {error.message!r}")
        except Exception as error:
            others.append(f"{type(error).__name__}: {error} after {reply[:200]!r}")
        runner.close()
    return counts, others


@pytest.mark.slow
def test_of_thousands_of_hostile_replies_none_raises_anything_but_one_error(tmp_path):
    chance, honest = random.Random(0), honest_messages()
    replies = (mutated(chance, chance.choice(honest)) for _ in range(REPLIES))
    counts, others = outcomes(tmp_path, replies)
    assert not others, (len(others), others[:5])
    assert counts["answers"] > REPLIES / 100
    assert counts["errors"] > REPLIES / 2


def test_after_a_hostile_reply_the_worker_is_ended_and_the_next_one_answers(tmp_path):
    source = Scripted(tmp_path)
    runner = WorkerRunner(zygote=source)
    header, blocks = honest_messages()[0]
    text = json.dumps(header)
    for broken, arrays in (
        (text.replace('"result"', "[" * 50_000), blocks),
        (text.replace('"result"', '["result"]'), blocks),
        (text.replace('"seconds": 0.5', '"seconds": NaN'), blocks),
        (text.replace('"seconds": 0.5', f'"seconds": 1{"0" * 400}'), blocks),
        (text, [blocks[0].replace(b"(2, 3)", b"(((((("), blocks[1]]),
    ):
        source.reply = framed(broken, arrays)
        with pytest.raises(WorkerCrashedError, match="cannot be read"):
            runner.run(REQUEST)
        assert runner.pid is None
    source.reply = framed(text, blocks)
    assert runner.run(REQUEST).scores == {"model": {"name": "x"}}
    runner.close()


def test_a_verdict_of_another_type_ends_the_worker_as_an_answer_and_as_progress(tmp_path):
    request = Request("diagnosis/why", REQUEST.model)
    honest = Result(request.key, {}, answer(), 0.5, {})
    source = Scripted(tmp_path)
    runner = WorkerRunner(zygote=source)
    partial = wire.progress_message(Progress("Asking", 0.5, None, honest))
    for whole in (wire.result_message(honest), partial):
        text = json.dumps({**whole, "arrays": []})
        for wrong in (
            text.replace('"verdict": "trust"', '"verdict": "certain"'),
            text.replace('"sentence": ', '"sentences": '),
            text.replace('"passes": 310', '"passes": "many"'),
            text.replace('"p": 0.998', '"p": 1e999'),
            text.replace('"notes": []', '"notes": ["' + "x" * 20_000 + '"]'),
        ):
            assert wrong != text
            source.reply = framed(wrong, [])
            with pytest.raises(WorkerCrashedError, match="cannot be read"):
                runner.run(request)
            assert runner.pid is None
    source.reply = framed(json.dumps({**wire.result_message(honest), "arrays": []}), [])
    assert runner.run(request).scores == json.loads(json.dumps(answer()))
    runner.close()


def test_an_answer_that_drips_ends_at_the_limit_of_a_message(tmp_path):
    """A byte now and then keeps every single read alive, but not the message."""
    source = Scripted(tmp_path)
    ours, theirs = socket.socketpair()
    source.fork = lambda: Ended(0, ours)
    source._theirs = theirs
    end = threading.Event()

    def drip():
        while not end.wait(0.05):
            try:
                theirs.send(b"\x00")
            except OSError:
                return

    thread = threading.Thread(target=drip)
    runner = WorkerRunner(Limits(message_seconds=0.5), source)
    theirs.sendall(struct.pack(">I", 10_000))
    thread.start()
    started = time.monotonic()
    with pytest.raises(WorkerCrashedError, match="cannot be read"):
        runner.run(REQUEST)
    assert time.monotonic() - started < 5
    end.set()
    thread.join()
