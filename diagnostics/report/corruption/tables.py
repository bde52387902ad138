"""What a sweep found, in sentences, numbers and pictures: where the prediction changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from diagnostics.report import pictures, render
from diagnostics.report.formatting import rate
from diagnostics.report.render import Picture
from diagnostics.report.table import Bar, Cell, Table
from diagnostics.schema.results.corruption import (
    NOT_FINITE,
    AxisEntry,
    LabelChange,
    RankedClass,
    SweepAnswer,
    SweptImage,
    TransitionsAnswer,
)
from diagnostics.text import counted, number, probability, shortened

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

NO_ANSWER, NOT_ASKED = "no finite answer", "not asked yet"
MAX_COLOURS = 8  # of classes that have a colour of their own
MAX_CHANGES = 3  # whose pictures stand side by side
AS_IT_IS = "As it is"
CONCLUSIONS = {
    "relies on grey transitions": "The model relies on grey transitions",
    "no sign of it": "No sign that the model relies on grey transitions",
    "can't tell": "Can't tell whether the model relies on grey transitions",
}


def class_name(answer: SweepAnswer, index: int | None) -> str:
    """Return the name of a class of the answer."""
    if index is None:
        return NOT_ASKED
    return NO_ANSWER if index == NOT_FINITE else answer["classes"][str(index)]


def ranked_class(answer: SweepAnswer, entry: RankedClass) -> str:
    """Return a class with its probability."""
    return f"{class_name(answer, entry['index'])} {confidence(entry)}"


def confidence(entry: RankedClass) -> str:
    """Return the probability of a ranked class in percent."""
    return probability(entry["probability"], entry["one_minus_p"])


def at(axis: AxisEntry, step: int) -> str:
    """Return a step as it stands in a sentence, such as "slope 12.5"."""
    return axis["phrase"].format(number(axis["values"][step]))


def clean_class(image: SweptImage) -> int:
    """Return the class that is predicted for an image as it is."""
    return image["clean"][0]["index"] if image["clean"] else NOT_FINITE


def first_label_changes(image: SweptImage, axis: AxisEntry) -> list[LabelChange]:
    """Return the first change up and down the axis from the image as it is, the nearest first."""
    start = axis["identity_step"] or 0
    up = [change for change in image["label_changes"] if change["step"] >= start]
    down = [change for change in image["label_changes"] if change["step"] < start]
    return sorted(up[:1] + down[:1], key=lambda change: abs(change["step"] - start))


def sentence(image: SweptImage, answer: SweepAnswer) -> str:
    """Say where one image's prediction changes, such as "x becomes e at slope 12.5"."""
    (axis,) = answer["axes"]
    name = shortened(image["file"], 32)
    evaluated = [step for step, index in enumerate(image["predicted"]) if index is not None]
    if not evaluated:
        return f"{name}: {NOT_ASKED}."
    if not image["label_changes"]:
        ends = f"{at(axis, evaluated[0])} to {at(axis, evaluated[-1])}"
        return f"{name}: stays {shortened(class_name(answer, clean_class(image)))} from {ends}."
    first = [change["title"] for change in first_label_changes(image, axis)]
    more = len(image["label_changes"]) - len(first)
    again = f"; it changes {counted(more, 'more time')}" if more else ""
    return f"{name}: {', and '.join(first)}{again}."


def headline(answer: SweepAnswer) -> str:
    """Say how many images change their prediction, and which does so first."""
    (axis,), images = answer["axes"], answer["images"]
    start = axis["identity_step"] or 0
    changed = [(image, first_label_changes(image, axis)) for image in images]
    changed = [(image, changes) for image, changes in changed if changes]
    n = counted(len(images), "image")
    if not changed:
        return f"{axis['title']}: no answer changes in {n}."
    nearest, changes = min(changed, key=lambda pair: abs(pair[1][0]["step"] - start))
    verb = "changes its answer" if len(changed) == 1 else "change their answer"
    return (
        f"{axis['title']}: {len(changed)} of {n} {verb}. The first is "
        f"{shortened(nearest['file'], 32)}: {changes[0]['title']}."
    )


def label_change_table(answer: SweepAnswer) -> Table:
    """Return where each image's prediction changes first, and how often."""
    (axis,), rows = answer["axes"], []
    for image in answer["images"]:
        evaluated = [index for index in image["predicted"] if index is not None]
        unchanged = sum(index == clean_class(image) for index in evaluated)
        first = [change["title"] for change in first_label_changes(image, axis)]
        rows.append(
            {
                "image": image["file"],
                "as it is": ranked_class(answer, image["clean"][0])
                if image["clean"]
                else NO_ANSWER,
                "first changes": "; ".join(first) or "none",
                "changes": str(len(image["label_changes"])),
                "steps with the same answer": f"{unchanged} of {len(evaluated)}",
            }
        )
    caption = " ".join(sentence(image, answer) for image in answer["images"])
    if len({index for image in answer["images"] for index in image["predicted"]}) > MAX_COLOURS:
        caption += f" The {MAX_COLOURS} most frequent classes have a colour; the others are grey."
    return Table(tuple(rows), title=f"{axis['title']}: where answers change", caption=caption)


def facts(answer: SweepAnswer) -> str:
    """Return which axis was swept, how far and in how many steps."""
    (axis,) = answer["axes"]
    steps = counted(len(axis["values"]), "step")
    return f"{axis['title']}, {steps} from {at(axis, 0)} to {at(axis, len(axis['values']) - 1)}"


def step_table(image: SweptImage, answer: SweepAnswer) -> Table:
    """Return the ranking of one image at every step."""
    (axis,) = answer["axes"]
    rows = [{"step": AS_IT_IS, **_ranking(image["clean"], answer)}]
    for step, top in enumerate(image["top"]):
        if top is not None:
            rows.append({"step": at(axis, step), **_ranking(top, answer)})
    caption = (
        f"{sentence(image, answer)} Steps are drawn evenly; a change lies between its step and "
        "the one before it."
    )
    return Table(tuple(rows), title=f"{axis['title']}, {image['file']}", caption=caption)


def _ranking(top: Sequence[RankedClass], answer: SweepAnswer) -> dict[str, str]:
    if not top:
        return {"said": NO_ANSWER, "confidence": ""}
    first, *others = top
    cells = {"said": class_name(answer, first["index"]), "confidence": confidence(first)}
    for rank, entry in enumerate(others, 2):
        cells[f"{rank}. class"] = ranked_class(answer, entry)
    return cells


def cells_at_changes(row: int, answer: SweepAnswer, arrays: Arrays) -> list[Cell]:
    """Return an image as it is, and just before and after its first changes."""
    (axis,), image = answer["axes"], answer["images"][row]
    first = first_label_changes(image, axis)
    later = [change for change in image["label_changes"] if change not in first]
    steps: set[int] = set()
    for change in [*first, *later][:MAX_CHANGES]:
        steps |= {change["step"]}
        steps |= set() if change["previous_step"] is None else {change["previous_step"]}
    steps -= {axis["identity_step"]}
    if not steps and image["thumbnails"]:
        start = axis["identity_step"] or 0
        ends = (image["thumbnails"][0], image["thumbnails"][-1])
        steps = {max(ends, key=lambda step: abs(step - start))}
    return [cell(row, step, answer, arrays) for step in (None, *sorted(steps))]


def cell(row: int, step: int | None, answer: SweepAnswer, arrays: Arrays) -> Cell:
    """Return one step of an image with its ranking; None is the image as it is."""
    (axis,), image = answer["axes"], answer["images"][row]
    words = AS_IT_IS if step is None else at(axis, step)
    title = f"{words[0].upper()}{words[1:]}"
    top = image["clean"] if step is None else image["top"][step]
    key = f"image/{row}/clean" if step is None else f"image/{row}/step/{step}"
    shown = Cell(title=title, hover=title)
    if key in arrays:
        drawn = picture(arrays[key], f"{image['file']}, {words}", answer["size"])
        shown = replace(shown, pictures=(drawn,))
    if not top:
        return replace(shown, empty=NO_ANSWER if top is not None else NOT_ASKED)
    return replace(
        shown,
        answer=shortened(class_name(answer, top[0]["index"]), 28),
        confidence=confidence(top[0]),
        bars=tuple(_bar(answer, entry) for entry in top),
    )


def _bar(answer: SweepAnswer, entry: RankedClass) -> Bar:
    name = class_name(answer, entry["index"])
    return Bar(name, entry["probability"], confidence(entry), f"{name}, class {entry['index']}")


def picture(values: NDArray[Any], name: str, size: Sequence[int]) -> Picture:
    """Return a corrupted image of 8 bit; one smaller than what the network receives says so.

    Args:
        values: Shape (h, w, c).
        name: Of the image, with its step.
        size: Height and width of what the network receives.
    """
    shown = render.photo(values.astype(np.float64) / 255)
    height, width = size
    shrunk = "" if values.shape[:2] == (height, width) else f"average of {width} × {height} px"
    return Picture(shown, f"{name}.", shrunk, pictures.plain(name))


def quantile_table(answer: SweepAnswer) -> Table:
    """Return what all images do together at every step."""
    (axis,) = answer["axes"]
    rows = []
    for step, band in enumerate(answer["quantile_bands"]):
        if not band["n"]:
            continue
        row = {"step": at(axis, step), "n": str(band["n"])}
        if band["probability_quantiles"]:
            low, median, high = (f"{100 * p:.1f} %" for p in band["probability_quantiles"])
            row["median confidence"], row["5 to 95 % of images"] = median, f"{low} to {high}"
        row["same answer"] = rate(band["unchanged"]["hits"], band["n"])
        if band["correct"]["n"]:
            row["right"] = rate(band["correct"]["hits"], band["correct"]["n"])
        rows.append(row)
    caption = (
        "Confidence is that in the class that each image gets as it is; the band holds the middle "
        "90 % of the images. The intervals of the rates are 95 % intervals."
    )
    return Table(tuple(rows), title=f"{axis['title']}, many images", caption=caption)


def quantile_headline(answer: SweepAnswer) -> str:
    """Say at which step fewer than half of the images keep their prediction."""
    (axis,) = answer["axes"]
    start = axis["identity_step"] or 0
    unchanged = {
        step: band["unchanged"] for step, band in enumerate(answer["quantile_bands"]) if band["n"]
    }
    if not unchanged:
        return "No image got a finite answer."
    lost = [step for step, count in unchanged.items() if 2 * count["hits"] < count["n"]]
    if not lost:
        worst = min(unchanged, key=lambda step: unchanged[step]["hits"] / unchanged[step]["n"])
        return (
            f"{axis['title']}: at every step at least half of the images keep their answer; the "
            f"fewest at {at(axis, worst)}, {rate(unchanged[worst]['hits'], unchanged[worst]['n'])}."
        )
    first = min(lost, key=lambda step: abs(step - start))
    return (
        f"{axis['title']}: fewer than half of the images keep their answer from {at(axis, first)} "
        f"on: {rate(unchanged[first]['hits'], unchanged[first]['n'])}."
    )


def verdict_sentence(answer: TransitionsAnswer) -> str:
    """Say whether the model relies on grey transitions, with the figures it rests on."""
    verdict = answer["verdict"]
    conclusion = CONCLUSIONS[verdict["conclusion"]]
    if verdict["drop"] is None:
        return f"{conclusion}. {verdict['reason']}"
    drop, low, high = (
        f"{100 * share:.1f}".replace("-", "−") for share in (verdict["drop"], *verdict["interval"])
    )
    falling = "accuracy" if verdict["rate"] == "accuracy" else "the share of same answers"
    return (
        f"{conclusion}: parted into black and white at its own level, an image's greys are gone "
        f"and {falling} falls by {drop} points ({low} to {high}), n = {verdict['n']}. "
        f"{verdict['reason']}"
    )


def condition_table(answer: TransitionsAnswer) -> Table:
    """Return what each condition does to the images."""
    groups = {"none": "", "edges": "transitions", "range": "value range"}
    rows = []
    for condition in answer["conditions"]:
        row = {"alteration": condition["title"], "alters": groups[condition["group"]]}
        row["same answer"] = rate(condition["unchanged"]["hits"], condition["n"])
        if condition["correct"]["n"]:
            row["right"] = rate(condition["correct"]["hits"], condition["correct"]["n"])
        rows.append(row)
    caption = (
        f"{100 * answer['grey_share']:.0f} % of the values lie between 10 and 90 %: they are the "
        "greys that a threshold takes away. A value range that is wrong lowers the rates as well, "
        "without touching an edge; that is why both are altered, each by itself."
    )
    return Table(
        tuple(rows), title="Transitions and value range, each altered alone", caption=caption
    )
