"""Calls that a pickle can make, each of which leaves a file behind: the harm is a marker."""

from __future__ import annotations

import io
import pickle
import struct
from importlib import import_module
from typing import Any

import torch

from tests.loaders.hostile import zipped

TOUCH = "open({0!r}, 'w').close()"

# Module, function, arguments; {0} is the marker's path.
CALLS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("os", "system", ("touch {0}",)),
    ("posix", "system", ("touch {0}",)),
    ("os", "popen", ("touch {0}",)),
    ("os", "mkdir", ("{0}",)),
    ("posix", "mkdir", ("{0}",)),
    ("os", "makedirs", ("{0}",)),
    ("os", "symlink", ("/etc/passwd", "{0}")),
    ("os", "mkfifo", ("{0}",)),
    ("os", "open", ("{0}", 65)),
    ("subprocess", "call", (["touch", "{0}"],)),
    ("subprocess", "run", (["touch", "{0}"],)),
    ("subprocess", "check_call", (["touch", "{0}"],)),
    ("subprocess", "check_output", (["touch", "{0}"],)),
    ("subprocess", "getoutput", ("touch {0}",)),
    ("pty", "spawn", (["touch", "{0}"],)),
    ("builtins", "eval", (TOUCH,)),
    ("builtins", "exec", (TOUCH,)),
    ("builtins", "open", ("{0}", "w")),
    ("io", "open", ("{0}", "w")),
    ("_io", "FileIO", ("{0}", "w")),
    ("codecs", "open", ("{0}", "w")),
    ("gzip", "open", ("{0}", "w")),
    ("bz2", "open", ("{0}", "w")),
    ("lzma", "open", ("{0}", "w")),
    ("tarfile", "open", ("{0}", "w")),
    ("zipfile", "ZipFile", ("{0}", "w")),
    ("logging", "FileHandler", ("{0}",)),
    ("mailbox", "mbox", ("{0}",)),
    ("mailbox", "Maildir", ("{0}",)),
    ("sqlite3", "connect", ("{0}",)),
    ("timeit", "timeit", (TOUCH + "; 1 / 0",)),  # or it goes on a million times
    ("cProfile", "run", (TOUCH,)),
    ("profile", "run", (TOUCH,)),
    ("shutil", "copyfile", ("/etc/hostname", "{0}")),
    ("shutil", "copytree", ("/etc/alternatives", "{0}", True)),
    ("venv", "create", ("{0}",)),
    ("numpy", "save", ("{0}.npy", [1])),
    ("numpy", "savetxt", ("{0}", [1])),
    ("torch", "save", ([1], "{0}")),
    ("runpy", "_run_code", ("import os; os.mkdir({0!r})", {}, None, "x")),
)


class Call:
    """Is unpickled by a call."""

    def __init__(self, function: Any, arguments: tuple[Any, ...]) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


def hostile_call(index: int, marker: str) -> Call:
    """Return the call of that number with its marker."""
    module, function, arguments = CALLS[index]
    ready = tuple(filled(argument, marker) for argument in arguments)
    return Call(getattr(import_module(module), function), ready)


def filled(argument: Any, marker: str) -> Any:
    if isinstance(argument, list):
        return [filled(one, marker) for one in argument]
    return argument.format(marker) if isinstance(argument, str) else argument


def plain(index: int, marker: str) -> bytes:
    """Return a pickle that torch did not save."""
    return pickle.dumps({"weight": hostile_call(index, marker)}, protocol=4)


def in_archive(index: int, marker: str) -> bytes:
    """Return what torch.save writes today."""
    return _saved(index, marker, zipped=True)


def in_sequence(index: int, marker: str) -> bytes:
    """Return what torch.save wrote before it used archives."""
    return _saved(index, marker, zipped=False)


def _saved(index: int, marker: str, *, zipped: bool) -> bytes:
    stream = io.BytesIO()
    content = {"weight": torch.zeros(2), "extra": hostile_call(index, marker)}
    torch.save(content, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def by_memo(index: int, marker: str) -> bytes:
    """Return an archive whose pickle takes the function's name out of its memo."""
    call = hostile_call(index, marker)
    names = (call.function.__module__, call.function.__qualname__)
    body = pickle.PROTO + b"\x04"
    for name in names:
        body += pickle.SHORT_BINUNICODE + struct.pack("<B", len(name)) + name.encode()
        body += pickle.MEMOIZE + pickle.POP
    body += pickle.BINGET + b"\x00" + pickle.BINGET + b"\x01" + pickle.STACK_GLOBAL
    arguments = pickle.dumps(call.arguments, protocol=2)[2:-1]
    body += arguments + pickle.REDUCE + pickle.STOP
    return zipped({"archive/data.pkl": body, "archive/version": b"3\n"})


CONTAINERS = (plain, in_archive, in_sequence, by_memo)
