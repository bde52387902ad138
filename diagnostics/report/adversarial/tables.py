"""Smallest changes in sentences, numbers and pictures: how far, and what is said then."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.report import pictures, render
from diagnostics.report.render import Picture, Scale
from diagnostics.report.table import Bar, Cell, Table
from diagnostics.text import counted, number, probability, shortened, signed

Entry = Mapping[str, Any]
Arrays = Mapping[str, NDArray[Any]]

GREYS = 255
NORMS = {"l2": "Euclidean length (L2)", "linf": "Largest change of a value (L∞)"}
UPPER = (
    "Lower is more fragile. Every distance is an upper bound: a smaller change may exist that no "
    "search found."
)
FACTORS = (1, 2, 5)
WHITE = "In the differences white is no change, red is brighter, and blue is darker."
LOOKED = "For the first class of each picture, both rounded to 8 bit"


def found(images: Sequence[Entry], norm: str) -> list[int]:
    """Return the places of the images for which a change was found, the most fragile first."""
    there = [place for place, one in enumerate(images) if one[norm]["found"]]
    return sorted(there, key=lambda place: images[place][norm]["distance"])


def greys(entry: Entry, norm: str, values: int) -> float:
    """Return how large a change is in grey levels of 255: root mean square, or the largest.

    Args:
        entry: What was found under the norm.
        norm: "l2" or "linf".
        values: How many values an image has.
    """
    distance = float(entry["distance"])
    return GREYS * (distance / math.sqrt(values) if norm == "l2" else distance)


def distance(entry: Entry, norm: str, values: int) -> str:
    """Say how large a change is, such as "root mean square 0.4 grey levels of 255"."""
    size = number(greys(entry, norm, values))
    if norm == "l2":
        return f"root mean square {size} grey levels of {GREYS}"
    return f"no value changes by more than {size} grey levels of {GREYS}"


def headline(answer: Entry, norm: str) -> str:
    """Say which image is nearest to another answer, or that no change was found."""
    images, classes = answer["images"], answer["classes"]
    there = found(images, norm)
    if not there:
        reasons = list(dict.fromkeys(one[norm]["why"] for one in images))
        return f"No change was found. {' '.join(reasons)}"
    first = images[there[0]]
    told = first[norm]
    name, before = shortened(first["file"], 40), classes[first["said"]]
    after = told["now"][0]["class"]
    said = (
        f"{name} is nearest to another answer: {distance(told, norm, answer['values'])}, and the "
        f"model says {after} instead of {before}."
    )
    if len(images) == 1:
        said = f"The smallest change found: {distance(told, norm, answer['values'])}."
        said += f" The model then says {after} instead of {before}."
    missed = len(images) - len(there)
    return f"{said} Not found for {counted(missed, 'image')}." if missed else said


def numbers(answer: Entry, norm: str) -> Table:
    """Return every image's distance, what it becomes, and whether a file keeps it."""
    images, values = answer["images"], answer["values"]
    there = found(images, norm)
    missing = [place for place in range(len(images)) if place not in there]
    rows = [_row(images[place], norm, values, answer["classes"]) for place in (*there, *missing)]
    return Table(tuple(rows), title="Smallest change found of each image", said=UPPER)


def _row(image: Entry, norm: str, values: int, classes: Sequence[str]) -> dict[str, str]:
    told = image[norm]
    before = "" if image["said"] is None else classes[image["said"]]
    row = {"image": image["file"], "said": before}
    if not told["found"]:
        empty = dict.fromkeys((*_sizes(None), "kept by PNG", "pixels changed", "found by"), "")
        return {**row, "becomes": "not found", **empty, "remark": told["why"]}
    tried = [
        f"{title} {'not found' if length is None else number(length)}"
        for title, length in told["tried"].items()
    ]
    return {
        **row,
        "becomes": told["now"][0]["class"],
        **_sizes(told, values),
        "kept by PNG": lasts(told),
        "pixels changed": f"{told['changed_pixels']} of {told['pixels']}",
        "found by": told["by"],
        "remark": ", ".join(tried) if len(tried) > 1 else "",
    }


def _sizes(told: Entry | None, values: int = 1) -> dict[str, str]:
    """Return the lengths of a change; only their names without one."""
    length = told["l2"] if told else 0.0
    return {
        "RMS (grey levels)": number(GREYS * length / math.sqrt(values)),
        "largest (grey levels)": number(GREYS * told["linf"] if told else 0.0),
        "L2 (pixels in 0 to 1)": number(length),
    }


def lasts(told: Entry) -> str:
    """Say whether the 8-bit picture of a change still changes the answer."""
    if told["png_flips"]:
        return "yes"
    if told["png_from"] is None:
        return "no"
    return f"no, {told['png_from']:g} × is enough"


def sentences(image: Entry, norm: str, answer: Entry) -> list[str]:
    """Say of one image how large the change is, what it does, and whether a file keeps it."""
    told = image[norm]
    if not told["found"]:
        return [f"Not found. {told['why']}"]
    moved = counted(told["changed_pixels"], "pixel")
    length = number(told["l2"])
    said = [
        f"{distance(told, norm, answer['values'])[:1].upper()}"
        f"{distance(told, norm, answer['values'])[1:]} (L2 {length} with pixels in 0 to 1; largest "
        f"change {number(GREYS * told['linf'])} grey levels), found by {told['by']}."
    ]
    if told["png_flips"]:
        said.append(
            f"It survives rounding to 8 bit: saved as PNG and read again, the model still says "
            f"{_first(told['png_now'])}. {moved} of {told['pixels']} differ in the file."
        )
    else:
        where = "no multiple of the change that was tried is enough for a file"
        if told["png_from"] is not None:
            where = f"a file with {told['png_from']:g} × the change is enough"
        said.append(
            f"It does not survive rounding to 8 bit: saved as PNG and read again, the model says "
            f"{_first(told['png_now'])} ({moved} of {told['pixels']} differ); {where}."
        )
    if not told["changed_pixels"]:
        said.append("The change is lost altogether: every value rounds to what it was before.")
    if image["png_said"] != image["said"]:
        other = answer["classes"][image["png_said"]]
        said.append(f"Rounding the unchanged image to 8 bit alone already gives {other}.")
    return said


def _first(top: Sequence[Entry]) -> str:
    if not top:
        return "nothing finite"
    return f"{top[0]['class']}, {probability(top[0]['probability'], top[0]['one_minus_p'])}"


def factor(change: NDArray[Any]) -> int:
    """Return by how much a change is amplified to fill the scale: 1, 2, 5, 10, 20 and so on."""
    most = Scale.of_most(change, signed=True).limit
    room = 1 / most if most > 0 else 1.0
    decade: int = 10 ** math.floor(math.log10(max(room, 1.0)))
    return max(decade * one for one in FACTORS if decade * one <= max(room, 1.0))


def cells(
    image: Entry, norm: str, place: int, arrays: Arrays, multiple: float, top: Sequence[Entry]
) -> list[Cell]:
    """The image, the changed image, and their difference, exactly and amplified.

    Args:
        image: The image's entry.
        norm: "l2" or "linf".
        place: Of the image in the answer.
        arrays: Of the answer.
        multiple: Of the change that is shown.
        top: What is said of the changed image.
    """
    before = arrays[f"{place}/pixels"]
    change = moved(before, arrays[f"{place}/{norm}/changed"], multiple) - before
    stem, times = pictures.stem(image["file"]), factor(change)
    shown = "" if multiple == 1 else f" at {multiple:g} ×"
    return [
        _answered("The image", image["top"], _photo(before, "The image", f"{stem}-image")),
        _answered(
            f"The changed image{shown}",
            top,
            _photo(before + change, f"The changed image{shown}", f"{stem}-changed"),
        ),
        _difference(change, 1, stem),
        _difference(change, times, stem),
    ]


def moved(before: NDArray[Any], changed: NDArray[Any], multiple: float) -> NDArray[np.float32]:
    """Return an image so many times as far towards a changed one, kept in [0, 1]."""
    values: NDArray[np.float32] = np.clip(
        before + np.float32(multiple) * (changed - before), 0, 1
    ).astype(np.float32)
    return values


def rounded(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return values in [0, 1] in 8 bit."""
    picture: NDArray[np.uint8] = np.rint(values * GREYS).astype(np.uint8)
    return picture


def _answered(title: str, top: Sequence[Entry], picture: Picture) -> Cell:
    if not top:
        return Cell(title=title, pictures=(picture,))
    bars = tuple(
        Bar(
            name=one["class"],
            share=one["probability"],
            text=probability(one["probability"], one["one_minus_p"]),
            title=f"{one['class']}, class {one['index']}: logit {signed(one['logit'])}",
        )
        for one in top
    )
    sure = probability(top[0]["probability"], top[0]["one_minus_p"])
    answer = shortened(top[0]["class"], 28)
    return Cell(title=title, answer=answer, sure=sure, bars=bars, pictures=(picture,))


def _photo(values: NDArray[Any], alt: str, name: str) -> Picture:
    return Picture(render.photo(values), f"{alt}, as the network receives it.", "", name)


def _difference(change: NDArray[Any], times: int, stem: str) -> Cell:
    """Draw a change on a scale whose ends are a whole step from black to white, over the factor."""
    scale = Scale(1 / times, signed=True, beyond=1).at(change)
    sheet = render.tiles(np.moveaxis(change, 2, 0), scale)
    channels = "" if change.shape[2] == 1 else "red, green and blue one after the other; "
    end = number(GREYS / times)
    title = f"Difference, amplified {times} ×" if times > 1 else "Difference, exact"
    beyond = f", {scale.beyond} values beyond the ends" if scale.beyond else ""
    caption = f"{channels}colours −{end} … {end} grey levels{beyond}"
    alt = f"{title}: the changed image minus the image. {WHITE}"
    return Cell(title=title, pictures=(Picture(sheet, alt, caption, f"{stem}-difference-{times}"),))
