"""A verdict as a card, and its evidence as rows of pictures and tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from diagnostics.report.diagnosis.pictures import Arrays, picture
from diagnostics.report.formatting import rate
from diagnostics.report.table import SEPARATOR, Card, Cell, Row, Table
from diagnostics.schema.results import Count
from diagnostics.schema.results.diagnosis import (
    Effect,
    Finding,
    ImageVerdict,
    ModelVerdict,
    Neighbour,
    Tried,
    Verdict,
    WhyAnswer,
)
from diagnostics.schema.results.diagnosis import Picture as Shown
from diagnostics.text import number, probability, shortened
from diagnostics.verdict.causes import BY_ID
from diagnostics.verdict.decide import DECIDED

WORDS: dict[Verdict, str] = {
    "trust": "trust",
    "distrust": "distrust",
    "cannot_tell": "can't tell",
}
TRIED, NEIGHBOURS = "Tried, and it did not explain the answer", "Nearest known-good images"
MEASURED = "distance in the features, 0 to 2; nearest first, of those whose pictures are at hand"
UNASKED = "What could not be asked"
SURE = "more than 99.9 %"
MAX_LENGTH = 600  # characters of a sentence
MAX_SHOWN = 12  # pictures of one row
MAX_ROWS = 60
MAX_CAUSES = len(BY_ID)


def card(image: ImageVerdict, *, is_open: bool = False) -> Card:
    """Return the verdict on an image: a word, why, and what to do.

    Args:
        image: Its verdict.
        is_open: Whether its evidence stands open.
    """
    verdict = image["verdict"]
    return Card(verdict, WORDS[verdict], why(image), advice(image), is_open)


def why(image: ImageVerdict) -> str:
    """Say why an answer should be trusted or not, without the answer, which stands above."""
    p = probability(image["p"], image["one_minus_p"])
    sentence = image["sentence"].removeprefix(f"The model says “{image['said']}” with {p}. ")
    return brief(image["error"] or sentence)


def advice(image: ImageVerdict) -> str:
    """Say what to do about an image: what mends its first cause, or what would let it tell."""
    fixes = [cause["fix"] for cause in image["causes"] if cause["fix"]]
    return _sentence(fixes[0] if fixes else image["needs"])


def explanations(image: ImageVerdict) -> list[Finding]:
    """Return the causes that explain an answer; that nothing does is no cause."""
    found = [cause for cause in image["causes"] if not cause["id"].startswith("none.")]
    return found[:MAX_CAUSES]


def cards(answer: WhyAnswer, opened: int | None = None) -> list[Cell]:
    """Return the verdict on every image that was read, in the order of the columns.

    Args:
        answer: The answer.
        opened: Number of the image whose evidence stands open.
    """
    return [
        Cell(card=None if image["error"] else card(image, is_open=index == opened))
        for index, image in enumerate(answer["images"])
    ]


def model_sentence(model: ModelVerdict) -> str:
    """Say what is wrong with the model whatever the image, and what to do; empty if nothing is."""
    if not model["causes"]:
        return ""
    first = model["causes"][0]
    known = "" if model["right"] is None else f" It answers {_rate(model['right'])} right."
    fix = f" {_sentence(first['fix'])}" if first["fix"] else ""
    return f"{_sentence(model['sentence'] or first['sentence'])}{known}{fix}"


def evidence(image: ImageVerdict, arrays: Arrays, index: int) -> list[Row | Table]:
    """Return what a verdict rests on, in the order in which it is read.

    Args:
        image: The verdict on an image.
        arrays: Of the answer.
        index: The image's number among those asked about.
    """
    found = [finding(cause, image, arrays, index) for cause in explanations(image)]
    return [*(row for rows in found for row in rows), *beside(image, arrays)]


def beside(image: ImageVerdict, arrays: Arrays) -> list[Row | Table]:
    """Return what stands beside the causes: nearest good images, what was tried, and not asked.

    Args:
        image: The verdict on an image.
        arrays: Of the answer.
    """
    rows: list[Row | Table] = []
    if image["neighbours"]:
        rows.append(neighbours(image, arrays))
    if image["tried"]:
        rows.append(tried(image["tried"]))
    unasked = [title(text) for text in image["unasked"][:MAX_ROWS]]
    if unasked or image["needs"]:
        sentences = tuple(_sentence(text) for text in (*unasked, image["needs"]) if text)
        rows.append(Row((), UNASKED, sentences))
    return rows


def finding(cause: Finding, image: ImageVerdict, arrays: Arrays, index: int) -> list[Row | Table]:
    """Return one cause: the intervention itself in pictures, and its effects beside good images'.

    Args:
        cause: What its intervention did.
        image: The verdict on the image.
        arrays: Of the answer.
        index: The image's number among those asked about.
    """
    whole, shown = f"{index}/image", cause["evidence"][:MAX_SHOWN]
    cells = [_shown(one, image, arrays, cause) for one in shown]
    if shown and all(one["array"] != whole for one in shown):
        cells.insert(0, _itself(image, arrays, whole, cause))
    said = " ".join(
        filter(None, (moved(cause, image["said"]), _sentence(cause["sentence"]), counts(cause)))
    )
    fix = f"What to do: {_sentence(cause['fix'])}" if cause["fix"] else ""
    row = Row(tuple(cells), title(cause["id"]), tuple(filter(None, (said, fix))))
    return [row, effects(cause["effects"])] if cause["effects"] else [row]


def moved(cause: Finding, said: str) -> str:
    """Say what was done and what became of the probability; empty where nothing was done."""
    before, after, done = cause["p_before"], cause["p_after"], brief(cause["done"])
    if before is None or after is None or not done:
        return ""
    first, last = _percent(before), _percent(after)
    goes = f"stays {last}" if first == last else f"goes from {first} to {last}"
    then = ";" if done.endswith(":") else ","
    return f"{done.rstrip(':,')}{then} p of “{shortened(said)}” {goes}."


def counts(cause: Finding) -> str:
    """Say how many others turned with the cause, and with the same of another; empty if none did.

    Only what can be given to another image is counted in other images.
    """
    turned, placebo = cause["turned"], cause["placebo"]
    if cause["id"] not in DECIDED or turned is None or not turned["n"]:
        return ""
    sentence = f"With it, {_rate(turned)} other good images become this class"
    if placebo is None or not placebo["n"]:
        return f"{sentence}."
    return f"{sentence}; with the same of another good image, {_rate(placebo)}."


def effects(found: Sequence[Effect]) -> Table:
    """Return what was measured on the image, beside the same on good images where it was."""
    rows = [
        {
            "what": _capital(brief(one["name"])),
            "this image": _value(one["value"], one["unit"]),
            "good images, median": _value(one["good_median"], one["unit"]),
            "95 % of them below": _value(one["good_high"], one["unit"]),
            "good images": str(one["n"] or ""),
        }
        for one in found[:MAX_ROWS]
    ]
    filled = [name for name in rows[0] if any(row[name] for row in rows)] if rows else []
    kept = tuple({name: row[name] for name in filled} for row in rows)
    beside = " beside the same on known-good images" if "good images" in filled else ""
    return Table(kept, f"What was measured{beside}")


def neighbours(image: ImageVerdict, arrays: Arrays) -> Row:
    """Return the known-good images nearest to an image: what they are, and how far away."""
    cells = tuple(_neighbour(one, arrays) for one in image["neighbours"][:MAX_SHOWN])
    return Row(cells, f"{NEIGHBOURS}{SEPARATOR}{MEASURED}")


def tried(found: Sequence[Tried]) -> Table:
    """Return the interventions that did not explain the answer, and why not."""
    rows = tuple(
        {
            "what": brief(one["title"] or title(one["id"])),
            "the class gets": "" if one["p_after"] is None else _percent(one["p_after"]),
            "why not": brief(one["why_not"]),
        }
        for one in found[:MAX_ROWS]
    )
    return Table(rows, f"{TRIED} ({len(found)})", is_folded=True)


def own_trials(answer: WhyAnswer) -> list[ImageVerdict]:
    """Return every verdict with what was tried of its image, without what was of the model."""
    of_model = {one["id"] for one in answer["diagnosis"]["tried"]}
    return [
        {**image, "tried": [one for one in image["tried"] if one["id"] not in of_model]}
        for image in answer["images"]
    ]


def title(cause: str) -> str:
    """Return the name that people read of a cause; anything else is a sentence already."""
    return BY_ID[cause].title if cause in BY_ID else brief(cause)


def brief(sentence: str) -> str:
    """Return a sentence of a worker, not too long for a page."""
    return shortened(sentence, MAX_LENGTH)


def _sentence(text: str) -> str:
    """Return what a method says as a sentence."""
    text = brief(text)
    stop = "" if not text or text.endswith((".", "?", "…")) else "."
    return f"{_capital(text)}{stop}"


def _capital(text: str) -> str:
    """Return text with a capital letter first, unless that is the letter of a probability."""
    return text if re.match(r"p\b", text) else f"{text[:1].upper()}{text[1:]}"


def _itself(image: ImageVerdict, arrays: Arrays, name: str, cause: Finding) -> Cell:
    drawn = picture(arrays, name, f"{image['file']}, as the network receives it.", cause["box"])
    return Cell(
        title="The image",
        answer=shortened(image["said"]),
        confidence=probability(image["p"], image["one_minus_p"]),
        pictures=(drawn,) if drawn else (),
    )


def _shown(one: Shown, image: ImageVerdict, arrays: Arrays, cause: Finding) -> Cell:
    """Return one picture of an intervention, and what the model says of it."""
    said, class_name = shortened(one["said"]), shortened(image["said"])
    is_it = one["array"].endswith("/image")
    caption = _capital(brief(one["caption"]))
    name = f"{image['file']}: {caption}, as the network receives it."
    drawn = picture(arrays, one["array"], name, cause["box"] if is_it else None)
    changed = one["before"] and one["before"] != one["said"]
    before = f"{shortened(one['before'])} before" if changed else ""
    theirs = "" if one["said"] == image["said"] else f"{class_name}: {_percent(one['p_cause'])}"
    return Cell(
        title=caption,
        hover=caption,
        answer=said,
        confidence=probability(one["p"], one["one_minus_p"]),
        pictures=(drawn,) if drawn else (),
        notes=tuple(filter(None, (before, theirs))),
    )


def _neighbour(one: Neighbour, arrays: Arrays) -> Cell:
    label, said = shortened(one["label"]), shortened(one["said"])
    drawn = picture(arrays, one["array"], f"Known-good image of {label}.") if one["array"] else None
    other = f"the model says {said}" if label and one["said"] != one["label"] else ""
    return Cell(
        title=label or said,
        pictures=(drawn,) if drawn else (),
        notes=tuple(filter(None, (f"distance {number(one['distance'])}", other))),
    )


def _value(value: float | None, unit: str) -> str:
    """Return a number with its unit; a share is written in percent."""
    if value is None:
        return ""
    if unit in ("share", "probability"):
        return _percent(value)
    return f"{number(value)} {shortened(unit)}".strip()


def _percent(value: float) -> str:
    """Return a probability whose exact distance from one nobody sent."""
    return SURE if value > 0.999 else probability(value, 1 - value)


def _rate(count: Count) -> str:
    return rate(count["hits"], count["n"])
