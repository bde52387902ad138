"""Sufficient pixels in sentences, tables and rows of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from diagnostics.report.sufficient_pixels import charts
from diagnostics.report.sufficient_pixels.charts import Arrays
from diagnostics.report.table import Cell, Table
from diagnostics.schema.results.sufficient_pixels import SufficientPixels
from diagnostics.schema.sufficient_pixels import ERROR_RATES, FILLS, confidence_text, percent
from diagnostics.text import counted, probability, shortened, signed

HOLDS = {True: "holds", False: "fails", None: "can't tell"}
CURVE_ROWS = 40


def image_arrays(arrays: Arrays, index: int) -> Arrays:
    """Return one image's arrays, by their names without its number."""
    prefix = f"{index}/"
    return {
        name.removeprefix(prefix): values
        for name, values in arrays.items()
        if name.startswith(prefix)
    }


def control_table(image: SufficientPixels) -> Table:
    """Return the four controls: what was measured, what is required, and whether each holds."""
    rows = tuple(
        {
            "control": check["name"],
            "result": HOLDS[check["holds"]],
            "found": check["measured"],
            "demanded": check["required"],
            "in detail": check["details"],
        }
        for check in image["checks"]
    )
    return Table(rows, title="The four controls (one image)", caption=random_pixels_text(image))


def random_pixels_text(image: SufficientPixels) -> str:
    """Say how sure the model is of as many random pixels; empty where it was not measured."""
    controls, size = image["controls"], image["size"]
    if controls is None or size is None:
        return ""
    draws = controls["random_pixels"]
    return (
        f"{counted(size, 'random pixel')} instead: "
        f"{probability(draws['mean'], 1 - draws['mean'])} on average over {draws['draws']} "
        f"draws, {confidence_text(draws['highest'])} at most. {ERROR_RATES}"
    )


def rise_warning(image: SufficientPixels) -> str:
    """Warn where removing pixels raised the confidence; empty where it did not."""
    highest = image["highest"]
    if highest is None or not image["confidence_rose"]:
        return ""
    return (
        f"Removing pixels raised the confidence from {confidence_text(image)} to "
        f"{confidence_text(highest)} ({counted(highest['kept_count'], 'pixel')} kept): the shape "
        "of the mask adds evidence."
    )


def border_text(image: SufficientPixels) -> str:
    """Say how much of the subset lies at the border, and whether the border drives the answer."""
    border = image["border"]
    if border is None or not image["size"]:
        return ""
    figures = (
        f"{100 * border['share']:.0f} % of the kept pixels lie within a tenth of an edge, which is "
        f"{100 * border['area']:.0f} % of the image; with the border hidden, confidence goes from "
        f"{confidence_text(image)} to {confidence_text(border['region_hidden'])}."
    )
    if image["border_driven"] is None:
        return f"Can't tell whether the border drives the answer: {figures}"
    return f"{'Border-driven' if image['border_driven'] else 'Not border-driven'}: {figures}"


def background_text(image: SufficientPixels) -> str:
    """Say what lies outside the person's box, and whether that drives the answer."""
    background = image["background"]
    if background is None:
        return ""
    driven = "Background-driven" if image["background_driven"] else "Not background-driven"
    return (
        f"{driven}: {100 * background['share']:.0f} % of the kept pixels lie outside your box, "
        f"which is {100 * background['area']:.0f} % of the image; with the box hidden the class "
        f"gets {confidence_text(background['region_alone'])}, with all else hidden "
        f"{confidence_text(background['region_hidden'])}."
    )


def picture_cells(image: SufficientPixels, arrays: Arrays) -> list[Cell]:
    """Return the image, its kept pixels alone, and what the network received of them."""
    pixels, name, kept_only = arrays["pixels"], image["file"], image["kept_only"]
    cells = [
        Cell(
            title="What it received",
            confidence=confidence_text(image),
            pictures=(charts.received_picture(pixels, f"{name}-whole", f"{name}, whole."),),
        )
    ]
    if not image["size"] or kept_only is None:
        return cells
    cells.append(_subset_cell(image, arrays, 0, f"The {counted(image['size'], 'pixel')} kept"))
    fill = FILLS[image["fill"]]
    alt = f"{name}, the kept pixels on {fill}."
    cells.append(
        Cell(
            title="What it received of them",
            confidence=confidence_text(kept_only),
            pictures=(charts.received_picture(arrays["kept_only/0"], f"{name}-alone", alt),),
            notes=(f"Fill: {fill}.",),
        )
    )
    if image["controls"] and "widened" in arrays:
        alt = f"{name}, each kept pixel and the eight around it."
        picture = charts.kept_picture(pixels, arrays["widened"], f"{name}-wider", alt)
        sure = confidence_text(image["controls"]["widened"])
        cells.append(Cell(title="Widened (control)", confidence=sure, pictures=(picture,)))
    return cells


def subset_cells(image: SufficientPixels, arrays: Arrays) -> list[Cell]:
    """Return every disjoint subset that suffices, a cell each."""
    return [
        _subset_cell(
            image, arrays, number, f"Subset {number + 1}: {counted(subset['size'], 'pixel')}"
        )
        for number, subset in enumerate(image["subsets"])
        if subset["size"]
    ]


def curve_table(image: SufficientPixels, arrays: Arrays) -> Table:
    """Return the numbers of the curve, every few points where there are many."""
    counts, margins = arrays["kept_counts/0"], arrays["margins/0"]
    rows = tuple(
        {
            "pixels kept": str(counts[point]),
            "share": f"{100 * counts[point] / image['pixels']:.2g} %",
            "confidence": charts.margin_text(float(margins[point])),
            "margin (log-odds)": signed(float(margins[point])),
        }
        for point in _points_in_table(counts, image["size"])
    )
    title = f"Confidence in {image['target_name']} while pixels are removed (one image)"
    return Table(rows, title=title)


def _points_in_table(counts: NDArray[np.int32], size: int | None) -> NDArray[np.intp]:
    """Return evenly spaced points of a path, the one where the subset ends among them."""
    spaced = np.linspace(0, len(counts) - 1, min(CURVE_ROWS, len(counts)))
    points = np.unique(spaced.round().astype(np.intp))
    return points if size is None else np.union1d(points, np.flatnonzero(counts == size)[-1:])


def comparison_table(answers: Sequence[tuple[str, SufficientPixels]]) -> Table:
    """Return sizes and verdicts of several models on the same image, a row each.

    Args:
        answers: Name of each model, and the image's part of its answer.
    """
    explanation = (
        "Fewer pixels are worse only where the controls hold. An ensemble, or training with input "
        "dropout, may need more pixels or not: only these figures tell, and they rest on one image."
    )
    rows = tuple(_comparison_row(model, image) for model, image in answers)
    return Table(rows, title="The same search on each model", caption=explanation)


def comparison_text(answers: Sequence[tuple[str, SufficientPixels]]) -> str:
    """Say how few pixels suffice for each of several models."""
    sizes = [
        f"{shortened(model, 40)} needs {percent(image['size'], image['pixels'])} of the pixels"
        if image["size"]
        else f"{shortened(model, 40)} has no size to compare"
        for model, image in answers
    ]
    return f"{', '.join(sizes)}." if sizes else ""


def _comparison_row(model: str, image: SufficientPixels) -> Mapping[str, str]:
    checks, blank = image["checks"], image["blank"]
    holding = sum(check["holds"] is True for check in checks)
    return {
        "model": model,
        "class": image["target_name"],
        "whole image": "" if image["error"] else confidence_text(image),
        "smallest subset": _size_text(image),
        "blank": "" if blank is None else confidence_text(blank),
        "controls that hold": f"{holding} of 4" if checks else "did not run",
        "reading": image["verdict"],
    }


def _size_text(image: SufficientPixels) -> str:
    size = image["size"]
    if image["error"] or size is None:
        return "can't tell"
    if size == 0:
        return "none needed"
    share = percent(size, image["pixels"])
    return f"{counted(size, 'pixel')} ({share}), steps of {image['resolution']}"


def _subset_cell(image: SufficientPixels, arrays: Arrays, number: int, title: str) -> Cell:
    subset, name = image["subsets"][number], image["file"]
    mask = arrays[f"subset/{number}"]
    alt = f"{name}, the {counted(subset['size'], 'pixel')} kept; the rest is lines."
    picture = charts.kept_picture(arrays["pixels"], mask, f"{name}-kept-{number + 1}", alt)
    return Cell(
        title=title,
        confidence=confidence_text(subset["kept_only"]),
        pictures=(picture,),
        notes=(f"Found in steps of {counted(subset['resolution'], 'pixel')}.",),
    )
