"""The wheel carries everything that the app needs, and runs without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from build import ProjectBuilder

from tests import serving
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
LEFT_OUT = shutil.ignore_patterns(".*_cache", ".venv", "__pycache__", ".git", "out", "build")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """Build the wheel from a copy of the checkout, and unpack it where an installer would."""
    source = tmp_path_factory.mktemp("source") / "oversure"
    shutil.copytree(ROOT, source, ignore=LEFT_OUT)
    built = ProjectBuilder(source).build("wheel", tmp_path_factory.mktemp("dist"))
    place = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(built) as wheel:
        wheel.extractall(place)
    return place


@pytest.fixture
def python(unpacked, tmp_path):
    """Return a function that runs Python beside the unpacked wheel, far from the checkout."""

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(unpacked)}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    return run


def test_the_wheel_holds_the_pages_the_samples_and_the_settings(unpacked):
    for path in ("app.py", "pages", "sample_images", ".streamlit/config.toml"):
        assert (unpacked / "diagnostics" / "app" / path).exists()
    assert not (unpacked / "tests").exists()


def test_the_samples_are_found_beside_the_package(python, unpacked):
    said = python("-c", "from diagnostics.data import samples; print(samples.ROOT)")
    assert said.strip() == str(unpacked / "diagnostics" / "app")


def test_the_command_line_answers(python, unpacked):
    samples = unpacked / "diagnostics" / "app" / "sample_images"
    said = python(
        "-m",
        "diagnostics",
        "inspect",
        str(samples / "models" / "letters_conv.safetensors"),
        str(samples / "letter-x-fuzzy.png"),
    )
    assert "x (23)" in said


@pytest.mark.browser
@pytest.mark.skipif(not serving.chromium(), reason="Chromium is not installed")
def test_the_app_is_served_with_its_samples(unpacked, tmp_path, page):
    with serving.server(unpacked, tmp_path) as (address, _):
        serving.open_page(page, address)
        assert page.locator(".answer").count() == 5
