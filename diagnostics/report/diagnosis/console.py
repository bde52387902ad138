"""Verdicts as lines of text, for the command line."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostics.report.diagnosis.tables import (
    WORDS,
    advice,
    brief,
    counts,
    explanations,
    model_sentence,
    moved,
    own_trials,
    title,
    why,
)
from diagnostics.schema.results.diagnosis import Finding, ImageVerdict, Tried, WhyAnswer
from diagnostics.text import counted, duration, printable, probability


def lines(answer: WhyAnswer) -> list[str]:
    """Say what is wrong with the model, whether each answer should be trusted, and why.

    Args:
        answer: What `diagnosis/why` answered.
    """
    model, passes = answer["diagnosis"], counted(answer["passes"], "image")
    sentence = model_sentence(model) or brief(model["sentence"])
    found = [f"the model: {sentence}"] if sentence else []
    found += [_cause(cause, "") for cause in model["causes"]] + _tried(model["tried"])
    for image in own_trials(answer):
        found += _image(image)
    cost = f"{passes} went through the network"
    if closer := answer["closer"]:
        more = f"about {closer['passes']:,} more, {duration(closer['seconds']).lower()}"
        cost = f"{cost}; --closer would take {more}"
    found += [cost, *(f"note: {note}" for note in answer["notes"])]
    return [printable(line) for line in found]


def _image(image: ImageVerdict) -> list[str]:
    """Return the card of an image, and what it rests on."""
    if image["error"]:
        return [f"{image['file']}: {image['error']}"]
    said = f"{image['said']} {probability(image['p'], image['one_minus_p'])}"
    do = advice(image)
    return [
        f"{image['file']}: {WORDS[image['verdict']]}; {said}",
        f"  {why(image)}",
        *([f"  what to do: {do}"] if do else []),
        *(_cause(cause, image["said"]) for cause in explanations(image)),
        *_tried(image["tried"]),
        *(f"  not asked: {title(text)}" for text in image["unasked"]),
    ]


def _cause(cause: Finding, said: str) -> str:
    """Return a cause, where it lies, what its intervention did, and what it did to others."""
    box = cause["box"]
    where = f"columns {box[0]} to {box[2] - 1}, rows {box[1]} to {box[3] - 1}." if box else ""
    figures = " ".join(filter(None, (where, moved(cause, said), counts(cause))))
    return f"  cause: {title(cause['id'])}" + (f"; {figures}" if figures else "")


def _tried(tried: Sequence[Tried]) -> list[str]:
    """Return everything that was tried as one line."""
    names = (brief(one["title"] or title(one["id"])) for one in tried)
    return [f"  tried without effect ({len(tried)}): {'; '.join(names)}"] if tried else []
