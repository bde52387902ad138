"""Lock this process down for good: what it may open, and which system calls it may make.

Landlock decides which files, seccomp which system calls. Both are entered once and cannot be left,
by the process itself or by threads that it starts later. Nothing here needs root.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

TASKS = Path("/proc/self/task")

READ_FILE, READ_FOLDER = 1 << 2, 1 << 3
OF_FILES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15  # rights that a rule on a file may give
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # how many there are by version; 16 from 5 on
RULESET, ADD_RULE, RESTRICT = 444, 445, 446
NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER, KEEP_CAPABILITIES = 38, 22, 2, 8
NOBODY, READ_OTHERS = 65534, 1 << 2  # a user and a capability
USERS = 2_000_000_000  # and a process id: a user of its own, of a range that nobody hands out

THREADS = 256  # of one process, and four for each processor where that is more

EPERM, ENOSYS = 1, 38
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
X86_64 = 0xC000003E

# System calls by number on x86-64, those made most often first.
CALLS = {
    "futex": 202,
    "read": 0,
    "write": 1,
    "sched_yield": 24,
    "mmap": 9,
    "munmap": 11,
    "madvise": 28,
    "brk": 12,
    "mprotect": 10,
    "mremap": 25,
    "msync": 26,
    "mincore": 27,
    "sendto": 44,
    "recvfrom": 45,
    "sendmsg": 46,
    "recvmsg": 47,
    "shutdown": 48,
    "poll": 7,
    "ppoll": 271,
    "select": 23,
    "pselect6": 270,
    "clock_gettime": 228,
    "clock_getres": 229,
    "clock_nanosleep": 230,
    "nanosleep": 35,
    "gettimeofday": 96,
    "times": 100,
    "getrusage": 98,
    "sysinfo": 99,
    "uname": 63,
    "close": 3,
    "close_range": 436,
    "lseek": 8,
    "pread64": 17,
    "pwrite64": 18,
    "readv": 19,
    "writev": 20,
    "stat": 4,
    "fstat": 5,
    "lstat": 6,
    "newfstatat": 262,
    "statx": 332,
    "statfs": 137,
    "fstatfs": 138,
    "access": 21,
    "faccessat": 269,
    "faccessat2": 439,
    "readlink": 89,
    "readlinkat": 267,
    "getcwd": 79,
    "getdents64": 217,
    "dup": 32,
    "dup2": 33,
    "dup3": 292,
    "flock": 73,
    "fsync": 74,
    "fdatasync": 75,
    "ftruncate": 77,
    "fallocate": 285,
    "fadvise64": 221,
    "mkdir": 83,
    "mkdirat": 258,
    "rmdir": 84,
    "unlink": 87,
    "unlinkat": 263,
    "rename": 82,
    "renameat": 264,
    "renameat2": 316,
    "umask": 95,
    "pipe2": 293,
    "eventfd2": 290,
    "epoll_create1": 291,
    "epoll_ctl": 233,
    "epoll_wait": 232,
    "epoll_pwait": 281,
    "getpid": 39,
    "gettid": 186,
    "getppid": 110,
    "getuid": 102,
    "geteuid": 107,
    "getgid": 104,
    "getegid": 108,
    "getpgid": 121,
    "getsid": 124,
    "getpriority": 140,
    "getrandom": 318,
    "getcpu": 309,
    "sched_getaffinity": 204,
    "rt_sigaction": 13,
    "rt_sigprocmask": 14,
    "rt_sigreturn": 15,
    "sigaltstack": 131,
    "set_tid_address": 218,
    "set_robust_list": 273,
    "rseq": 334,
    "membarrier": 324,
    "arch_prctl": 158,
    "restart_syscall": 219,
    "exit": 60,
    "exit_group": 231,
}
OPEN, OPENAT, FCNTL = 2, 257, 72
WRITES, TRUNCATES = 0x3, 0x200  # flags of open
OWNERS = (8, 10, 15)  # fcntl: whom to signal, and how
IOCTL, CLONE, KILL_PROCESS, TGKILL, PRCTL, PRLIMIT, CLONE3 = 16, 56, 62, 234, 157, 302, 435
HARMLESS_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # terminals, flags, how many
CLONE_THREAD = 0x10000
NAMES_OF_THREADS = (15, 16, 0x53564D41)  # prctl: set and get a name, name memory


class Level(StrEnum):
    """How far a process is locked down."""

    STRICT = "strict"
    PARTIAL = "partial"
    NONE = "none"


def lock_down(readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """Give up, for ever, everything but computing and these files.

    What the kernel does not know is left out; `selftest` says what is really refused.

    Args:
        readable: Files and folders that may be read, besides the libraries, see `libraries`.
        writable: Folders in which files may be made, written and deleted.

    Raises:
        RuntimeError: When other threads run, which would stay free.
    """
    if TASKS.exists() and len(list(TASKS.iterdir())) != 1:
        raise RuntimeError("A process with several threads cannot be locked down.")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    folders = list(writable)
    _become_nobody(libc, folders)
    _limit_threads()
    _restrict_files(libc, [*libraries(), *readable], folders)
    if platform.machine() == "x86_64" and sys.platform == "linux":
        _restrict_calls(libc)


def libraries() -> list[Path]:
    """Return what every worker must be able to read: the interpreter, libraries, our package."""
    installed = [
        sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
    ]
    system = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
    machine = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu")
    devices = ("/dev/null", "/dev/urandom", "/usr/share/zoneinfo")
    ours = Path(__file__).resolve().parent.parent
    return [*map(Path, (*installed, sys.base_prefix, *system, *machine, *devices)), ours]


def _become_nobody(libc: ctypes.CDLL, folders: Sequence[Path]) -> None:
    """Stop being root, and give up every capability.

    Of root's, only the right to read files of others is kept, because the interpreter may lie in
    a folder that only root may enter; and only where Landlock says which files that may be.
    """
    capabilities = 0
    if os.geteuid() == 0 and libc.syscall(RULESET, None, 0, 1) >= 1:
        with suppress(OSError):  # a container may keep even root from it
            user = _unused_user()
            for folder in folders:
                os.chown(folder, user, NOBODY)
            libc.prctl(KEEP_CAPABILITIES, 1, 0, 0, 0)
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(user, user, user)
            capabilities = READ_OTHERS
    header = struct.pack("<Ii", 0x20080522, 0)
    libc.capset(header, struct.pack("<6I", capabilities, capabilities, 0, 0, 0, 0))


def _unused_user() -> int:
    """Return a user whom no other process has; nobody, where a container knows only some users."""
    user = USERS + os.getpid()
    with open("/proc/self/uid_map") as ranges:
        for inside, _, count in (map(int, line.split()) for line in ranges):
            if inside <= user < inside + count:
                return user
    return NOBODY


def _limit_threads() -> None:
    """Limit how many threads this process may start, beside those of its user that run already."""
    if not TASKS.exists():
        return
    running = sum(map(_threads_of_user, Path("/proc").glob("[0-9]*/status")))
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    limit = running + max(THREADS, 4 * (os.cpu_count() or 1))
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))


def _threads_of_user(status: Path) -> int:
    """Return how many threads a process has, if it is this user's."""
    with suppress(OSError, ValueError, KeyError):  # it has ended meanwhile
        lines = (line.partition(":") for line in status.read_text().splitlines())
        state = {name: text.split() for name, _, text in lines}
        if int(state["Uid"][0]) == os.getuid():
            return int(state["Threads"][0])
    return 0


def _restrict_files(libc: ctypes.CDLL, readable: Sequence[Path], writable: Sequence[Path]) -> None:
    version = libc.syscall(RULESET, None, 0, 1)
    if version < 1:
        return
    rights = (1 << FILE_RIGHTS.get(version, 16)) - 1
    network, scopes = 3 if version >= 4 else 0, 3 if version >= 6 else 0
    attributes = struct.pack("<QQQ", rights, network, scopes)
    known = attributes[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = libc.syscall(RULESET, known, len(known), 0)
    if ruleset < 0:
        return
    writing = rights & ~(
        1 << 0 | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12
    )  # no exec, no nodes
    for paths, allowed in ((readable, READ_FILE | READ_FOLDER), (writable, writing)):
        for path in paths:
            _allow(libc, ruleset, path, allowed)
    libc.syscall(RESTRICT, ruleset, 0)
    os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there cannot be read
    allowed = rights if path.is_dir() else rights & OF_FILES
    libc.syscall(ADD_RULE, ruleset, 1, struct.pack("<Qi", allowed, descriptor), 0)
    os.close(descriptor)


def _restrict_calls(libc: ctypes.CDLL) -> None:
    program = b"".join(_program(os.getpid()))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))

    filtering = Program(len(program) // 8, program)
    libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(filtering), 0, 0)


def _program(pid: int) -> list[bytes]:
    """Return the filter: allowed calls, calls allowed with some arguments, and a refusal."""
    refuse = _answer(REFUSE | EPERM)
    code = [_load(4), *_unless(X86_64, [_answer(KILL)]), _load(0)]
    for number in CALLS.values():
        code += _if(number, [_answer(ALLOW)])
    code += _if(CLONE3, [_answer(REFUSE | ENOSYS)])  # libc then falls back to clone
    only_threads = [_load(16), _op(0x54, 0, 0, CLONE_THREAD), *_if(0, [refuse]), _answer(ALLOW)]
    code += _if(CLONE, only_threads)
    for number, offset in ((OPENAT, 32), (OPEN, 24)):  # to read and to empty is no reading
        masked = [_load(offset), _op(0x54, 0, 0, WRITES | TRUNCATES)]
        code += _if(number, [*masked, *_if(TRUNCATES, [refuse]), _answer(ALLOW)])
    owners = [op for value in OWNERS for op in _if(value, [refuse])]
    code += _if(FCNTL, [_load(24), *owners, _answer(ALLOW)])
    for number in (KILL_PROCESS, TGKILL):
        code += _if(number, [_load(16), *_if(pid, [_answer(ALLOW)]), refuse])
    for number, offset, values in ((IOCTL, 24, HARMLESS_IOCTLS), (PRCTL, 16, NAMES_OF_THREADS)):
        chosen = [op for value in values for op in _if(value, [_answer(ALLOW)])]
        code += _if(number, [_load(offset), *chosen, refuse])
    reads_limits = [_load(32), *_unless(0, [refuse]), _load(36), *_unless(0, [refuse])]
    code += _if(PRLIMIT, [*reads_limits, _answer(ALLOW)])
    return [*code, refuse]


def _op(code: int, when: int, otherwise: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, when, otherwise, value & 0xFFFFFFFF)


def _load(offset: int) -> bytes:
    return _op(0x20, 0, 0, offset)


def _answer(value: int) -> bytes:
    return _op(0x06, 0, 0, value)


def _if(value: int, then: Sequence[bytes]) -> list[bytes]:
    return [_op(0x15, 0, len(then), value), *then]


def _unless(value: int, then: Sequence[bytes]) -> list[bytes]:
    return [_op(0x15, len(then), 0, value), *then]
