"""What others say of fooling images: the scores of strangeness, and another model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diagnostics.metrics.predictions import probabilities
from diagnostics.report.fooling.tables import sure
from diagnostics.report.formatting import rate
from diagnostics.report.table import Table
from diagnostics.schema.request import Result
from diagnostics.schema.spec import read
from diagnostics.text import counted, number, probability

Entry = Mapping[str, Any]

SURE = 0.99  # from which on another model is sure of some class


def caught(judged: Entry, alpha: float) -> list[tuple[str, int | None, int]]:
    """Return each score's name, how many pictures it calls strange, and of how many.

    Args:
        judged: What was said of the pictures' strangeness.
        alpha: Share of known-good images that may be flagged.

    Returns:
        The score that catches most first; None where it cannot tell.
    """
    found: list[tuple[str, int | None, int]] = []
    for score in judged["available"]:
        told = [image["scores"][score["method"]] for image in judged["images"]]
        places = [one["p_value"] for one in told if one["p_value"] is not None]
        hits = sum(place <= alpha for place in places)
        found.append((score["title"], hits if places else None, len(places)))
    return sorted(found, key=lambda one: -1 if one[1] is None else one[1] / one[2], reverse=True)


def caught_headline(judged: Entry, alpha: float) -> str:
    """Say which score would have caught the pictures, or why that cannot be told."""
    found = [one for one in caught(judged, alpha) if one[1] is not None]
    if not found:
        return (
            "Can't tell: without known-good images a score is only a number, and nothing says from "
            "where on it is strange."
        )
    most, n = found[0][1:]
    best = [title for title, hits, _ in found if hits == most]
    none = [title for title, hits, _ in found if not hits]
    scores = counted(len(found), "score")
    if not most:
        return f"None of {scores} catches any of {counted(n, 'picture')}."
    catch = "catches" if len(best) == 1 else "catch"
    said = f"{len(best)} of {scores} {catch} the most, {rate(most, n)}: {', '.join(best)}."
    return f"{said} None is caught by {', '.join(none)}." if none else said


def caught_numbers(judged: Entry, alpha: float) -> Table:
    """Return how many pictures each score catches, and each picture's value."""
    counts = {title: (hits, n) for title, hits, n in caught(judged, alpha)}
    by_title = {score["title"]: score for score in judged["available"]}
    rows = []
    for title, (hits, n) in counts.items():
        method = by_title[title]["method"]
        row = {"score": title, "caught": "can't tell" if hits is None else rate(hits, n)}
        for place, image in enumerate(judged["images"], 1):
            one = image["scores"][method]
            place_of = "" if one["percentile"] is None else f" ({one['percentile']:.1f} % below)"
            row[f"{place}. {image['file']}"] = f"{number(one['value'])}{place_of}"
        rows.append(row)
    n_good, n = judged["false_alarms"]["n"], len(judged["images"])
    said = (
        f"Share of {counted(n, 'picture')} that each score calls strange where at most "
        f"{100 * alpha:g} % of images like the {n_good} known-good ones are; more is better. "
        "Whiskers are 95 % intervals."
    )
    return Table(tuple(rows), title="Every score of every picture, higher is stranger", said=said)


def others_headline(entries: Sequence[Entry], other: Result, model: str) -> str:
    """Say how many pictures another model takes for the class they were made for."""
    rows = _others(entries, other)
    known = [one for one in rows if one["own"] is not None]
    n = len(rows)
    if not n:
        return f"{model} gives no finite answer to any of these pictures."
    high = sum(one["top_p"] >= SURE for one in rows)
    as_sure = f"It is 99 % sure, or more, of some class for {rate(high, n)}."
    if not known:
        return f"Can't tell: {model} has other classes, none of these among them. {as_sure}"
    same = sum(one["name"] == one["class"] for one in known)
    return f"{model} takes {rate(same, len(known))} for the class they were made for. {as_sure}"


def others_numbers(entries: Sequence[Entry], other: Result) -> Table:
    """Return what another model says of each picture."""
    rows = [
        {
            "made for": one["class"],
            "this model": one["sure"],
            "the other says": one["name"],
            "how sure": probability(one["top_p"], one["top_one_minus_p"]),
            "for the class it was made for": "has no such class"
            if one["own"] is None
            else probability(*one["own"]),
            "fooled": "can't tell" if one["own"] is None else _yes(one["name"] == one["class"]),
        }
        for one in _others(entries, other)
    ]
    return Table(tuple(rows), title="What another model says of these pictures")


def size_note(answer: Entry, other: Result) -> str:
    """Say whether another model gets the very pictures."""
    mine, its = read(answer["model"]), read(other.scores["model"])
    size = f"{its.width} × {its.height} px"
    same = (mine.height, mine.width, mine.channels) == (its.height, its.width, its.channels)
    how = "the size of these pictures" if same else "so the pictures are made that size"
    return f"It takes {size}, {how}, with its own preprocessing: {its.preprocessing.summary}."


def _others(entries: Sequence[Entry], other: Result) -> list[dict[str, Any]]:
    spec, found = read(other.scores["model"]), []
    for place, (one, image) in enumerate(zip(entries, other.scores["images"], strict=True)):
        if not image["top"]:
            continue
        own = None
        if spec.class_names.count(one["class"]) == 1:
            logits = other.arrays[f"{place}/logits"]
            p, distance = probabilities(logits, independent=spec.output.independent)
            at = spec.class_names.index(one["class"])
            own = float(p[at]), float(distance[at])
        first = image["top"][0]
        found.append(
            {
                "class": one["class"],
                "sure": sure(one),
                "name": first["class"],
                "top_p": first["probability"],
                "top_one_minus_p": first["one_minus_p"],
                "own": own,
            }
        )
    return found


def _yes(said: bool) -> str:
    return "yes" if said else "no"
