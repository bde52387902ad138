"""Weights files that do harm, or would if anybody opened them carelessly; the harm is a marker."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path

import torch


class Marker:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def pickled(marker: Path) -> bytes:
    return pickle.dumps({"weight": Marker(marker)})


def saved(marker: Path, *, zipped: bool) -> bytes:
    stream = io.BytesIO()
    content = {"weight": torch.zeros(2), "extra": Marker(marker)}
    torch.save(content, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def hidden(marker: Path) -> bytes:
    """Return a pickle whose global is named by strings out of its memo, not by neighbours."""
    body = (
        pickle.PROTO + b"\x04"
        + _text("pathlib") + pickle.MEMOIZE + pickle.POP
        + _text("Path") + pickle.MEMOIZE + pickle.POP
        + pickle.BINGET + b"\x00" + pickle.BINGET + b"\x01"
        + pickle.STACK_GLOBAL
        + _text(str(marker)) + pickle.TUPLE1 + pickle.REDUCE
        + pickle.STOP
    )  # fmt: skip
    return zipped({"archive/data.pkl": body, "archive/version": b"3\n"})


def _text(text: str) -> bytes:
    data = text.encode()
    return pickle.SHORT_BINUNICODE + struct.pack("<B", len(data)) + data


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def compressed() -> bytes:
    """Return a state_dict whose members are deflated: small on disk, large in memory."""
    stream = io.BytesIO()
    torch.save({"weight": torch.zeros(1_000_000)}, stream)
    with zipfile.ZipFile(stream) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return zipped(members, zipfile.ZIP_DEFLATED)


def stretched() -> bytes:
    """Return a tensor of 2^40 values that all lie in the same four bytes."""
    stream = io.BytesIO()
    torch.save({"weight": torch.zeros(1).as_strided((2**20, 2**20), (0, 0))}, stream)
    return stream.getvalue()


def sparse() -> bytes:
    stream = io.BytesIO()
    torch.save({"weight": torch.eye(3).to_sparse()}, stream)
    return stream.getvalue()


def deep() -> bytes:
    """Return weights under a hundred wrappers."""
    content: dict[str, object] = {"weight": torch.zeros(1)}
    for _ in range(100):
        content = {"model": content}
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def header(length: int) -> bytes:
    return struct.pack("<Q", length) + b"{" + b" " * 100
