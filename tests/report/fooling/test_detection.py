"""What others make of fooling images: the OOD scores, and another model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diagnostics.data import samples
from diagnostics.data.image import encode_png
from diagnostics.data.samples import file_at
from diagnostics.execution.local import LocalRunner
from diagnostics.report.fooling import detection
from diagnostics.schema.request import INSPECT, ModelSource, Request
from diagnostics.schema.results.ood import DetectionAnswer
from diagnostics.schema.spec import read
from tests.report.fooling.answers import detection_answer, fooling_class
from tests.results import conforms


def test_a_score_catches_what_is_stranger_than_it_allows():
    answer = detection_answer([(0.01, 0.5), (0.05, 0.06), (0.2, 0.9)])
    conforms(DetectionAnswer, answer)
    assert detection.detections(answer, 0.05) == [("A", 2, 3), ("B", 0, 3)]
    headline = detection.detection_headline(answer, 0.05)
    assert headline.startswith("1 of 2 scores catches the most, 2 of 3 (")
    assert headline.endswith("None is caught by B.")
    rows = detection.detection_table(answer, 0.05).rows
    assert rows[0]["score"] == "A"
    assert rows[1]["2. 1.png"] == "1 (94.0 % below)"
    none = detection.detection_headline(detection_answer([(0.5, 0.5)]), 0.05)
    assert none == "None of 2 scores catches any of 1 picture."


def test_without_in_distribution_images_nobody_can_tell_who_catches_what():
    answer = detection_answer([(None, None)], n=0)
    assert detection.detections(answer, 0.05) == [("A", None, 0), ("B", None, 0)]
    assert detection.detection_headline(answer, 0.05).startswith("Can't tell")
    rows = detection.detection_table(answer, 0.05).rows
    assert {row["caught"] for row in rows} == {"can't tell"}


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    """Images made for two letters with a sample model, and what it and another say of them."""
    folder, runner = tmp_path_factory.mktemp("letters"), LocalRunner()
    names = ("letters_conv", "letters_dense")
    models = {name: ModelSource(samples.model_files()[name]) for name in names}
    options = {"targets": "3,23", "steps": 60}
    answer = runner.run(Request("fooling/gradient_ascent", models["letters_conv"], options=options))
    paths = [folder / f"{index}.png" for index in answer.scores["image_indices"]]
    for path, image in zip(paths, answer.arrays["images"], strict=True):
        path.write_bytes(encode_png(image[..., 0]))
    files = tuple(map(file_at, paths))
    return answer.scores["classes"], {
        name: runner.run(Request(INSPECT, model, files)) for name, model in models.items()
    }


def test_the_model_that_images_were_made_for_takes_them_for_their_class(letters):
    classes, answers = letters
    answer = answers["letters_conv"]
    transfers = detection.transfers(classes, answer.scores, answer.arrays)
    assert [one.first["class"] for one in transfers] == [one["name"] for one in classes]
    for one in transfers:
        assert one.fooled
        assert one.of_target[0] == pytest.approx(one.made_for["probability"], abs=1e-4)
    headline = detection.transfer_headline(transfers, "It")
    assert headline.startswith("It takes 2 of 2 (34–100 %) for the class they were made for.")


def test_another_model_is_counted_by_its_own_first_class(letters):
    classes, answers = letters
    answer = answers["letters_dense"]
    transfers = detection.transfers(classes, answer.scores, answer.arrays)
    rows = detection.transfer_table(transfers).rows
    firsts = [image["top"][0]["class"] for image in answer.scores["images"]]
    assert [row["the other says"] for row in rows] == firsts
    fooled = sum(first == one["name"] for first, one in zip(firsts, classes, strict=True))
    assert sum(row["fooled"] == "yes" for row in rows) == fooled
    assert detection.transfer_headline(transfers, "It").startswith(f"It takes {fooled} of 2 (")


def test_a_model_of_other_classes_cannot_be_fooled_into_one_of_these(letters):
    _, answers = letters
    answer = answers["letters_dense"]
    classes = [fooling_class(0, 0.9), fooling_class(1, 0.9)]
    transfers = detection.transfers(classes, answer.scores, answer.arrays)
    assert {row["fooled"] for row in detection.transfer_table(transfers).rows} == {"can't tell"}
    assert detection.transfer_headline(transfers, "It").startswith("Can't tell: It has other")
    assert detection.transfer_headline([], "It").startswith("It gives no finite answer")


def test_a_note_says_whether_the_other_model_gets_the_very_pictures(letters):
    _, answers = letters
    conv, dense = (read(answer.scores["model"]) for answer in answers.values())
    assert "28 × 28 px, the size of these pictures" in detection.size_note(conv, dense)
    small = replace(dense, height=14, width=14)
    assert "14 × 14 px, so the pictures are made that size" in detection.size_note(conv, small)
