"""The page of OOD scores without a browser: no folder, sample folders, wrong preprocessing."""

from __future__ import annotations

import zipfile

import pytest

from diagnostics.cli.main import parser, session_defaults
from diagnostics.data import samples
from diagnostics.ui.server.startup import SessionDefaults, configure
from tests.pages_for_tests import RecordedRunner, fine, open_page, page_text

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_known_good")]

PAGE = "pages/2_trust/2_ood.py"


@pytest.fixture
def page(app):
    return open_page(app, PAGE)


def pressed(page, key):
    return fine(page.button(key=key).click().run())


def test_without_a_folder_values_are_shown_and_nothing_is_promised(page):
    shown = page_text(page)
    assert "Without known-good images a value is only a number" in shown
    assert "cannot see" in shown
    assert "Promised" not in shown
    assert not page.error
    values = next(table.value for table in page.dataframe if "score" in table.value)
    assert "Doubt (MSP)" in list(values["score"])
    assert len(values.columns) == 6  # the score, and five images


def test_the_sample_folders_give_verdicts_a_promise_and_both_errors(page):
    page = pressed(page, "sample.in_distribution")
    shown = page_text(page)
    assert "Promised: of images like the known-good ones, at most 5 %" in shown
    assert "strangers missed" not in shown
    assert "Of these 5 images together" in shown
    assert "Each of the 14 alone flags at most 5 %" in shown
    assert "Its number: Minus the summed natural logarithms" in shown
    page = pressed(page, "sample.out_of_distribution")
    shown = page_text(page)
    assert "known-good images flagged" in shown
    assert "of 160 strangers missed" in shown
    assert not page.error
    page.selectbox(key="novelty.score").set_value("ood/msp")
    page = fine(page.run())
    assert "By Doubt (MSP)" in page_text(page)
    assert page.query_params["novelty.score"] == "ood/msp"


def test_fewer_false_alarms_are_promised_without_running_the_model_again(page, monkeypatch):
    page = pressed(page, "sample.in_distribution")
    requests = []
    monkeypatch.setattr(RecordedRunner, "run", lambda *request: requests.append(request))
    page.selectbox(key="novelty.alpha").set_value("0.01")
    page = fine(page.run())
    assert "at most 1 %" in page_text(page)
    page.selectbox(key="novelty.alpha").set_value("0.001")
    assert "cannot promise 0.1 %: nothing is ever flagged" in page_text(fine(page.run()))
    assert not requests


@pytest.fixture
def begun(app):
    """Return a function that opens the page as `oversure app MODEL IMAGE…` starts the app."""

    def start(*arguments):
        model = samples.model_files()["letters_conv"].path
        configure(session_defaults(parser().parse_args(["app", model, *arguments])))
        app.run()
        app.switch_page(PAGE)
        return fine(app.run())

    yield start
    configure(SessionDefaults())


def test_a_wrong_preprocessing_comes_first_and_offers_the_switch(begun):
    page = begun(samples.image_files()["letter-p-thin"].path, "--invert")
    page = pressed(page, "sample.in_distribution")
    first, second = (warning.value.replace("\\", "") for warning in page.warning)
    assert "looks wrong" in first
    assert "switch the preprocessing above first" in second
    page = pressed(page, "novelty.switch.0")
    assert not page.warning
    assert "**Fine.**" in page_text(page)
    (invert,) = [box for box in inspect(page).checkbox if box.label == "Invert black and white"]
    assert not invert.value


def inspect(page):
    return open_page(page, "pages/1_look/1_inspect.py")


def bring(monkeypatch, **paths):
    """Let the buttons of the sample folders bring other files."""
    brought = {role: samples.file_at(path) for role, path in paths.items()}
    known = samples.folders()
    monkeypatch.setattr(samples, "folders", lambda model=None: {**known, **brought})


def test_a_folder_that_is_none_is_an_error_and_can_be_put_away(page, tmp_path, monkeypatch):
    path = tmp_path / "broken.zip"
    path.write_bytes(b"PK\x03\x04 not a zip")
    bring(monkeypatch, in_distribution=path)
    page = pressed(page, "sample.in_distribution")
    assert len(page.error) == 1
    page = pressed(page, "away.in_distribution")
    assert not page.error
    assert "Without known-good images" in page_text(page)


def test_strangers_without_an_image_leave_the_verdicts_standing(page, tmp_path, monkeypatch):
    page = pressed(page, "sample.in_distribution")
    path = tmp_path / "empty.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    bring(monkeypatch, out_of_distribution=path)
    page = pressed(page, "sample.out_of_distribution")
    assert len(page.error) == 1
    assert "Promised" in page_text(page)


def test_an_image_that_cannot_be_read_keeps_its_column(begun, tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG not an image")
    page = begun(str(path), samples.image_files()["letter-p-thin"].path)
    values = next(table.value for table in page.dataframe if "score" in table.value)
    assert set(values["1. broken.png"]) == {"not read"}
    assert "not read" not in set(values["2. letter-p-thin.png"])


def test_where_no_image_can_be_read_the_page_says_so(begun, tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG not an image")
    page = begun(str(path))
    assert "No image could be read" in page_text(page)
