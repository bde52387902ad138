"""Try what a locked-down process must not be able to do, and say how much of it is refused.

Run as `python -m diagnostics.worker.selftest`, it prints the level and each act as JSON.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from diagnostics.worker.sandbox import Level, lock_down

SECONDS = 20
# Acts that succeed in any process that is not locked down: if none is refused, nothing is.
ALLOWED_TO_ANYBODY = (
    "read the list of users",
    "list the root folder",
    "write to the temporary folder",
    "open a TCP socket",
    "open a UDP socket",
    "start a process",
)
REFUSALS = (errno.EPERM, errno.EACCES, errno.ENOSYS)


@dataclass(frozen=True)
class Outcome:
    """What came of the test.

    Args:
        level: Strict when everything was refused, none when nothing that matters was.
        acts: Whether each forbidden act was refused.
    """

    level: Level
    acts: dict[str, bool]

    @property
    def refused(self) -> int:
        """How many acts were refused."""
        return sum(self.acts.values())


@cache
def outcome() -> Outcome:
    """Run the test in another process, once; what goes wrong there counts as none."""
    command = [sys.executable, "-m", "diagnostics.worker.selftest"]
    try:
        process = subprocess.run(command, capture_output=True, timeout=SECONDS, check=True)
        content = json.loads(process.stdout)
        return Outcome(Level(content["level"]), dict(content["acts"]))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return Outcome(Level.NONE, {})


def run() -> Outcome:
    """Try everything in a child that locks itself down."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        home, readable = Path(first), Path(second) / "readable"
        readable.write_text("readable", "utf-8")
        worker = os.fork()
        if worker == 0:
            os._exit(_child(home, readable))
        os.waitpid(worker, 0)
        file = home / "outcome.json"
        acts = json.loads(file.read_text("utf-8")) if file.exists() else {}
    can_work = acts.pop("work that is allowed", False)
    level = Level.STRICT if acts and all(acts.values()) else Level.PARTIAL
    is_locked = any(acts.get(name) for name in ALLOWED_TO_ANYBODY)
    return Outcome(level if can_work and is_locked else Level.NONE, acts)


def _child(home: Path, readable: Path) -> int:
    acts = _acts(home, readable)
    lock_down([readable], [home])
    refused = {name: _is_refused(act) for name, act in acts.items()}
    refused["work that is allowed"] = readable.read_text("utf-8") == "readable"
    (home / "outcome.json").write_text(json.dumps(refused), "utf-8")
    return 0


def _is_refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except OSError as error:
        return error.errno in REFUSALS
    return False


def _acts(home: Path, readable: Path) -> dict[str, Callable[[], object]]:
    """Return the forbidden acts; none of them leaves anything behind if it succeeds."""
    outside = Path(tempfile.gettempdir()) / f"oversure-forbidden-{os.getpid()}"
    parent, ours = os.getppid(), Path(__file__)
    people = Path(os.path.expanduser("~"))  # without one, a container has "~" or a missing folder
    people = people if people.is_dir() else Path("/")
    core = struct.pack("qq", *resource.getrlimit(resource.RLIMIT_CORE))
    libc = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *arguments: object) -> Callable[[], None]:
        def act() -> None:
            if libc.syscall(number, *arguments) < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

        return act

    def write(path: Path) -> Callable[[], None]:
        def act() -> None:
            path.write_text("")
            path.unlink()

        return act

    def is_root() -> None:
        if os.geteuid() != 0:
            raise PermissionError(errno.EPERM, "somebody else")

    def fork() -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    return {
        "read the list of users": lambda: Path("/etc/passwd").read_bytes(),
        "read another process's environment": lambda: Path("/proc/1/environ").read_bytes(),
        "list the root folder": lambda: os.listdir("/"),
        "list the temporary folder": lambda: os.listdir(tempfile.gettempdir()),
        "list people's homes": lambda: os.listdir(people),
        "write to the temporary folder": write(outside),
        "write beside our code": write(ours.with_name("forbidden.txt")),
        "change our code": lambda: ours.open("r+b").close(),
        "empty a file it may read": lambda: os.close(os.open(readable, os.O_RDONLY | os.O_TRUNC)),
        "have others signalled": lambda: fcntl.fcntl(1, 8, os.getpid()),
        "open a TCP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close(),
        "open a UDP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
        "open an IPv6 socket": lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close(),
        "open a Unix socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).close(),
        "open a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW).close(),
        "start a program": lambda: os.execv("/bin/true", ["true"]),
        "start a process": fork,
        "signal its parent": lambda: os.kill(parent, 0),
        "read its parent's memory": call(310, parent, None, 0, None, 0, 0),
        "trace its parent": call(101, 16, parent, 0, 0),
        "change a file's mode": lambda: os.chmod(home, 0o755),
        "make a symbolic link": lambda: os.symlink("/etc/passwd", home / "link"),
        "make a hard link": lambda: os.link(ours, home / "hard"),
        "raise its limits": call(160, resource.RLIMIT_CORE, core),
        "be root": is_root,
        "become another user": lambda: os.setuid(os.getuid()),
        "change its root folder": lambda: os.chroot(home),
        "mount a file system": call(165, None, None, None, 0, None),
        "leave its namespaces": call(272, 0),
        "load a kernel program": call(321, 0, None, 0),
        "set up io_uring": call(425, 0, None),
        "make memory a file": call(319, b"forbidden", 0),
        "handle page faults": call(323, 0),
    }


if __name__ == "__main__":
    print(json.dumps(asdict(run())))
