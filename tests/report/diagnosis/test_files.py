"""Verdicts as files: pictures as they were, paths in the JSON, and one page."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
from PIL import Image

from diagnostics.report.diagnosis import files, page
from diagnostics.report.diagnosis.tables import WORDS
from diagnostics.schema.results.diagnosis import Tried
from tests.report.diagnosis.answers import (
    answer,
    arrays,
    finding,
    patched,
    picture,
    trusted,
    verdict,
)

HOSTILE = '<script>alert("x")</script><img src="https://example.org/a.png">'
FACTS = {"Model": "letters.safetensors", "Known-good images": "good.zip"}


def opened(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def test_every_picture_lies_in_the_folder_as_it_was(tmp_path):
    given = arrays()
    written = files.write(answer(), given, tmp_path / "made", FACTS)
    assert written["1/without"] == "1-without.png"
    assert written.keys() == given.keys()
    for name, file in written.items():
        assert np.array_equal(opened(tmp_path / "made" / file), given[name][..., 0]), name
    with np.load(tmp_path / "made" / "why.npz") as held:
        assert {name: held[name].tobytes() for name in held} == {
            name: values.tobytes() for name, values in given.items()
        }


def test_no_name_of_an_array_leads_out_of_the_folder(tmp_path):
    given = {"../../outside": arrays()["0/image"], "/etc/x": arrays()["0/image"]}
    written = files.write(answer(), given, tmp_path / "made", FACTS)
    assert all("/" not in file and ".." not in file for file in written.values())
    assert {path.name for path in tmp_path.iterdir()} == {"made"}
    assert {path.name for path in (tmp_path / "made").iterdir()} == {
        "why.npz",
        "why.html",
        *written.values(),
    }


def test_an_array_that_is_no_picture_is_written_as_an_array_alone(tmp_path):
    given = {**arrays(), "0/heat": np.zeros((4, 4), np.float32)}
    assert "0/heat" not in files.write(answer(), given, tmp_path, FACTS)
    with np.load(tmp_path / "why.npz") as held:
        assert "0/heat" in held


def test_the_json_names_the_files_of_its_pictures_and_leaves_the_answer_as_it_was(tmp_path):
    given = answer()
    written = files.write(given, arrays(), tmp_path, FACTS)
    found = files.content(given, {"name": "m", "sha256": "0"}, written)
    shown = found["images"][1]["causes"][0]["evidence"]
    assert [one["picture"] for one in shown] == ["1-without.png", "1-other0.png", "1-other1.png"]
    assert [one["array"] for one in shown] == ["1/without", "1/other0", "1/other1"]
    first, second = found["images"][0]["neighbours"]
    assert (first["picture"], second["picture"]) == ("good-0.png", None)
    assert given == answer()


def test_without_files_the_json_names_none():
    found = files.content(answer(), {"name": "m"}, {})
    shown = found["images"][1]["causes"][0]["evidence"]
    assert [(one["picture"], one["array"]) for one in shown] == [(None, None)] * 3


def test_the_model_stands_beside_its_causes():
    found = files.content(answer(causes=[finding("head.bias")]), {"name": "m", "sha256": "0"}, {})
    assert (found["model"]["name"], found["model"]["sha256"]) == ("m", "0")
    assert [cause["id"] for cause in found["model"]["causes"]] == ["head.bias"]
    assert found["passes"] == 310


def test_the_page_shows_every_verdict_and_the_interventions_pixel_for_pixel():
    given = arrays()
    document = page.page(answer(causes=[finding("head.bias")]), given, FACTS)
    for text in ("letter.png", "patched.png", "untold.png", "broken.png", *WORDS.values()):
        assert text.replace("'", "&#x27;") in document
    assert "One class is preferred whatever the image" in document
    contents = re.findall(r'src="data:image/png;base64,([^"]+)"', document)
    shown = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(one))).convert("L")) for one in contents
    ]
    for name in ("0/image", "1/image", "1/without", "1/other0", "1/other1", "good/0"):
        assert any(np.array_equal(given[name][..., 0], one) for one in shown), name


def test_evidence_stands_below_its_own_image_with_the_answer_to_every_picture():
    document = page.page(answer(), arrays(), FACTS)
    begin, end = document.index("2  patched.png"), document.index("3  untold.png")
    assert begin < document.index("Another image with it") < end
    section = document[begin:end]
    assert all(text in section for text in ("90.0 %", "97.0 %", "95.0 %", "b before"))


def test_what_was_tried_is_folded_and_that_of_the_model_stands_once():
    given = answer(trusted(), patched())
    of_model = Tried(id="head.bias", title="", p_after=None, why_not="No offset mends anything.")
    given["diagnosis"]["tried"] = [of_model]
    for image in given["images"]:
        image["tried"] = [of_model, *image["tried"]]
    document = page.page(given, arrays(), FACTS)
    folded = re.findall(r"<details><summary>.*?</details>", document, re.DOTALL)
    assert sum("No offset mends anything." in text for text in folded) == 1
    assert sum("Blur leaves the answer as it is." in text for text in folded) == 2
    assert document.count("No offset mends anything.") == 1


def test_the_page_is_one_file_for_light_and_dark_that_runs_nothing_of_a_stranger():
    cause = finding(
        sentence=HOSTILE, fix=HOSTILE, evidence=[picture(HOSTILE, HOSTILE, "x", 0.5, 0.5)]
    )
    hostile = verdict(HOSTILE, "distrust", said=HOSTILE, sentence=HOSTILE, causes=[cause])
    document = page.page(answer(hostile), arrays(), {HOSTILE: HOSTILE})
    assert "<script" not in document
    assert '<img src="https' not in document
    assert "color-scheme: light dark" in document
    assert "default-src 'none'" in document
