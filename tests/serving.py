"""The app served on loopback and a real browser, for tests, benchmarks and screenshots."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE_MS = 60_000
PORT = "{port}"  # in a command, what stands for a free port


def chromium() -> str | None:
    """Return where Chromium is, or None."""
    return shutil.which("chromium")


@contextmanager
def server(
    package: Path = ROOT, folder: Path = ROOT, arguments: Sequence[str] = ()
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve the app as `oversure app` does; yield its address and process.

    Args:
        package: Where the package lies.
        folder: Where the command is called.
        arguments: Model, images and flags of the command.
    """
    command = [sys.executable, "-m", "diagnostics", "app", "--port", PORT, *arguments]
    with _served(command, folder, {**os.environ, "PYTHONPATH": str(package)}) as served:
        yield served


@contextmanager
def plain_server(script: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve any script as Streamlit does by itself; yield its address and process."""
    flags = ("--server.address=127.0.0.1", f"--server.port={PORT}", "--server.headless=true")
    silent = "--browser.gatherUsageStats=false"
    command = [sys.executable, "-m", "streamlit", "run", str(script), *flags, silent]
    with _served(command, script.parent, dict(os.environ)) as served:
        yield served


@contextmanager
def _served(
    command: Sequence[str], folder: Path, environment: dict[str, str]
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a command with a free port in the place of `PORT` until it is no longer needed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with_port = [word.replace(PORT, port) for word in command]
    process = subprocess.Popen(with_port, cwd=folder, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{address}/_stcore/health", process)
        yield address, process
    finally:
        process.terminate()
        process.wait(20)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"The server ended with code {process.returncode}.")
        try:
            with urllib.request.urlopen(url, timeout=1) as reply:
                if reply.status == 200:
                    return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError("The server did not answer within a minute.")


@contextmanager
def browser() -> Iterator[Browser]:
    """Start Chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        try:
            yield started
        finally:
            started.close()


AT_REST = (
    "() => !document.querySelector('[data-testid=stApp]')"
    ".dataset.testScriptState.startsWith('running')"
)


# At rest ten times in a row: between what a person does and its script there is a gap.
STILL = """() => new Promise((done) => {
  let looks = 0;
  const look = () => {
    looks = (%s)() ? looks + 1 : 0;
    return looks > 10 ? done(true) : setTimeout(look, 15);
  };
  look();
})"""


def open_page(page: Page, url: str) -> Page:
    """Open an address and wait until the page shows its answers."""
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url)
    page.get_by_role("button", name="Report").wait_for()  # stands there when all is drawn
    settle(page)
    return page


def choose_file(page: Page, dialog: Literal["add", "open"], path: Path) -> None:
    """Choose a file in the dialog that adds images or opens a model."""
    page.locator(f".st-key-{dialog} button").first.click()
    page.locator("input[type=file]").first.set_input_files(str(path))


def settle(page: Page) -> None:
    """Wait until the script has run and every row is drawn."""
    page.locator(".row, [data-testid=stAlert]").first.wait_for()
    page.wait_for_function(STILL % AT_REST)
