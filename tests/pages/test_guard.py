"""The page of guards without a browser: nothing dear unasked, three guards beside each other."""

from __future__ import annotations

import io
import zipfile

import pytest

from diagnostics.errors import CANCELLED, WorkerMemoryError
from diagnostics.ui.session.state import current_session
from diagnostics.ui.views import guard
from tests.pages_for_tests import (
    RecordedRunner,
    button_labels,
    fine,
    open_page,
    page_text,
    press,
    section_headings,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_known_good")]

PAGE = "pages/2_trust/4_guard.py"
TRY = "Try it with letters, and digits as strangers"


@pytest.fixture
def page(app):
    """The page with the samples in hand."""
    return open_page(app, PAGE)


def test_nothing_is_fitted_before_it_is_asked_for(page, monkeypatch):
    assert "none of the above" in page_text(page)
    requests = []
    monkeypatch.setattr(
        RecordedRunner, "run", lambda _, request, watch=None: requests.append(request)
    )
    page = press(page, TRY)
    assert "Fit the guards" in button_labels(page)
    assert not requests
    assert section_headings(page) == ["What guards are fitted on"]


def test_one_guard_that_fails_does_not_hide_the_others(page, monkeypatch):
    run = RecordedRunner.run

    def fail(self, request, watch=None):
        if request.method == "guard/extra_class":
            raise WorkerMemoryError("The memory is full.")
        return run(self, request, watch)

    sessions, notes = [], guard.notes

    def watched(guards):
        sessions.append(current_session())
        return notes(guards)

    monkeypatch.setattr(RecordedRunner, "run", fail)
    monkeypatch.setattr(guard, "notes", watched)
    page = press(press(page, TRY), "Fit the guards")
    assert [error.value.replace("\\", "") for error in page.error] == ["The memory is full."]
    assert "Start again" in button_labels(page)
    assert len(section_headings(page)) == 4
    labels = button_labels(page)
    assert labels.count("Open the guarded model") == 2
    columns = list(page.dataframe[0].value.columns)
    assert columns == ["kind of image", "Below 90 % sure", "Threshold", "Discriminator"]
    assert any("discriminator learned on" in warning.value for warning in page.warning)
    monkeypatch.setattr(RecordedRunner, "run", run)
    page = press(page, "Start again")
    assert not page.error
    session = sessions[-1]
    guards = [
        result for result in session.results.values() if "unconfident_rejected" in result.scores
    ]
    assert len(guards) == 3
    assert not any(result.arrays for result in guards)
    page.selectbox(key="guard.alpha").set_value("0.1")
    page = fine(page.run())
    assert "Fit the guards" in button_labels(page)
    page.selectbox(key="guard.alpha").set_value("0.05")
    page = fine(page.run())
    assert len(section_headings(page)) == 4
    (button, *_) = [button for button in page.button if button.label == "Open the guarded model"]
    button.click()
    page = fine(page.run())
    assert "letters_conv-threshold-guarded.pt2" in session.model.file.name
    assert session.model.class_names is not None
    assert session.model.class_names[-1] == "none of the above"


def test_a_cancelled_guard_says_so(page, monkeypatch):
    page = press(page, TRY)

    def cancel(*_):
        raise WorkerMemoryError(CANCELLED)

    monkeypatch.setattr(RecordedRunner, "run", cancel)
    page = press(page, "Fit the guards")
    assert [info.value for info in page.info] == [CANCELLED] * 3
    assert section_headings(page) == ["What guards are fitted on"]


def packed(contents):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "damaged"),
        (b"PK\x05\x06" + bytes(18), "no whole model"),
        (packed({"guarded.pt2": b"", "recipe.toml": b"\xff"}), "damaged"),
        (packed({"guarded.pt2": b"x"}), "damaged"),
        (packed({"guarded.pt2": bytes(5000), "recipe.toml": b""}), "was not opened"),
        (packed({"guarded.pt2": b"x", "recipe.toml": b"model = 3"}), "must be a table"),
        (packed({"guarded.pt2": b"x", "recipe.toml": b""})[:60], "damaged"),
    ],
    ids=["empty", "no file", "no text", "no recipe", "too large", "no table", "cut off"],
)
def test_a_file_that_is_no_guard_is_said_and_nothing_is_opened(
    content, sentence, tmp_path, monkeypatch
):
    errors = []

    class Held:
        def free_bytes(self):
            return 4096

        def quota_message(self):
            return "there is no room."

        def store_upload(self, *_):
            raise AssertionError

        select_model = store_upload

    monkeypatch.setattr(guard, "current_session", Held)
    monkeypatch.setattr(guard, "show_error", errors.append)
    path = tmp_path / "guard.zip"
    path.write_bytes(content)
    guard._open("guard/threshold", path)
    (error,) = errors
    assert sentence in error
