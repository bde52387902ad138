"""Fooling images in words and rows: how sure the model is of each, and how soon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.metrics.predictions import confidence
from diagnostics.report import render
from diagnostics.report.pictures import plain
from diagnostics.report.render import Picture, Rgb
from diagnostics.report.table import Cell, Table
from diagnostics.schema.results.fooling import FoolingAnswer, FoolingClass
from diagnostics.text import counted, number, probability, shortened

Arrays = Mapping[str, NDArray[Any]]

GOAL = "0.9999"
MILESTONES = {"0.5": "50 %", "0.99": "99 %", "0.999": "99.9 %", "0.9999": "99.99 %"}
FEW = 12  # classes whose lines can be told apart
SHEET_IMAGES, SHEET_COLUMNS = 4, 4  # shown while they are made
TRACE_ROWS = 12
SURE_OF = "The model is 99.99 % sure of a picture made from nothing for"
NOTHING = "No picture was found for any class."


def headline(answer: FoolingAnswer) -> str:
    """Say how many classes are reached, and how sure the model is of the surest picture."""
    reached = [one for one in answer["classes"] if one["probability"] is not None]
    if not reached:
        return NOTHING
    n, hits = len(answer["classes"]), count_reached(answer, GOAL)
    first, last = reached[0], reached[-1]
    name = shortened(first["name"])
    if n == 1:
        return f"The model takes a picture made from nothing for {name}, {probability_text(first)}."
    surest = f"The surest is {name}, {probability_text(first)}."
    if hits == n:
        return f"{SURE_OF} all {n} classes. {surest}"
    return (
        f"{SURE_OF} {hits} of {n} classes. {surest} "
        f"The least sure is {shortened(last['name'])}, {probability_text(last)}."
    )


def effort_text(answer: FoolingAnswer) -> str:
    """Say how far the work got, and how often the network was asked."""
    iterations = counted(answer["iterations"], answer["unit"])
    sentences = [
        f"{iterations} of at most {answer['max_iterations']}, {answer['evaluations']:,} pictures "
        f"asked about, seed {answer['seed']}."
    ]
    if not answer["complete"]:
        sentences.append("The work was not done when it ended: this is what was there.")
    missing = [one["name"] for one in answer["classes"] if one["probability"] is None]
    if missing:
        names = ", ".join(shortened(name) for name in missing[:6])
        more = f" and {len(missing) - 6} more" if len(missing) > 6 else ""
        sentences.append(f"Not found: {names}{more}.")
    if answer["images_left_out"]:
        count = counted(answer["images_left_out"], "class", "classes")
        sentences.append(f"The pictures of {count} are not shown: they are the least sure.")
    return " ".join([*sentences, *answer["notes"]])


def count_reached(answer: FoolingAnswer, milestone: str, iteration: float = np.inf) -> int:
    """Count the classes that had reached a milestone by an iteration."""
    reached_at = [one["milestones"][milestone] for one in answer["classes"]]
    return sum(at is not None and at <= iteration for at in reached_at)


def probability_text(one: FoolingClass) -> str:
    """Return a class's probability as people read it."""
    if one["probability"] is None or one["one_minus_p"] is None:
        return "not found"
    return probability(one["probability"], one["one_minus_p"])


def classes_with_image(answer: FoolingAnswer, count: int) -> list[FoolingClass]:
    """Return the classes whose images are there, the surest first, at most so many."""
    return [one for one in answer["classes"] if one["index"] in answer["image_indices"]][:count]


def images_by_class(answer: FoolingAnswer, arrays: Arrays) -> dict[int, Rgb]:
    """Return the image of each class that has one, shape (h, w, c), by the class's index."""
    return dict(zip(answer["image_indices"], arrays.get("images", ()), strict=True))


def gallery_cells(
    answer: FoolingAnswer,
    images: Mapping[int, Rgb],
    classes: Sequence[FoolingClass],
    *,
    stretch: bool = False,
) -> list[Cell]:
    """Return a cell with the surest picture of each class.

    Args:
        answer: The answer.
        images: See `images_by_class`.
        classes: Those that are shown.
        stretch: Draw the darkest value of each picture black and the brightest white.
    """
    return [_cell(answer, one, images[one["index"]], stretch) for one in classes]


def _cell(answer: FoolingAnswer, one: FoolingClass, image: Rgb, stretch: bool) -> Cell:
    name, sure = shortened(one["name"], 28), probability_text(one)
    height, width = image.shape[:2]
    low, high = int(image.min()), int(image.max())
    values, caption, file = image / 255, "", image_name(answer, one)
    if stretch:
        values = (image - float(low)) / max(high - low, 1)
        caption, file = f"levels {low} … {high} drawn as 0 … 255", f"{file} stretched"
    picture = Picture(
        render.photo(values),
        f"The picture made for {name} by {answer['algorithm']}, {width} × {height} px: {sure}.",
        caption,
        file,
    )
    return Cell(
        title=name,
        hover=one["name"],
        pictures=(picture,),
        notes=(sure, f"found at {answer['unit']} {one['found_at']}"),
    )


def contact_sheet(answer: FoolingAnswer, arrays: Arrays, room_px: int) -> Picture | None:
    """Return the surest pictures side by side, as many as there is room for; None without any.

    Args:
        answer: The answer so far.
        arrays: Its arrays.
        room_px: Width and height.
    """
    classes = classes_with_image(answer, SHEET_IMAGES)
    if not classes:
        return None
    images = [render.photo(image / 255) for image in arrays["images"][:SHEET_IMAGES]]
    height, width = images[0].shape[:2]
    factor = max(1, room_px // (SHEET_COLUMNS * (width + 1)))
    columns = max(1, min(SHEET_COLUMNS, room_px // (factor * width)))
    count = max(1, min(len(images), columns * max(1, room_px // (2 * factor * height))))
    across, down = factor * width + 1, factor * height + 1
    sheet = np.full((-(-count // columns) * down, columns * across, 3), render.GAP, np.uint8)
    for position, image in enumerate(images[:count]):
        top, left = position // columns * down, position % columns * across
        enlarged = render.enlarge(image, factor)
        sheet[top : top + down - 1, left : left + across - 1] = enlarged
    names = ", ".join(
        f"{shortened(one['name'], 16)} {probability_text(one)}" for one in classes[:count]
    )
    return Picture(sheet, f"The pictures so far: {names}.", names, "so-far")


def image_name(answer: FoolingAnswer, one: FoolingClass) -> str:
    """Return the name of a picture's file, without its ending."""
    return f"fooling {plain(answer['algorithm'])} {plain(one['name'])} seed {answer['seed']}"


def class_table(answer: FoolingAnswer) -> Table:
    """Return how sure the model is of each class's picture, and when it got so far."""
    rows = tuple(_class_row(one, answer["unit"]) for one in answer["classes"])
    return Table(rows, title="The surest picture of each class")


def _class_row(one: FoolingClass, unit: str) -> dict[str, str]:
    row = {
        "class": one["name"],
        "index": str(one["index"]),
        "probability": probability_text(one),
        "log odds (higher is surer)": number(one["margin"]),
    }
    for name, at in one["milestones"].items():
        row[f"{MILESTONES[name]} at {unit}"] = "not reached" if at is None else str(at)
    return row


def trace_table(answer: FoolingAnswer, arrays: Arrays) -> Table:
    """Return how sure the model was along the way."""
    iterations, margins = answer["trace_iterations"], continued_trace(arrays)
    spaced = np.linspace(0, len(iterations) - 1, TRACE_ROWS).round().astype(int)
    rows = tuple(
        _trace_row(answer, iterations[index], margins[index]) for index in np.unique(spaced)
    )
    lines = "Each line is the picture of one class."
    if len(answer["classes"]) > FEW:
        lines = (
            "The line is the median; the dark band holds half of the classes, the light one all."
        )
    explanation = f"{lines} The model is asked about the picture as it is saved, in 8 bits."
    return Table(rows, title="Along the way", caption=explanation)


def _trace_row(
    answer: FoolingAnswer, iteration: int, margins: NDArray[np.float64]
) -> dict[str, str]:
    row = {answer["unit"]: str(iteration)}
    for title, margin in (
        ("least sure", margins.min()),
        ("median", np.median(margins)),
        ("surest", margins.max()),
    ):
        row[title] = probability(*confidence(float(margin)))
    for name, title in MILESTONES.items():
        row[f"classes at {title}"] = str(count_reached(answer, name, iteration))
    return row


def continued_trace(arrays: Arrays) -> NDArray[np.float64]:
    """Return the margins, shape (iterations, classes), where a class that ended stays as it was."""
    margins = np.array(arrays["trace"], np.float64)
    for row in range(1, len(margins)):
        margins[row] = np.where(np.isnan(margins[row]), margins[row - 1], margins[row])
    return np.nan_to_num(margins, nan=-np.inf)
