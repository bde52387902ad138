"""Everything people add is one new file: a copy of the tree, with one file each, shows them all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

FILES = {
    "diagnostics/methods/attribution/brightness.py": '''
"""A map for the test."""

from typing import Annotated

from diagnostics.methods.attribution import Heatmap
from diagnostics.methods.registry import method
from diagnostics.schema.options import Range


@method("Brightness", kind="map", source="none")
def brightness(classifier, pixels, target, *, power: Annotated[int, Range(1, 4)] = 1):
    """How bright each pixel is.

    Args:
        classifier: Not asked.
        pixels: Images.
        target: Not looked at.
        power: To which the brightness is raised.
    """
    return Heatmap(pixels.mean(1) ** power, signed=False)
''',
    "diagnostics/methods/ood/darkness.py": '''
"""A score for the test."""

from diagnostics.methods.ood._score import Score


@Score("Darkness", source="none", blind="Everything.")
def darkness(outputs, fitted):
    """How small the first logit is.

    Args:
        outputs: What the network gave.
        fitted: Nothing.
    """
    return -outputs.logits[:, 0].double()
''',
    "diagnostics/methods/guard/coin.py": '''
"""A guard for the test."""

from typing import Annotated, Any

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method
from diagnostics.schema.options import Range


@method("Coin", kind="guard", source="none")
def coin(context: Context, *, alpha: Annotated[float, Range(0.001, 0.5)] = 0.05) -> Outcome[Any]:
    """Reject by chance.

    Args:
        context: Not looked at.
        alpha: Share of images rejected.
    """
    return Outcome({})
''',
    "diagnostics/corruptions/dusk.py": '''
"""A corruption for the test."""

from diagnostics.corruptions.registry import corruption


@corruption(
    "Dusk",
    "Every value is multiplied by what is left of the light.",
    unit="of the light",
    phrase="{} of the light",
    limits=(0, 1),
    default_range=(1, 0),
    identity=1,
)
def dusk(values, light, random):
    """Darken."""
    return values * light
''',
    "diagnostics/loaders/mine.py": '''
"""A format for the test: four letters before a safetensors file."""

from diagnostics.loaders.registry import loader
from diagnostics.loaders.safetensors import tensors_of
from diagnostics.loaders.weights import unwrapped


def matches(file):
    return file.head[:4] == b"MINE"


@loader("mine", matches, files=".mine")
def read(path):
    return unwrapped(tensors_of(path.read_bytes()[4:]))
''',
    "pages/3_stress/9_shadows.py": '''
"""Shadows: a page for the test."""

import streamlit as st

TITLE, ICON = "Shadows", "contrast"
st.title(TITLE)
''',
    "diagnostics/report/formats/plain.py": '''
"""A format for the test."""

from diagnostics.report.formats import report_format


@report_format("Plain text", ending=".txt", mime="text/plain")
def plain(title, facts, sections):
    """The title alone."""
    return title
''',
}
SAMPLE = ("sample_images/models/letters_conv.safetensors", "sample_images/letter-x-thin.png")
ASKED = {
    "list": ("list", "--json"),
    "attribution": ("run", "attribution/brightness", *SAMPLE, "--power", "2", "--json"),
    "score": ("score", *SAMPLE, "--json"),
    "sweep": ("run", "corruption/sweep", *SAMPLE, "--axis", "dusk", "--steps", "3", "--json"),
    "load": ("load", "letters.mine", "--json"),
    "refused": ("load", "notes.txt"),
}
# Calls the copy's commands in one process and prints what each answered.
COMMANDS = """
import contextlib
import io
import json
import sys

from diagnostics.cli.main import main

said = {}
for name, words in json.loads(sys.argv[1]).items():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    said[name] = (code, out.getvalue(), err.getvalue())
print(json.dumps(said))
"""
# Runs the app of the copy and prints its navigation, its guards and its report menu.
APP = """
import json
import sys

import streamlit as st
from streamlit.testing.v1 import AppTest

navigation = st.navigation
sections = {}


def note(pages, **more):
    sections.update({name: [page.title for page in group] for name, group in pages.items()})
    return navigation(pages, **more)


st.navigation = note
app = AppTest.from_file("app.py", default_timeout=180).run()
assert not app.exception, app.exception
menu = [one.label for one in app.get("download_button")]
guard = app.switch_page("pages/2_trust/4_guard.py").run()
assert not guard.exception, guard.exception
shown = " ".join(one.value for one in guard.markdown)
print(json.dumps({"sections": sections, "menu": menu, "guard": shown}))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """Return a copy of the tree with one more file of each kind."""
    copy = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("diagnostics", "pages", "sample_images", ".streamlit"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    shutil.copy(ROOT / "app.py", copy)
    for name, text in FILES.items():
        assert not (copy / name).exists()
        (copy / name).write_text(text.lstrip(), "utf-8")
    return copy


def answered(tree: Path, *words: str) -> str:
    """Return what Python prints in the copy."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def said(tree):
    """What the copy's commands answer, by their first word: exit code, output, error."""
    (tree / "letters.mine").write_bytes(b"MINE" + (ROOT / SAMPLE[0]).read_bytes())
    (tree / "notes.txt").write_text("no model")
    return json.loads(answered(tree, "-c", COMMANDS, json.dumps(ASKED)).splitlines()[-1])


def found(said, name):
    """Return the JSON that a command answered, which must have gone well."""
    code, out, err = said[name]
    assert code == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def listed(said):
    return {info["id"]: info for info in found(said, "list")["methods"]}


@pytest.fixture(scope="module")
def app(tree):
    return json.loads(answered(tree, "-c", APP).splitlines()[-1])


@pytest.mark.slow
def test_methods_of_every_kind_are_listed_with_their_options(listed):
    found = {name: listed[name]["kind"] for name in ("attribution/brightness", "ood/darkness")}
    assert found == {"attribution/brightness": "map", "ood/darkness": "score"}
    assert listed["guard/coin"]["kind"] == "guard"
    (option,) = listed["attribution/brightness"]["options"]
    assert (option["name"], option["range"]["high"]) == ("power", 4)


@pytest.mark.slow
def test_an_attribution_is_run_with_its_own_flags(said):
    (image,) = found(said, "attribution")["images"]
    assert image["attributions"][0]["method"] == "attribution/brightness"


@pytest.mark.slow
def test_an_ood_score_is_given_with_the_others(said):
    assert "ood/darkness" in found(said, "score")["images"][0]["scores"]


@pytest.mark.slow
def test_a_corruption_is_an_axis_of_sweeps(listed, said):
    (axis,) = [one for one in listed["corruption/sweep"]["options"] if one["name"] == "axis"]
    assert "dusk" in axis["choices"]
    assert found(said, "sweep")["axes"][0]["values"] == [1, 0.5, 0]


@pytest.mark.slow
def test_a_file_of_a_new_format_is_opened(said):
    model = found(said, "load")["model"]
    assert (model["format"], model["architecture"]) == ("mine", "oversure/letters_conv")
    code, _, err = said["refused"]
    assert code == 2
    assert ".mine" in err


@pytest.mark.slow
def test_a_page_stands_in_the_navigation_and_a_guard_on_its_page(app):
    assert app["sections"]["Stress"][-1] == "Shadows"
    assert "Coin" in app["guard"]


@pytest.mark.slow
def test_a_format_stands_in_the_report_menu(app):
    assert app["menu"][:2] == ["HTML", "Plain text"]
