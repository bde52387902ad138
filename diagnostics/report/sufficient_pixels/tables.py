"""What was found of the pixels that suffice, in sentences, tables and rows of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.report.sufficient_pixels import charts
from diagnostics.report.table import Cell, Table
from diagnostics.schema import sufficient_pixels
from diagnostics.schema.sufficient_pixels import FILLS, sure
from diagnostics.text import counted, probability, shortened, signed

Entry = Mapping[str, Any]
Arrays = Mapping[str, NDArray[Any]]
Named = Sequence[tuple[str, Entry]]

HOLDS = {True: "holds", False: "fails", None: "can't tell"}
LINES = 40  # of the curve's table


def of_image(arrays: Arrays, place: int) -> dict[str, NDArray[Any]]:
    """Return one image's arrays, by their names without its number."""
    prefix = f"{place}/"
    return {
        name.removeprefix(prefix): values
        for name, values in arrays.items()
        if name.startswith(prefix)
    }


def controls(one: Entry) -> Table:
    """Return the four controls: what was found, what is demanded, and whether each holds."""
    rows = tuple(
        {
            "control": check["name"],
            "result": HOLDS[check["holds"]],
            "found": check["found"],
            "demanded": check["demand"],
            "in detail": check["details"],
        }
        for check in one["checks"]
    )
    return Table(rows, title="The four controls (one image)", said=by_chance(one))


def by_chance(one: Entry) -> str:
    """Say how sure the model is of as many random pixels."""
    made = one["controls"] and one["controls"]["random"]
    if not made:
        return ""
    return (
        f"{counted(one['size'], 'random pixel')} instead: "
        f"{probability(made['mean'], 1 - made['mean'])} on average over {made['draws']} "
        f"draws, {sure(made['highest'])} at most. The thresholds are starting values."
    )


def raised(one: Entry) -> str:
    """Warn where removing pixels raised the confidence; empty where it did not."""
    top = one["highest"]
    if not one["confidence_rose"]:
        return ""
    return (
        f"Removing pixels raised the confidence from {sure(one)} to {sure(top)} "
        f"({counted(top['kept'], 'pixel')} kept): the shape of the mask adds evidence."
    )


def border(one: Entry) -> str:
    """Say how much of the subset lies at the border, and whether the border drives the answer."""
    found = one["border"]
    if found is None or not one["size"]:
        return ""
    said = (
        f"{100 * found['share']:.0f} % of the kept pixels lie within a tenth of an edge, which is "
        f"{100 * found['area']:.0f} % of the image; with the border hidden, confidence goes from "
        f"{sure(one)} to {sure(found['rest'])}."
    )
    if one["border_driven"] is None:
        return f"Can't tell whether the border drives the answer: {said}"
    return f"{'Border-driven' if one['border_driven'] else 'Not border-driven'}: {said}"


def background(one: Entry) -> str:
    """Say what lies outside the person's box, and whether that drives the answer."""
    found = one.get("background")
    if found is None:
        return ""
    driven = "Background-driven" if one["background_driven"] else "Not background-driven"
    return (
        f"{driven}: {100 * found['share']:.0f} % of the kept pixels lie outside your box, which is "
        f"{100 * found['area']:.0f} % of the image; with the box hidden the class gets "
        f"{sure(found['itself'])}, with all else hidden {sure(found['rest'])}."
    )


def pictures(one: Entry, arrays: Arrays) -> list[Cell]:
    """Return the image, its kept pixels alone, and what the network received of them."""
    whole, name = arrays["pixels"], one["file"]
    cells = [
        Cell(
            title="What it received",
            sure=sure(one),
            pictures=(charts.received(whole, f"{name}-whole", f"{name}, whole."),),
        )
    ]
    if not one["size"]:
        return cells
    mask = arrays["subset/0"]
    cells.append(_subset(one, arrays, 0, f"The {counted(one['size'], 'pixel')} kept"))
    alone = f"{name}, the kept pixels on {FILLS[one['fill']]}."
    cells.append(
        Cell(
            title="What it received of them",
            sure=sure(one["kept"]),
            pictures=(charts.received(arrays["alone/0"], f"{name}-alone", alone),),
            notes=(f"Fill: {FILLS[one['fill']]}.",),
        )
    )
    if one["controls"] and "wide" in arrays:
        made = one["controls"]["dilated"]
        wide = f"{name}, each kept pixel and the eight around it."
        drawn = charts.kept_alone(whole, arrays["wide"], f"{name}-wider", wide)
        cells.append(Cell(title="Widened (control)", sure=sure(made), pictures=(drawn,)))
    return cells if mask.any() else cells[:1]


def others(one: Entry, arrays: Arrays) -> list[Cell]:
    """Return every disjoint subset that suffices, a cell each."""
    return [
        _subset(one, arrays, place, f"Subset {place + 1}: {counted(found['size'], 'pixel')}")
        for place, found in enumerate(one["subsets"])
        if found["size"]
    ]


def curve(one: Entry, arrays: Arrays) -> Table:
    """Return the numbers of the curve, every few points where there are many."""
    kept, margins = arrays["kept/0"], arrays["margins/0"]
    chosen = np.unique(np.linspace(0, len(kept) - 1, min(LINES, len(kept))).round().astype(int))
    if one["size"] is not None:
        chosen = np.union1d(chosen, np.flatnonzero(kept == one["size"])[-1:])
    rows = tuple(
        {
            "pixels kept": str(kept[place]),
            "share": f"{100 * kept[place] / one['pixels']:.2g} %",
            "confidence": charts.probability(float(margins[place])),
            "margin (log-odds)": signed(float(margins[place])),
        }
        for place in chosen
    )
    return Table(rows, title=f"Confidence in {one['name']} while pixels are removed (one image)")


def side_by_side(compared: Named) -> Table:
    """Return sizes and readings of several models on the same image, a row each."""
    rows = tuple(
        {
            "model": name,
            "class": one["name"],
            "whole image": "" if one["error"] else sure(one),
            "smallest subset": _size(one),
            "blank": sure(one["blank"]) if one["blank"] else "",
            "controls that hold": f"{sum(c['holds'] is True for c in one['checks'])} of 4"
            if one["checks"]
            else "did not run",
            "reading": one["verdict"],
        }
        for name, one in compared
    )
    said = (
        "Fewer pixels are worse only where the controls hold. An ensemble, or training with input "
        "dropout, may need more pixels or not: only these figures tell, and they rest on one image."
    )
    return Table(rows, title="The same search on each model", said=said)


def beside(compared: Named) -> str:
    """Say how few pixels suffice for each of several models."""
    said = [
        f"{shortened(name, 40)} needs {sufficient_pixels.share(one)} of the pixels"
        if one["size"]
        else f"{shortened(name, 40)} has no size to compare"
        for name, one in compared
    ]
    return f"{', '.join(said)}." if said else ""


def _size(one: Entry) -> str:
    if one["error"] or one["size"] is None:
        return "can't tell"
    if one["size"] == 0:
        return "none needed"
    return f"{counted(one['size'], 'pixel')} ({sufficient_pixels.share(one)}), steps of " + str(
        one["resolution"]
    )


def _subset(one: Entry, arrays: Arrays, place: int, title: str) -> Cell:
    found, name = one["subsets"][place], one["file"]
    alt = f"{name}, the {counted(found['size'], 'pixel')} kept; the rest is lines."
    file = f"{name}-kept-{place + 1}"
    drawn = charts.kept_alone(arrays["pixels"], arrays[f"subset/{place}"], file, alt)
    step = f"Found in steps of {counted(found['resolution'], 'pixel')}."
    return Cell(title=title, sure=sure(found["kept"]), pictures=(drawn,), notes=(step,))
