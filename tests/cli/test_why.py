"""`oversure why`: verdicts on stdout, evidence below --out, and exit codes."""

from __future__ import annotations

import json
import re
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

import diagnostics
from diagnostics.cli.main import main
from diagnostics.data import samples
from diagnostics.schema.results.diagnosis import Finding, ImageVerdict, ModelVerdict, Tried
from diagnostics.verdict.causes import ORDER

FILE = samples.model_files()["letters_marked"]
MODEL, GOOD = FILE.path, samples.folders(FILE)["in_distribution"].path
MARKED, PLAIN = (samples.image_files()[name].path for name in ("letter-p-marked", "letter-p-fuzzy"))
VERDICTS = {"trust", "distrust", "cannot_tell"}


@pytest.fixture
def why(capsys):
    def call(*arguments):
        code = main(["why", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """The answer about a marked letter, a plain one and no image, below a folder."""
    folder = tmp_path_factory.mktemp("why")
    broken = folder / "broken.png"
    broken.write_bytes(b"no image")
    out = folder / "out"
    images = [MARKED, str(broken), PLAIN]
    assert main(["why", MODEL, *images, "--folder", GOOD, "--json", "--out", str(out)]) == 0
    return out, json.loads((out / "why.json").read_text("utf-8"))


def mark():
    """Return columns and rows of the mark, as two samples differ by it."""
    marked, plain = (np.asarray(Image.open(path), int) for path in (MARKED, PLAIN))
    rows, columns = np.nonzero(marked - plain > 100)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_the_json_has_the_keys_of_schema_1(asked):
    _, answer = asked
    assert answer["schema"] == 1
    assert {"images", "model", "passes", "remembered", "closer", "notes"} <= answer.keys()
    assert {"name", "sha256"} | ModelVerdict.__annotations__.keys() <= answer["model"].keys()
    assert answer["passes"] > len(answer["images"]) == 3
    for image in answer["images"]:
        assert image.keys() == ImageVerdict.__annotations__.keys()
        assert image["verdict"] in VERDICTS
        assert all(cause.keys() == Finding.__annotations__.keys() for cause in image["causes"])
        assert all(one.keys() == Tried.__annotations__.keys() for one in image["tried"])
        assert {one["id"] for one in image["causes"] + image["tried"]} <= ORDER.keys()


def test_a_planted_mark_is_named_first_where_it_lies(asked):
    image = asked[1]["images"][0]
    assert (image["said"], image["verdict"]) == ("k", "distrust")
    first = image["causes"][0]
    assert first["id"] == "shortcut.local"
    assert first["p_before"] > 0.9 > 0.5 > first["p_after"]
    assert first["turned"]["hits"] >= 0.8 * first["turned"]["n"] > 0
    left, top, right, bottom = first["box"]
    over, under = np.maximum((left, top), mark()[:2]), np.minimum((right, bottom), mark()[2:])
    assert np.prod((under - over).clip(0)) >= 8  # half of the mark
    assert (right - left) * (bottom - top) <= 0.09 * 28 * 28


def test_an_image_that_cannot_be_read_spoils_no_other(asked):
    marked, broken, plain = asked[1]["images"]
    assert broken["file"] == "broken.png"
    assert broken["error"]
    assert broken["verdict"] == "cannot_tell"
    assert (marked["error"], plain["error"]) == (None, None)
    assert plain["said"] == "p"
    assert all(cause["id"] != "shortcut.local" for cause in plain["causes"])


def test_the_evidence_lies_below_out_as_pictures_arrays_and_one_page(asked):
    out, answer = asked
    shown = [one for cause in answer["images"][0]["causes"] for one in cause["evidence"]]
    assert shown
    with np.load(out / "why.npz") as arrays:
        assert "0/image" in arrays
        for one in shown:
            assert one["picture"].startswith(("0-", "good-"))
            with Image.open(out / one["picture"]) as picture:
                assert np.array_equal(np.asarray(picture)[..., :1], arrays[one["array"]])
    assert np.array_equal(np.asarray(Image.open(out / "0-image.png"))[..., 0], Image.open(MARKED))
    page = (out / "why.html").read_text("utf-8")
    assert "letter-p-marked.png" in page
    assert not re.search(r"https?://|<script", page)


def test_the_text_is_a_card_for_each_image_with_the_model_first(why):
    code, out, err = why(MODEL, MARKED, PLAIN, "--folder", GOOD)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("the model: ")
    cards = [line for line in lines if not line.startswith(" ")][1:3]
    assert [card.partition(":")[0] for card in cards] == [
        "letter-p-marked.png",
        "letter-p-fuzzy.png",
    ]
    assert cards[0].startswith("letter-p-marked.png: distrust; k ")
    assert any(line.startswith("  cause: A small part decides") for line in lines)
    assert any(line.startswith("  what to do: ") for line in lines)


def test_a_reference_stands_in_for_its_folder(why, asked, capsys, tmp_path):
    file = tmp_path / "good.safetensors"
    assert main(["reference", "build", MODEL, GOOD, "--to", str(file)]) == 0
    assert "with some of the images themselves" in capsys.readouterr().out
    code, out, _ = why(MODEL, MARKED, "--reference", file, "--json")
    first = json.loads(out)["images"][0]
    assert code == 0
    assert first["verdict"] == "distrust"
    assert first["causes"][0]["id"] == "shortcut.local"


def test_the_model_is_prepared_as_the_flags_say(why):
    _, out, _ = why(MODEL, PLAIN, "--json")
    _, inverted, _ = why(MODEL, PLAIN, "--invert", "--json")
    plain, turned = (json.loads(text)["images"][0] for text in (out, inverted))
    assert plain["said"] == "p"
    assert (plain["said"], plain["p"]) != (turned["said"], turned["p"])


def test_without_known_good_images_it_says_what_it_could_not_ask(why):
    code, out, _ = why(MODEL, MARKED, "--json")
    (image,) = json.loads(out)["images"]
    assert code == 0
    assert image["verdict"] != "trust"
    assert image["unasked"] or image["needs"]


def test_a_folder_without_images_is_said_in_a_note_and_nothing_is_trusted(why, tmp_path):
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w"):
        pass
    code, out, _ = why(MODEL, PLAIN, "--folder", empty)
    assert code == 0
    assert "letter-p-fuzzy.png: can't tell; p " in out
    assert "note: empty.zip holds no image" in out


def test_bad_input_is_one_sentence_and_exit_code_2(why, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    for arguments in (
        (MODEL, tmp_path / "nothing.png"),
        (MODEL, broken),
        (tmp_path / "nothing.safetensors", PLAIN),
        (MODEL, PLAIN, "--folder", tmp_path / "nowhere"),
        (MODEL, PLAIN, "--reference", PLAIN),
    ):
        code, _, err = why(*arguments)
        assert code == 2, arguments
        assert err.startswith("oversure: ")
        assert err.count("\n") == 1


def test_a_folder_and_a_reference_together_are_refused(why, tmp_path):
    shutil.copy(GOOD, tmp_path / "good.zip")
    with pytest.raises(SystemExit) as ended:
        why(MODEL, PLAIN, "--folder", tmp_path / "good.zip", "--reference", tmp_path / "good.zip")
    assert ended.value.code == 2


def test_the_python_door_gives_what_the_command_line_gives(asked):
    model = diagnostics.load(MODEL)
    result = diagnostics.why(model, [MARKED], folder=GOOD)
    (image,), (told, *_) = result.scores["images"], asked[1]["images"]
    assert (image["verdict"], image["said"], image["p"]) == (
        told["verdict"],
        told["said"],
        told["p"],
    )
    assert [cause["id"] for cause in image["causes"]] == [cause["id"] for cause in told["causes"]]
    assert result.arrays["0/image"].shape == (28, 28, 1)
