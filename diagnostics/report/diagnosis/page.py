"""Verdicts as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostics.report.diagnosis.pictures import Arrays, picture
from diagnostics.report.diagnosis.tables import (
    brief,
    card,
    effects,
    evidence,
    model_sentence,
    own_trials,
    title,
    tried,
)
from diagnostics.report.formats import html
from diagnostics.report.table import Cell, Row, Table
from diagnostics.schema.results.diagnosis import ImageVerdict, WhyAnswer
from diagnostics.text import counted, probability, shortened

TITLE = "Why so sure?"


def page(answer: WhyAnswer, arrays: Arrays, facts: Mapping[str, str]) -> str:
    """Return every verdict with its evidence as one page that opens without a network.

    Args:
        answer: What `diagnosis/why` answered.
        arrays: Of the answer.
        facts: What was looked at, name by name.
    """
    cost = {"Passes": f"{counted(answer['passes'], 'image')} through the network"}
    sections = {"The model": _model(answer)}
    for index, image in enumerate(own_trials(answer)):
        heading = f"{index + 1}  {shortened(image['file'], 80)}"
        sections[heading] = [_verdict(image, arrays, index), *evidence(image, arrays, index)]
    sections["Notes"] = [Row(sentences=tuple(map(brief, answer["notes"])))] * bool(answer["notes"])
    return html.page(TITLE, {**facts, **cost}, sections)


def _model(answer: WhyAnswer) -> list[Row | Table]:
    """Return what is wrong with the model whatever the image, and what was tried of it."""
    model = answer["diagnosis"]
    sentence = model_sentence(model) or brief(model["sentence"])
    rows: list[Row | Table] = [Row(sentences=(sentence,))] if sentence else []
    for cause in model["causes"]:
        sentences = (brief(cause["sentence"]), brief(cause["fix"]))
        rows.append(Row((), title(cause["id"]), tuple(filter(None, sentences))))
        rows += [effects(cause["effects"])] if cause["effects"] else []
    return [*rows, tried(model["tried"])] if model["tried"] else rows


def _verdict(image: ImageVerdict, arrays: Arrays, index: int) -> Row:
    """Return an image as the network receives it, its answer, and the verdict on it."""
    name = shortened(image["file"], 80)
    drawn = picture(arrays, f"{index}/image", f"{name}, as the network receives it.")
    said = "" if image["error"] else probability(image["p"], image["one_minus_p"])
    return Row(
        (
            Cell(
                title=name,
                answer=shortened(image["said"]),
                confidence=said,
                pictures=(drawn,) if drawn else (),
                card=card(image),
            ),
        )
    )
