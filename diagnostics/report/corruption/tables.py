"""What a sweep found, in sentences, numbers and pictures: where the answer changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.report import pictures, render
from diagnostics.report.formatting import rate
from diagnostics.report.render import Picture
from diagnostics.report.table import Bar, Cell, Table
from diagnostics.text import counted, number, probability, shortened

Said = Mapping[str, Any]
Arrays = Mapping[str, NDArray[Any]]

NOT_FINITE = -1
NO_ANSWER = "no finite answer"
COLOURED = 8  # classes that have a colour of their own
MOST_TURNS = 3  # whose pictures stand side by side
AS_IT_IS = "As it is"
READ_AS = {
    "relies on grey transitions": "The model relies on grey transitions",
    "no sign of it": "No sign that the model relies on grey transitions",
    "can't tell": "Can't tell whether the model relies on grey transitions",
}


def named(answer: Said, index: int | None) -> str:
    """Return the name of a class of the answer."""
    if index is None:
        return "not asked yet"
    return NO_ANSWER if index == NOT_FINITE else str(answer["classes"][str(index)])


def at(axis: Said, place: int) -> str:
    """Return a step as it stands in a sentence, such as "slope 12.5"."""
    return str(axis["phrase"]).format(number(axis["values"][place]))


def first_said(image: Said) -> int:
    """Return the class of an image as it is."""
    return int(image["before"][0][0]) if image["before"] else NOT_FINITE


def first_turns(image: Said, axis: Said) -> list[Said]:
    """Return the first change on each way from the image as it is, the nearest first."""
    start = axis["neutral"] or 0
    up = [one for one in image["turns"] if one["place"] >= start]
    down = [one for one in image["turns"] if one["place"] < start]
    return sorted(up[:1] + down[:1], key=lambda one: abs(int(one["place"]) - start))


def sentence(image: Said, answer: Said) -> str:
    """Say where one image's answer changes, such as "x becomes e at slope 12.5"."""
    (axis,) = answer["axes"]
    name = shortened(image["file"], 32)
    was = shortened(named(answer, first_said(image)))
    asked = [place for place, said in enumerate(image["said"]) if said is not None]
    if not asked:
        return f"{name}: not asked yet."
    if not image["turns"]:
        ends = f"{at(axis, asked[0])} to {at(axis, asked[-1])}"
        return f"{name}: stays {was} from {ends}."
    said = [_changed(one, answer, axis) for one in first_turns(image, axis)]
    more = len(image["turns"]) - len(said)
    again = f"; it changes {counted(more, 'more time')}" if more else ""
    return f"{name}: {', and '.join(said)}{again}."


def _changed(turn: Said, answer: Said, axis: Said) -> str:
    was, now = (shortened(named(answer, turn[key])) for key in ("was", "now"))
    return f"{was} becomes {now} at {at(axis, turn['place'])}"


def headline(answer: Said) -> str:
    """Say how many images change their answer, and which does so first."""
    (axis,), images = answer["axes"], answer["images"]
    changed = [one for one in images if one["turns"]]
    n = counted(len(images), "image")
    if not changed:
        return f"{axis['title']}: no answer changes in {n}."
    start = axis["neutral"] or 0
    nearest = min(changed, key=lambda one: abs(first_turns(one, axis)[0]["place"] - start))
    said = _changed(first_turns(nearest, axis)[0], answer, axis)
    verb = "changes its answer" if len(changed) == 1 else "change their answer"
    name = shortened(nearest["file"], 32)
    return f"{axis['title']}: {len(changed)} of {n} {verb}. The first is {name}: {said}."


def turn_numbers(answer: Said) -> Table:
    """Return where each image's answer changes first, and how often."""
    (axis,), rows = answer["axes"], []
    for image in answer["images"]:
        top, first = image["before"], first_turns(image, axis)
        kept = sum(one == first_said(image) for one in image["said"] if one is not None)
        asked = sum(one is not None for one in image["said"])
        rows.append(
            {
                "image": image["file"],
                "as it is": f"{named(answer, top[0][0])} {probability(*top[0][1:])}"
                if top
                else NO_ANSWER,
                "first changes": "; ".join(_changed(one, answer, axis) for one in first) or "none",
                "changes": str(len(image["turns"])),
                "steps with the same answer": f"{kept} of {asked}",
            }
        )
    said = " ".join(sentence(image, answer) for image in answer["images"])
    if len({one for image in answer["images"] for one in image["said"]}) > COLOURED:
        said += f" The {COLOURED} most frequent classes have a colour; the others are grey."
    return Table(tuple(rows), title=f"{axis['title']}: where answers change", said=said)


def facts(answer: Said) -> str:
    """Return which axis was swept, how far and in how many steps."""
    (axis,) = answer["axes"]
    steps = counted(len(axis["values"]), "step")
    return f"{axis['title']}, {steps} from {at(axis, 0)} to {at(axis, len(axis['values']) - 1)}"


def numbers(image: Said, answer: Said) -> Table:
    """Return what was said of one image at every step."""
    (axis,) = answer["axes"]
    rows = [{"step": AS_IT_IS, **_ranked(image["before"], answer)}]
    for place, top in enumerate(image["top"]):
        if top is not None:
            rows.append({"step": at(axis, place), **_ranked(top, answer)})
    said = (
        f"{sentence(image, answer)} Steps are drawn evenly; a change lies between its step and "
        "the one before it."
    )
    return Table(tuple(rows), title=f"{axis['title']}, {image['file']}", said=said)


def _ranked(top: Sequence[Sequence[Any]], answer: Said) -> dict[str, str]:
    found = {"said": named(answer, top[0][0]) if top else NO_ANSWER}
    found["confidence"] = probability(top[0][1], top[0][2]) if top else ""
    for place, (index, p, d) in enumerate(top[1:], 2):
        found[f"{place}. class"] = f"{named(answer, index)} {probability(p, d)}"
    return found


def moments(row: int, answer: Said, arrays: Arrays) -> list[Cell]:
    """Return an image as it is, and just before and after its first changes."""
    (axis,), image = answer["axes"], answer["images"][row]
    cells = [cell(row, None, answer, arrays)]
    places: list[int] = []
    nearest = first_turns(image, axis)
    for turn in [*nearest, *(one for one in image["turns"] if one not in nearest)][:MOST_TURNS]:
        for place in (turn["last"], turn["place"]):
            if place is not None and place not in places and place != axis["neutral"]:
                places.append(place)
    if not places and image["pictures"]:
        start = axis["neutral"] or 0
        ends = (image["pictures"][0], image["pictures"][-1])
        places = [max(ends, key=lambda place: abs(place - start))]
    return cells + [cell(row, place, answer, arrays) for place in sorted(places)]


def cell(row: int, place: int | None, answer: Said, arrays: Arrays) -> Cell:
    """Return one step of an image with its answer; None is the image as it is."""
    (axis,), image = answer["axes"], answer["images"][row]
    step = AS_IT_IS if place is None else at(axis, place)
    title = f"{step[0].upper()}{step[1:]}"
    top = image["before"] if place is None else image["top"][place]
    key = f"image/{row}/before" if place is None else f"image/{row}/step/{place}"
    name = f"{image['file']}, {step}"
    drawn = picture(arrays[key], name, answer["size"]) if key in arrays else None
    shown = Cell(title=title, hover=title, pictures=(drawn,) if drawn else ())
    if not top:
        return replace(shown, empty=NO_ANSWER if top is not None else "not asked yet")
    bars = tuple(
        Bar(named(answer, i), p, probability(p, d), f"{named(answer, i)}, class {i}")
        for i, p, d in top
    )
    return replace(
        shown,
        answer=shortened(named(answer, top[0][0]), 28),
        sure=probability(top[0][1], top[0][2]),
        bars=bars,
    )


def picture(values: NDArray[Any], name: str, size: Sequence[int]) -> Picture:
    """Return an altered image of 8 bit; one smaller than what the network receives says so.

    Args:
        values: Shape (h, w, c).
        name: Of the image, with its step.
        size: Height and width of what the network receives.
    """
    shown = render.photo(values.astype(np.float64) / 255)
    height, width = size
    shrunk = "" if values.shape[:2] == (height, width) else f"average of {width} × {height} px"
    return Picture(shown, f"{name}.", shrunk, pictures.plain(name))


def band_numbers(answer: Said) -> Table:
    """Return what all images do together at every step."""
    (axis,) = answer["axes"]
    rows = []
    for place, band in enumerate(answer["bands"]):
        if not band["n"]:
            continue
        row = {"step": at(axis, place), "n": str(band["n"])}
        if band["quantiles"]:
            low, middle, high = (f"{100 * one:.1f} %" for one in band["quantiles"])
            row["median confidence"], row["5 to 95 % of images"] = middle, f"{low} to {high}"
        row["same answer"] = rate(band["kept"]["hits"], band["n"])
        if band["right"]["n"]:
            row["right"] = rate(band["right"]["hits"], band["right"]["n"])
        rows.append(row)
    said = (
        "Confidence is that in the class that each image gets as it is; the band holds the middle "
        "90 % of the images. The intervals of the rates are 95 % intervals."
    )
    return Table(tuple(rows), title=f"{axis['title']}, many images", said=said)


def band_headline(answer: Said) -> str:
    """Say at which step fewer than half of the images keep their answer."""
    (axis,), bands = answer["axes"], answer["bands"]
    told = [place for place, band in enumerate(bands) if band["n"]]
    if not told:
        return "No image got a finite answer."
    start = axis["neutral"] or 0
    lost = [place for place in told if 2 * bands[place]["kept"]["hits"] < bands[place]["n"]]
    if not lost:
        worst = min(told, key=lambda place: bands[place]["kept"]["hits"] / bands[place]["n"])
        kept = rate(bands[worst]["kept"]["hits"], bands[worst]["n"])
        return (
            f"{axis['title']}: at every step at least half of the images keep their answer; the "
            f"fewest at {at(axis, worst)}, {kept}."
        )
    first = min(lost, key=lambda place: abs(place - start))
    kept = rate(bands[first]["kept"]["hits"], bands[first]["n"])
    return (
        f"{axis['title']}: fewer than half of the images keep their answer from {at(axis, first)} "
        f"on: {kept}."
    )


def reading_sentence(found: Said) -> str:
    """Say whether the model relies on grey transitions, with the figures it rests on."""
    read = found["reading"]
    verdict = READ_AS[read["verdict"]]
    if read["drop"] is None:
        return f"{verdict}. {read['why']}"
    low, high = read["interval"]
    fall, least, most = (f"{100 * one:.1f}".replace("-", "−") for one in (read["drop"], low, high))
    points = f"{fall} points ({least} to {most})"
    what = "accuracy" if read["of"] == "accuracy" else "the share of same answers"
    return (
        f"{verdict}: parted into black and white at its own level, an image's greys are gone and "
        f"{what} falls by {points}, n = {read['n']}. {read['why']}"
    )


def reading_numbers(found: Said) -> Table:
    """Return what each alteration of the probe does to the images."""
    groups = {"none": "", "edges": "transitions", "range": "value range"}
    rows = []
    for one in found["rows"]:
        row = {"alteration": one["title"], "alters": groups[one["group"]]}
        row["same answer"] = rate(one["kept"]["hits"], one["n"])
        if one["right"]["n"]:
            row["right"] = rate(one["right"]["hits"], one["right"]["n"])
        rows.append(row)
    said = (
        f"{100 * found['greys']:.0f} % of the values lie between 10 and 90 %: they are the "
        "greys that a threshold takes away. A value range that is wrong lowers the rates as well, "
        "without touching an edge; that is why both are altered, each by itself."
    )
    return Table(tuple(rows), title="Transitions and value range, each altered alone", said=said)
