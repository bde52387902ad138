"""Verdicts as lines: the card first, then what it rests on."""

from __future__ import annotations

from diagnostics.report.diagnosis import console
from diagnostics.schema.results.diagnosis import Tried
from diagnostics.verdict.causes import CAUSES
from tests.report.diagnosis.answers import answer, finding, patched, trusted, untold, verdict


def lines_of(lines, file):
    """Return the lines from an image's first to the next line that is not indented."""
    start = next(row for row, line in enumerate(lines) if line.startswith(f"{file}:"))
    end = next(row for row in range(start + 1, len(lines)) if not lines[row].startswith(" "))
    return lines[start:end]


def test_a_card_is_its_word_its_sentence_what_to_do_and_a_line_for_each_cause():
    shown = lines_of(console.lines(answer()), "patched.png")
    assert shown[0] == "patched.png: distrust; x 99.8 %"
    assert shown[1].strip() == "A small part decides."
    advice = "Cover the mark, add it to other classes, and train again."
    assert shown[2].strip() == f"what to do: {advice}"
    (cause,) = (line for line in shown if line.strip().startswith("cause: "))
    assert "A small part decides" in cause
    assert "p of “x” goes from 99.8 % to 4.0 %." in cause
    assert "columns 22 to 24, rows 3 to 5" in cause
    assert "24 of 24 (86–100 %) other good images become this class" in cause


def test_everything_that_was_tried_is_one_line():
    tried = [
        Tried(id=cause.id, title=cause.title, p_after=0.5, why_not="It did not.")
        for cause in CAUSES[:6]
    ]
    shown = console.lines(answer(verdict("a.png", "trust", tried=tried)))
    (line,) = (line for line in shown if "tried without" in line)
    assert line.strip().startswith("tried without effect (6): ")
    assert all(cause.title in line for cause in CAUSES[:6])


def test_causes_of_the_model_stand_before_the_images_and_what_was_tried_of_it_stands_once():
    found = answer(trusted(), patched(), causes=[finding("head.bias", box=None, p_before=None)])
    found["diagnosis"]["tried"] = found["images"][0]["tried"]
    shown = console.lines(found)
    assert shown[0].startswith("the model: One class is preferred whatever the image.")
    assert "250 of 254 (96.0–99.4 %) right" in shown[0]
    assert shown[1] == "  cause: One class is preferred whatever the image"
    assert [line for line in shown if "tried without" in line] == [shown[2]]
    assert shown[3].startswith("letter.png: trust")


def test_what_was_not_asked_and_what_is_missing_are_said():
    shown = lines_of(console.lines(answer(untold(), trusted())), "untold.png")
    assert "  what to do: Add 20 known-good images or more." in shown
    assert "  not asked: Wrong value range" in shown
    assert "  not asked: Whether classes are confused." in shown


def test_an_image_that_cannot_be_read_is_one_line_that_says_why():
    shown = console.lines(answer())
    assert [line for line in shown if "broken.png" in line] == [
        "broken.png: broken.png is no image that can be read."
    ]


def test_the_passes_and_the_cost_of_looking_closer_are_said_with_their_notes():
    found = answer()
    found["notes"] = ["12 images left out."]
    shown = console.lines(found)
    assert shown[-2] == (
        "310 images went through the network; --closer would take about 4,200 more, about 3 s"
    )
    assert shown[-1] == "note: 12 images left out."
    found["closer"] = None
    assert console.lines(found)[-2] == "310 images went through the network"


def test_nothing_that_a_worker_sends_steers_the_terminal():
    steered = verdict("a\x1b[2Jb.png", "trust", sentence="\x1b]0;title\x07")
    assert not any("\x1b" in line or "\x07" in line for line in console.lines(answer(steered)))
