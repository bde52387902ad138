"""Fooling images in words and rows: how sure the model is of each, and how soon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.report import render
from diagnostics.report.pictures import plain
from diagnostics.report.render import Picture
from diagnostics.report.table import Cell, Table
from diagnostics.text import counted, number, probability, shortened

Entry = Mapping[str, Any]
Arrays = Mapping[str, NDArray[Any]]

GOAL = "0.9999"
NAMES = {"0.5": "50 %", "0.99": "99 %", "0.999": "99.9 %", "0.9999": "99.99 %"}
FEW = 12  # classes whose lines can be told apart
LIVE, LIVE_ABREAST = 4, 4  # pictures shown while they are made
LINES = 12  # numbers of the trace that stand in its table
SURE_OF = "The model is 99.99 % sure of a picture made from nothing for"
NOTHING = "No picture was found for any class."


def headline(answer: Entry) -> str:
    """Say how many classes are reached, and how sure the model is of the surest picture."""
    found = [one for one in answer["classes"] if one["probability"] is not None]
    if not found:
        return NOTHING
    n, hits = len(answer["classes"]), reached(answer, GOAL)
    first = found[0]
    surest = f"The surest is {shortened(first['class'])}, {sure(first)}."
    if n == 1:
        name = shortened(first["class"])
        return f"The model takes a picture made from nothing for {name}, {sure(first)}."
    if hits == n:
        return f"{SURE_OF} all {n} classes. {surest}"
    return (
        f"{SURE_OF} {hits} of {n} classes. {surest} "
        f"The least sure is {shortened(found[-1]['class'])}, {sure(found[-1])}."
    )


def how_far(answer: Entry) -> str:
    """Say how far the work got, and what it asked of the network."""
    done, asked = answer["done"], answer["asked"]
    steps = f"{counted(done, answer['unit'])} of at most {asked}"
    said = [f"{steps}, {answer['evaluations']:,} pictures asked about, seed {answer['seed']}."]
    if not answer["complete"]:
        said.append("The work was not done when it ended: this is what was there.")
    missing = [one["class"] for one in answer["classes"] if one["probability"] is None]
    if missing:
        names = ", ".join(shortened(name) for name in missing[:6])
        more = f" and {len(missing) - 6} more" if len(missing) > 6 else ""
        said.append(f"Not found: {names}{more}.")
    if answer["without_picture"]:
        count = counted(answer["without_picture"], "class", "classes")
        said.append(f"The pictures of {count} are not shown: they are the least sure.")
    return " ".join([*said, *answer["notes"]])


def reached(answer: Entry, milestone: str) -> int:
    """Count the classes that reached a milestone."""
    return sum(one["milestones"][milestone] is not None for one in answer["classes"])


def sure(one: Entry) -> str:
    """Return a class's probability as people read it."""
    if one["probability"] is None:
        return "not found"
    return probability(one["probability"], one["one_minus_p"])


def shown(answer: Entry, count: int) -> list[Entry]:
    """Return the classes whose pictures are shown, the surest first."""
    return [one for one in answer["classes"] if one["index"] in answer["pictures"]][:count]


def gallery(
    answer: Entry, arrays: Arrays, entries: Sequence[Entry], *, stretch: bool = False
) -> list[Cell]:
    """Return a cell with the surest picture of each class.

    Args:
        answer: The JSON of the answer.
        arrays: Its arrays.
        entries: The classes.
        stretch: Draw the darkest value of each picture black and the brightest white.
    """
    pictures = dict(zip(answer["pictures"], arrays.get("pictures", ()), strict=True))
    return [_cell(answer, one, pictures[one["index"]], stretch) for one in entries]


def _cell(answer: Entry, one: Entry, pixels: NDArray[np.uint8], stretch: bool) -> Cell:
    name, unit = shortened(one["class"], 28), answer["unit"]
    height, width = pixels.shape[:2]
    low, high = int(pixels.min()), int(pixels.max())
    values, caption, file = pixels / 255, "", file_name(answer, one)
    if stretch:
        values = (pixels - float(low)) / max(high - low, 1)
        caption, file = f"levels {low} … {high} drawn as 0 … 255", f"{file} stretched"
    picture = Picture(
        render.photo(values),
        f"The picture made for {name} by {answer['way']}, {width} × {height} px: {sure(one)}.",
        caption,
        file,
    )
    return Cell(
        title=name,
        hover=one["class"],
        pictures=(picture,),
        notes=(
            sure(one),
            f"found at {unit} {one[unit]}",
        ),
    )


def so_far(answer: Entry, arrays: Arrays, room: int) -> Picture | None:
    """Return the surest pictures side by side, as many as there is room for; None without any.

    Args:
        answer: The JSON of the answer so far.
        arrays: Its arrays.
        room: Width and height in px.
    """
    entries = shown(answer, LIVE)
    if not entries:
        return None
    small = [render.photo(one / 255) for one in arrays["pictures"][:LIVE]]
    height, width = small[0].shape[:2]
    factor = max(1, room // (LIVE_ABREAST * (width + 1)))
    across = max(1, min(LIVE_ABREAST, room // (factor * width)))
    count = max(1, min(len(small), across * max(1, room // (2 * factor * height))))
    step, down = factor * width + 1, factor * height + 1
    sheet = np.full((-(-count // across) * down, across * step, 3), render.GAP[0], np.uint8)
    for place in range(count):
        top, left = place // across * down, place % across * step
        drawn = render.enlarge(small[place], factor)
        sheet[top : top + down - 1, left : left + step - 1] = drawn
    names = [f"{shortened(one['class'], 16)} {sure(one)}" for one in entries[:count]]
    return Picture(sheet, f"The pictures so far: {', '.join(names)}.", ", ".join(names), "so-far")


def file_name(answer: Entry, one: Entry) -> str:
    """Return the name of a picture's file, without its ending."""
    return f"fooling {plain(answer['way'])} {plain(one['class'])} seed {answer['seed']}"


def numbers(answer: Entry) -> Table:
    """Return how sure the model is of each class's picture, and when it got so far."""
    unit = answer["unit"]
    rows = [
        {
            "class": one["class"],
            "index": str(one["index"]),
            "probability": sure(one),
            "log odds (higher is surer)": number(one["margin"]),
            **{
                f"{NAMES[name]} at {unit}": "not reached" if at is None else str(at)
                for name, at in one["milestones"].items()
            },
        }
        for one in answer["classes"]
    ]
    return Table(tuple(rows), title="The surest picture of each class")


def traced(answer: Entry, arrays: Arrays) -> Table:
    """Return how sure the model was along the way."""
    at = answer["trace_at"]
    rows = []
    for place in np.unique(np.linspace(0, len(at) - 1, LINES).round().astype(int)):
        values = held(arrays)[place]
        row = {answer["unit"]: str(at[place])}
        for title, value in (
            ("least sure", values.min()),
            ("median", np.median(values)),
            ("surest", values.max()),
        ):
            row[title] = probability(*of_margin(float(value)))
        for name, title in NAMES.items():
            row[f"classes at {title}"] = str(count_at(answer, name, at[place]))
        rows.append(row)
    n = len(answer["classes"])
    lines = "Each line is the picture of one class."
    if n > FEW:
        lines = (
            "The line is the median; the dark band holds half of the classes, the light one all."
        )
    said = f"{lines} The model is asked about the picture as it is saved, in 8 bits."
    return Table(tuple(rows), title="Along the way", said=said)


def count_at(answer: Entry, milestone: str, step: int) -> int:
    """Count the classes that had reached a milestone at a step."""
    at = [one["milestones"][milestone] for one in answer["classes"]]
    return sum(one is not None and one <= step for one in at)


def held(arrays: Arrays) -> NDArray[np.float64]:
    """Return the trace, shape (steps, classes), where a class that ended stays as it was."""
    trace = np.asarray(arrays["trace"], np.float64)
    for place in range(1, len(trace)):
        trace[place] = np.where(np.isnan(trace[place]), trace[place - 1], trace[place])
    return np.nan_to_num(trace, nan=-np.inf)


def of_margin(margin: float) -> tuple[float, float]:
    """Return the probability of log odds, and its distance from one."""
    return float(np.exp(-np.logaddexp(0, -margin))), float(np.exp(-np.logaddexp(0, margin)))
