"""What others make of fooling images: the OOD scores, and another model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diagnostics.metrics.predictions import probabilities
from diagnostics.report.fooling.tables import Arrays, probability_text
from diagnostics.report.formatting import rate
from diagnostics.report.table import Table
from diagnostics.schema.results.fooling import FoolingClass
from diagnostics.schema.results.inspection import InspectAnswer, PredictionEntry
from diagnostics.schema.results.ood import DetectionAnswer
from diagnostics.schema.spec import ModelSpec, read
from diagnostics.text import counted, number, probability

CONFIDENT = 0.99  # from which on another model is sure of some class


def detections(judged: DetectionAnswer, alpha: float) -> list[tuple[str, int | None, int]]:
    """Return each score's name, how many pictures it calls strange, and of how many.

    Args:
        judged: The pictures' OOD scores.
        alpha: Share of in-distribution images that may be flagged.

    Returns:
        The score that catches most first; None where it cannot tell.
    """
    rows: list[tuple[str, int | None, int]] = []
    for score in judged["available"]:
        placements = [image["scores"][score["method"]] for image in judged["images"]]
        p_values = [one["p_value"] for one in placements if one["p_value"] is not None]
        hits = sum(p_value <= alpha for p_value in p_values)
        rows.append((score["title"], hits if p_values else None, len(p_values)))
    return sorted(rows, key=lambda row: -1 if row[1] is None else row[1] / row[2], reverse=True)


def detection_headline(judged: DetectionAnswer, alpha: float) -> str:
    """Say which score would have caught the pictures, or why that cannot be told."""
    known = [(title, hits, n) for title, hits, n in detections(judged, alpha) if hits is not None]
    if not known:
        return (
            "Can't tell: without known-good images a score is only a number, and nothing says from "
            "where on it is strange."
        )
    _, most, n = known[0]
    best = [title for title, hits, _ in known if hits == most]
    none = [title for title, hits, _ in known if not hits]
    scores = counted(len(known), "score")
    if not most:
        return f"None of {scores} catches any of {counted(n, 'picture')}."
    catch = "catches" if len(best) == 1 else "catch"
    sentence = f"{len(best)} of {scores} {catch} the most, {rate(most, n)}: {', '.join(best)}."
    return f"{sentence} None is caught by {', '.join(none)}." if none else sentence


def detection_table(judged: DetectionAnswer, alpha: float) -> Table:
    """Return how many pictures each score catches, and each picture's value."""
    methods = {score["title"]: score["method"] for score in judged["available"]}
    rows = []
    for title, hits, n in detections(judged, alpha):
        row = {"score": title, "caught": "can't tell" if hits is None else rate(hits, n)}
        for position, image in enumerate(judged["images"], 1):
            placement = image["scores"][methods[title]]
            percentile = placement["percentile"]
            below = "" if percentile is None else f" ({percentile:.1f} % below)"
            row[f"{position}. {image['file']}"] = f"{number(placement['value'])}{below}"
        rows.append(row)
    explanation = (
        f"Share of {counted(len(judged['images']), 'picture')} that each score calls strange where "
        f"at most {100 * alpha:g} % of images like the {judged['false_alarms']['n']} known-good "
        "ones are; more is better. Whiskers are 95 % intervals."
    )
    title = "Every score of every picture, higher is stranger"
    return Table(tuple(rows), title=title, caption=explanation)


@dataclass(frozen=True)
class Transfer:
    """What another model makes of one picture.

    Args:
        made_for: The class that it was made for.
        first: The other model's first class.
        of_target: Its probability of the class that the picture was made for, and the complement;
            None where it has no such class.
    """

    made_for: FoolingClass
    first: PredictionEntry
    of_target: tuple[float, float] | None

    @property
    def fooled(self) -> bool:
        """Whether the other model takes the picture for the class it was made for."""
        return self.first["class"] == self.made_for["name"]


def transfers(
    classes: Sequence[FoolingClass], answer: InspectAnswer, arrays: Arrays
) -> list[Transfer]:
    """Return what another model makes of the pictures, those without a finite answer left out.

    Args:
        classes: The class that each picture was made for.
        answer: The other model's.
        arrays: Its arrays.
    """
    spec = read(answer["model"])
    names = spec.class_names
    transferred = []
    for index, (made_for, image) in enumerate(zip(classes, answer["images"], strict=True)):
        if not image["top"]:
            continue
        of_target = None
        if names.count(made_for["name"]) == 1:
            logits, at = arrays[f"{index}/logits"], names.index(made_for["name"])
            p, one_minus_p = probabilities(logits, independent=spec.output.independent)
            of_target = float(p[at]), float(one_minus_p[at])
        transferred.append(Transfer(made_for, image["top"][0], of_target))
    return transferred


def transfer_headline(transferred: Sequence[Transfer], model: str) -> str:
    """Say how many pictures another model takes for the class they were made for."""
    n = len(transferred)
    if not n:
        return f"{model} gives no finite answer to any of these pictures."
    confident = sum(one.first["probability"] >= CONFIDENT for one in transferred)
    as_sure = f"It is 99 % sure, or more, of some class for {rate(confident, n)}."
    known = [one for one in transferred if one.of_target is not None]
    if not known:
        return f"Can't tell: {model} has other classes, none of these among them. {as_sure}"
    fooled = rate(sum(one.fooled for one in known), len(known))
    return f"{model} takes {fooled} for the class they were made for. {as_sure}"


def transfer_table(transferred: Sequence[Transfer]) -> Table:
    """Return what another model says of each picture."""
    rows = tuple(_transfer_row(one) for one in transferred)
    return Table(rows, title="What another model says of these pictures")


def _transfer_row(one: Transfer) -> dict[str, str]:
    of_target, fooled = "has no such class", "can't tell"
    if one.of_target is not None:
        of_target, fooled = probability(*one.of_target), "yes" if one.fooled else "no"
    return {
        "made for": one.made_for["name"],
        "this model": probability_text(one.made_for),
        "the other says": one.first["class"],
        "how sure": probability(one.first["probability"], one.first["one_minus_p"]),
        "for the class it was made for": of_target,
        "fooled": fooled,
    }


def size_note(model: ModelSpec, other: ModelSpec) -> str:
    """Say whether another model gets the very pictures."""
    size = f"{other.width} × {other.height} px"
    same = (model.height, model.width, model.channels) == (
        other.height,
        other.width,
        other.channels,
    )
    how = "the size of these pictures" if same else "so the pictures are made that size"
    return f"It takes {size}, {how}, with its own preprocessing: {other.preprocessing.summary}."
