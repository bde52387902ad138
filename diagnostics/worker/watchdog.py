"""What a worker prints and writes, held to a measure by the process that forked it."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from diagnostics.text import printable

KIB, MIB = 2**10, 2**20
DISK_MIB, DISK_FILES = 2048, 10_000
PRINTED_KIB = 256  # of one worker are shown, the rest is dropped
READ_BYTES = 64 * KIB
READS = 16  # between two looks: a worker that prints faster waits until it is read again


class Watchdog:
    """Watches over one worker.

    Args:
        pid: Of the worker.
        home: Its folder.
        output: What it prints.
    """

    def __init__(self, pid: int, home: Path, output: int) -> None:
        self.output = output
        self.is_over_disk = False
        self._pid, self._home = pid, home
        self._reads = READS
        self._left = PRINTED_KIB * KIB

    @property
    def may_print(self) -> bool:
        """Whether it has not printed too much since the last look."""
        return self._reads > 0

    def pass_on(self) -> None:
        """Show what it printed since, as text and never as orders to a terminal."""
        printed = os.read(self.output, READ_BYTES)
        self._reads = self._reads - 1 if printed else 0  # it has closed its side
        shown = printed[: self._left]
        self._left -= len(shown)
        text = printable(shown.decode("utf-8", "backslashreplace"))
        lines = [f"worker {self._pid}: {line}" for line in text.splitlines() if line.strip()]
        if shown and not self._left:
            lines.append(f"worker {self._pid}: what it prints from here on is left out")
        with suppress(OSError):
            print("\n".join(lines), end="\n" if lines else "", file=sys.stderr, flush=True)

    def watch(self) -> None:
        """End it if it has written too much, and let it print again."""
        self._reads = READS
        if not self.is_over_disk and self._wrote_too_much():
            self.is_over_disk = True
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def close(self) -> None:
        """Show what it printed last, and delete its folder."""
        os.set_blocking(self.output, False)
        with suppress(BlockingIOError):
            self.pass_on()
        os.close(self.output)
        shutil.rmtree(self._home, ignore_errors=True)

    def _wrote_too_much(self) -> bool:
        written = 0
        for count, file in enumerate(self._files()):
            written += file.st_blocks * 512
            if written > DISK_MIB * MIB or count >= DISK_FILES:
                return True
        return False

    def _files(self) -> Iterator[os.stat_result]:
        """Yield the state of each file it wrote, also of those it deleted and still writes to."""
        for folder, folders, names in os.walk(self._home):
            for name in (*folders, *names):
                with suppress(OSError):
                    yield os.lstat(os.path.join(folder, name))
        for descriptor in Path(f"/proc/{self._pid}/fd").glob("*"):
            with suppress(OSError):
                is_written = descriptor.lstat().st_mode & stat.S_IWUSR
                file = descriptor.stat()
                if is_written and file.st_nlink == 0:
                    yield file
