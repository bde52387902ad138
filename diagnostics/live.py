"""Open the app on a network of one's own process: `show(model, images)`."""

from __future__ import annotations

import atexit
import copy
import hashlib
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import webbrowser
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from diagnostics.data import class_names
from diagnostics.data.samples import file_at, image_folder_at
from diagnostics.errors import ImageError, InputError, ModelError
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import File, ModelSource
from diagnostics.schema.spec import stated_output

if TYPE_CHECKING:
    from torch import nn

SOCKET, BEGIN = "model", "begin.json"
START_SECONDS = 60


class RunningApp:
    """An app that shows a model; it ends with this process.

    Args:
        address: Where it is served.
        folder: Its files.
        process: The server.
        listener: Answers its requests.
    """

    def __init__(
        self,
        address: str,
        folder: tempfile.TemporaryDirectory[str],
        process: subprocess.Popen[bytes],
        listener: Any,
    ) -> None:
        self.address = address
        self._folder, self._process, self._listener = folder, process, listener
        atexit.register(self.close)

    def __repr__(self) -> str:
        return f"Oversure at {self.address}"

    def wait(self) -> None:
        """Wait until the server ends, or until Ctrl+C ends it."""
        with suppress(KeyboardInterrupt):
            self._process.wait()
        self.close()

    def close(self) -> None:
        """End the app."""
        atexit.unregister(self.close)
        self._process.terminate()
        self._process.wait(20)
        self._listener.close()
        self._folder.cleanup()


def show(
    model: nn.Module,
    images: Sequence[Any] = (),
    *,
    preprocessing: Preprocessing | None = None,
    classes: Sequence[str] | str | Path | None = None,
    output: str | None = None,
    folder: str | Path | None = None,
    strangers: str | Path | None = None,
    port: int = 0,
    block: bool | None = None,
    browser: bool = True,
) -> RunningApp:
    """Open the app on a network that is in this process.

    The app looks at a copy, made now: your network stays as it is and may be trained further.

    Args:
        model: Takes a batch of normalised images (n, c, h, w) and gives class scores (n, k).
        images: Image files, PIL images, or arrays (h, w) or (h, w, c) of bytes or of values in
            [0, 1].
        preprocessing: How images become what the network receives; None guesses, and says so.
        classes: Class names, or a file of them.
        output: What leaves the network, as for `load`; None looks at its last operation.
        folder: Known-good images: a folder, or a .zip or .tar of one.
        strangers: Images that belong to none of the classes, likewise.
        port: Where to serve; 0 takes a free one.
        block: Whether to wait until the app is ended; None waits in a script and not in a notebook
            or an interactive session.
        browser: Whether to open the page in a browser.

    Raises:
        InputError: When the model or an image cannot be used.
    """
    try:
        ours = copy.deepcopy(model)
    except Exception as error:  # whatever the class raises
        raise ModelError(f"The network cannot be copied ({error}).") from error
    with ExitStack() as stack:
        folders = {
            "in_distribution": image_folder_at(Path(folder)) if folder else None,
            "out_of_distribution": image_folder_at(Path(strangers)) if strangers else None,
        }
        app = _start(stack, ours, images, preprocessing, _stated(classes, output), folders, port)
        stack.pop_all()  # it goes on; whatever failed before has tidied up
    print(app)
    if browser:
        webbrowser.open(app.address)
    if block or (block is None and not _is_interactive()):
        app.wait()
    return app


def _start(
    stack: ExitStack,
    network: nn.Module,
    images: Sequence[Any],
    preprocessing: Preprocessing | None,
    stated: ModelSource,
    folders: Mapping[str, File | None],
    port: int,
) -> RunningApp:
    """Start the server; what must be tidied up if that fails is put on the stack."""
    from diagnostics.execution.executor import Executor
    from diagnostics.loaders.open import open_live
    from diagnostics.worker.live import Listener

    folder = tempfile.TemporaryDirectory(prefix="oversure-")
    stack.callback(folder.cleanup)
    path = Path(folder.name)
    source = replace(stated, file=_file(network, path / SOCKET))
    opened = open_live(source, network, preprocessing)
    files = [_image_file(image, path / f"image-{i}.png") for i, image in enumerate(images)]
    listener = Listener(path / SOCKET, Executor(lambda source, images: opened))
    stack.callback(listener.close)
    port = port or _free_port()
    begin = {
        "source": asdict(source),
        "images": [asdict(file) for file in files],
        "folders": {role: file and asdict(file) for role, file in folders.items()},
        "port": port,
        "preprocessing": preprocessing and asdict(preprocessing),
    }
    (path / BEGIN).write_text(json.dumps(begin), "utf-8")
    command = [sys.executable, "-m", "diagnostics.ui.server.live", folder.name]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    stack.callback(process.kill)
    _wait(f"http://127.0.0.1:{port}", process)
    return RunningApp(f"http://127.0.0.1:{port}", folder, process, listener)


def _file(network: nn.Module, path: Path) -> File:
    """Return what stands for a file: the network's class, and a hash of its values."""
    digest = hashlib.sha256(repr(network).encode())
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        digest.update(name.encode() + tensor.detach().cpu().float().numpy().tobytes())
    return File(str(path), digest.hexdigest(), type(network).__name__)


def _stated(classes: Sequence[str] | str | Path | None, output: str | None) -> ModelSource:
    """Return what a person says of a model that is no file yet."""
    stated = ModelSource(File("", "", ""), output=output and stated_output(output))
    if isinstance(classes, str | Path):
        listed = class_names.at(Path(classes))
        return replace(stated, class_names=listed.names, class_names_read_as=listed.read_as)
    return replace(stated, class_names=None if classes is None else tuple(map(str, classes)))


def _image_file(image: Any, path: Path) -> File:
    """Return an image as a file; what is in memory is written as PNG."""
    if isinstance(image, str | Path):
        return file_at(Path(image))
    if not isinstance(image, Image.Image):
        image = _picture(np.asarray(image))
    image.save(path)
    return file_at(path)


def _picture(values: Any) -> Image.Image:
    fits = values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (1, 3, 4))
    if not fits or not values.size:
        raise ImageError(
            f"An image is an array (h, w) or (h, w, c) with 1, 3 or 4 channels; got "
            f"{list(values.shape)}."
        )
    if values.dtype != np.uint8:
        if not (np.isfinite(values).all() and 0 <= values.min() <= values.max() <= 1):
            raise ImageError("An image's values are bytes, or numbers in [0, 1].")
        values = np.round(values * 255).astype(np.uint8)
    return Image.fromarray(values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_interactive() -> bool:
    return hasattr(sys, "ps1") or "ipykernel" in sys.modules


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise InputError(f"The app could not be served at {address}; choose another port.")
