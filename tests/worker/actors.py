"""Executors that misbehave on request, for tests of what stands around them."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
import time

import numpy as np

from diagnostics.errors import ImageError
from diagnostics.schema.request import OPENING, Progress, Result
from diagnostics.worker import child

GIB = 2**30


class Actor:
    """Does what a request's method says; "count" answers how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    @staticmethod
    def warm_up():
        yield from ()

    def execute(self, request, watch):
        self.asked += 1
        self.paths = [image.path for image in request.images]
        self.images = [_readable(image.path) for image in request.images]
        self.key, self.watch = request.key, watch
        self.model = request.model.file.path
        watch(Progress("Acting", 0.25, 1.5))
        scores = getattr(self, request.method)(**request.options) or {}
        arrays = {"ramp": np.arange(6, dtype=np.float32).reshape(2, 3)}
        if request.method == "flood":
            arrays = {str(index): np.zeros(2**23, dtype=np.float32) for index in range(20)}
        key = "another" if request.method == "swap" else request.key
        return Result(key, arrays, scores, 0.5, {"actor": "1"})

    def work(self):
        """Tell what is there so far, then never end."""
        result = Result(self.key, {"part": np.ones(2)}, {"complete": False}, 0.1, {})
        self.watch(Progress("Working", 0.5, None, result))
        while True:
            time.sleep(0.05)
            self.watch(Progress("Working", 0.5))

    def open_for_ever(self):
        self.watch(Progress(f"{OPENING} model.safetensors", 0.1))
        while True:
            pass

    def open_patiently(self):
        """Wait for a busy machine, which is not the file's doing."""
        self.watch(Progress(f"{OPENING} model.safetensors", 0.1))
        time.sleep(1.0)

    def count(self):
        return {"asked": self.asked}

    def look(self):
        with open("/proc/self/limits") as limits:
            text = limits.read()
        return {
            "environment": sorted(os.environ),
            "home": os.environ["HOME"],
            "begun with": _begun_with(),
            "temporary": tempfile.gettempdir(),
            "private": os.stat(os.environ["HOME"]).st_mode & 0o777,
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "threads": threading.active_count(),
            "limits": {line[:25].strip(): line[26:46].strip() for line in text.splitlines()},
            "session": os.getsid(0) == os.getpid(),
        }

    def peek(self, paths):
        return {"read": [_readable(path) for path in paths], "given": self.images}

    def open_carelessly(self):
        return {"opened": careless(self.paths)}

    def segfault(self):
        os.kill(os.getpid(), signal.SIGSEGV)

    def leave(self):
        os._exit(7)

    def refuse(self):
        raise ImageError("This is no image.")

    def stumble(self):
        raise RuntimeError("/secret/path in a message")

    def allocate(self):
        np.ones(64 * GIB, dtype=np.uint8)

    def wait(self, seconds):
        time.sleep(seconds)

    def weigh(self):
        return {"bytes": _readable(self.model)}

    def pry(self, names):
        """Look for others' uploads, by all that is known of where they may lie."""
        home = os.path.realpath(os.environ["HOME"])
        beside = {os.path.dirname(path) for path in (self.model, *self.paths, home)}
        guesses = {*beside, *(os.path.dirname(folder) for folder in beside)}
        guesses |= {os.path.join(folder, "uploads") for folder in guesses}
        found = [os.path.join(folder, name) for folder in guesses for name in names]
        found = [path for path in found if path != self.model and os.path.exists(path)]
        listed = []
        for folder in guesses:
            with contextlib.suppress(PermissionError, FileNotFoundError):
                listed.append((folder, os.listdir(folder)))
        own = (home, os.path.dirname(self.model))
        return {"found": found, "listed": [folder for folder, _ in listed if folder not in own]}

    def print(self, mib):
        os.write(2, b"\x1b[2J\x1b]0;title\x07 \xff red\n")
        for _ in range(mib * 16):
            os.write(1, b"noise " * 10_000 + b"\n" * 5536)

    def multiply(self):
        """Start threads until no more may start."""
        end, threads = threading.Event(), []
        try:
            while len(threads) < 5000:
                threads.append(threading.Thread(target=end.wait, daemon=True))
                threads[-1].start()
        except RuntimeError:
            threads.pop()
        end.set()
        return {"threads": len(threads)}

    def litter(self, files):
        for number in range(files):
            with open(os.path.join(os.environ["HOME"], str(number)), "w"):
                pass
        time.sleep(30)

    def spin(self):
        while True:
            pass

    def swap(self):
        return {}

    def flood(self):
        return {}


def _begun_with():
    """Return the names of the variables that the process was begun with, which stay readable."""
    with open("/proc/self/environ") as variables:
        return sorted(one.partition("=")[0] for one in variables.read().split("\0") if one)


def careless(paths):
    """Open files as nobody should: whatever they hold is run; return how many were tried."""
    import pickle
    import warnings

    import torch

    warnings.simplefilter("ignore")
    for path in paths:
        with contextlib.suppress(BaseException), open(path, "rb") as stream:
            torch.load(stream, weights_only=False)
        with contextlib.suppress(BaseException), open(path, "rb") as stream:
            pickle.load(stream)
        with contextlib.suppress(BaseException):
            torch.export.load(path)
        with contextlib.suppress(BaseException):
            torch.jit.load(path)(torch.rand(1, 3, 8, 8))
        with contextlib.suppress(BaseException):
            _keras(path)
    return len(paths)


def _keras(path):
    """Open a Keras model with whatever code it brings."""
    os.environ["KERAS_BACKEND"] = "torch"
    if "lambda" not in path and "linked" not in path:
        return
    import shutil

    import keras

    ending = ".keras" if "lambda" in path else ".h5"
    named = os.path.join(tempfile.gettempdir(), f"model{ending}")
    shutil.copyfile(path, named)
    keras.saving.load_model(named, compile=False, safe_mode=False)(torch_zeros())


def torch_zeros():
    import torch

    return torch.zeros(1, 8, 8, 3)


def _readable(path):
    try:
        with open(path, "rb") as stream:
            return len(stream.read())
    except PermissionError:
        return None


class Impatient(Actor):
    """Ends its process after half a second without a request."""

    def __init__(self) -> None:
        super().__init__()
        child.IDLE_SECONDS = 0.5
