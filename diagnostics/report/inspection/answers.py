"""What each row of the table of pictures shows of each image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from numpy.typing import NDArray

from diagnostics import text
from diagnostics.metrics.predictions import probabilities
from diagnostics.report import pictures, render
from diagnostics.report.render import Scale
from diagnostics.report.table import Bar, Cell
from diagnostics.schema.request import STRONGEST, Result
from diagnostics.schema.results.inspection import (
    AttributionEntry,
    ImageEntry,
    InspectAnswer,
    PredictionEntry,
    StageEntry,
)

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
RECEIVED_EXPLAINED = (
    "As pixels, then as the signed values that enter, all images on one scale: blue is below zero, "
    "red above."
)
EVEN = 0.5  # a map whose smallest cell has this share of its largest is nearly even


def predictions(
    images: Sequence[ImageEntry], arrays: Arrays, *, independent: bool, pinned: bool = False
) -> list[Cell]:
    """The answer first: how sure the network is, and of what.

    Args:
        images: The images' entries.
        arrays: Every array of the answer.
        independent: Whether each class is a yes or no of its own.
        pinned: Say besides what every image gets for the first one's top class.
    """
    cells = [_prediction(image, independent) for image in images]
    if pinned and images[0]["top"]:
        first = images[0]["top"][0]
        for index, image in enumerate(images[1:], 1):
            if image["top"]:
                note = _compared(first, arrays[f"{index}/logits"], independent)
                cells[index] = replace(cells[index], notes=(*cells[index].notes, note))
    return cells


def pictured(cells: Sequence[Cell], images: Sequence[ImageEntry], arrays: Arrays) -> list[Cell]:
    """Return each image beside its answer; its ranking stands under the verdict on it.

    Args:
        cells: What `predictions` returned.
        images: The images' entries.
        arrays: Every array of the answer.
    """
    return [
        replace(cell, pictures=original.pictures, bars=(), notes=())
        for cell, original in zip(cells, originals(images, arrays), strict=True)
    ]


def rankings(cells: Sequence[Cell]) -> list[Cell]:
    """Return the rankings of predictions, and what is noted of them, without the answers."""
    return [Cell(bars=cell.bars, notes=cell.notes) for cell in cells]


def _compared(pinned: PredictionEntry, logits: NDArray[Any], independent: bool) -> str:
    """Say what an image gets for the pinned image's top class."""
    probability, one_minus_p = probabilities(logits, independent=independent)
    index = pinned["index"]
    before = text.probability(pinned["probability"], pinned["one_minus_p"])
    after = text.probability(float(probability[index]), float(one_minus_p[index]))
    change = float(logits[index]) - pinned["logit"]
    size, direction = f"{abs(change):.2f}", "higher" if change > 0 else "lower"
    moved = "the same logit" if size == "0.00" else f"its logit {size} {direction}"
    return f"{pinned['class']}: {before} pinned, {after} here, {moved}"


def _prediction(image: ImageEntry, independent: bool) -> Cell:
    cell = Cell(title=text.shortened(image["file"], 28), hover=image["file"])
    if image["error"]:
        return replace(cell, empty=image["error"])
    if not image["top"]:
        return replace(cell, empty=" ".join(image["warnings"]))
    first = image["top"][0]
    bars = tuple(
        Bar(
            name=prediction["class"],
            share=prediction["probability"],
            text=text.probability(prediction["probability"], prediction["one_minus_p"]),
            title=f"{prediction['class']}, class {prediction['index']}: probability "
            f"{prediction['probability']!r}, logit {text.signed(prediction['logit'])}",
        )
        for prediction in image["top"]
    )
    margin = "" if independent or image["margin"] is None else _margin(image["margin"])
    return replace(
        cell,
        answer=text.shortened(first["class"], 28),
        confidence=text.probability(first["probability"], first["one_minus_p"]),
        bars=bars,
        notes=(margin,) if margin else (),
    )


def _margin(margin: float) -> str:
    return f"margin to the next class {text.signed(margin)} logits"


def titles(answer: Result) -> list[Cell]:
    """The names of the images, and their answers without the ranking."""
    scores: InspectAnswer = answer.scores
    cells = [_prediction(image, independent=True) for image in scores["images"]]
    return [replace(cell, bars=(), empty="") for cell in cells]


def originals(images: Sequence[ImageEntry], arrays: Arrays) -> list[Cell]:
    """The image as it was decoded, before any preprocessing."""
    return [_stages(image, (0,), index, arrays) for index, image in enumerate(images)]


def network_inputs(images: Sequence[ImageEntry], arrays: Arrays) -> list[Cell]:
    """What the network receives, in the colours of the image and as signed values; warnings."""
    last_stages = [
        arrays[f"{index}/{image['preprocessing'][-1]['picture']}"]
        for index, image in enumerate(images)
        if not image["error"]
    ]
    common = Scale.covering(*last_stages, signed=True)
    cells = []
    for index, image in enumerate(images):
        shown = sorted({_last_unsigned(image), len(image["preprocessing"]) - 1})
        cell = _stages(image, shown, index, arrays, common)
        cells.append(replace(cell, warnings=tuple(image["warnings"])))
    return cells


def stage_names(images: Sequence[ImageEntry]) -> list[str]:
    """Every stage after decoding with its settings, in order; images that were read share them."""
    stages: list[StageEntry] = next(
        (image["preprocessing"] for image in images if not image["error"]), []
    )
    return [f"{entry['stage']}: {entry['settings']}" for entry in stages[1:]]


def stage(images: Sequence[ImageEntry], arrays: Arrays, position: int) -> list[Cell]:
    """Every image before and after one preprocessing stage; the first after decoding is 0."""
    around = (position, position + 1)
    return [
        replace(_stages(image, around, index, arrays), side_by_side=True)
        for index, image in enumerate(images)
    ]


def _last_unsigned(image: ImageEntry) -> int:
    unsigned = [i for i, entry in enumerate(image["preprocessing"]) if not entry["signed"]]
    return unsigned[-1] if unsigned else 0


def _stages(
    image: ImageEntry,
    positions: Sequence[int],
    index: int,
    arrays: Arrays,
    scale: Scale | None = None,
) -> Cell:
    """Pictures of some stages, signed ones on one scale, and the numbers of the last of them."""
    if image["error"]:
        return Cell(empty=image["error"])
    stages = [image["preprocessing"][position] for position in positions]
    last = stages[-1]
    edges = last["histogram"]["edges"]
    low, high = text.number(last["low"]), text.number(last["high"])
    mean = " ".join(text.number(value) for value in last["mean"])
    std = " ".join(text.number(value) for value in last["std"])
    clipped = (f"{last['clipped']} values clipped",) if last["clipped"] else ()
    size = " × ".join(str(side) for side in last["shape"])
    return Cell(
        pictures=tuple(
            pictures.stage(entry, arrays[f"{index}/{entry['picture']}"], image["file"], scale)
            for entry in stages
        ),
        counts=tuple(tuple(channel) for channel in last["histogram"]["counts"]),
        counts_alt=f"Histogram of {size} values from {text.number(edges[0])} to "
        f"{text.number(edges[-1])}; heights are square roots of counts.",
        notes=(f"values {low} … {high}", *clipped),
        details=(f"mean {mean}, std {std}",),
    )


def heatmaps(answer: Result, opacity: float, shared: bool) -> list[Cell]:
    """What one method says of where the network looked, over what the network received.

    Args:
        answer: The answer to one method, or with one attribution.
        opacity: Of the map over the image, 0 to 1.
        shared: One scale for all images.
    """
    scores: InspectAnswer = answer.scores
    images, arrays, classes = scores["images"], answer.arrays, scores["model"]["classes"]
    maps = {
        index: arrays[f"{index}/{image['attributions'][0]['array']}"]
        for index, image in enumerate(images)
        if image["attributions"] and image["attributions"][0]["array"]
    }
    signed = any(images[index]["attributions"][0]["signed"] for index in maps)
    common = Scale.of_most(*maps.values(), signed=signed) if shared and maps else None
    cells = []
    for index, image in enumerate(images):
        if image["error"]:
            cells.append(Cell(empty=image["error"]))
            continue
        entry = image["attributions"][0]
        if index not in maps:
            cells.append(Cell(empty=entry["note"]))
            continue
        scale = common or Scale.of_most(maps[index], signed=entry["signed"])
        base = arrays[f"{index}/{image['preprocessing'][_last_unsigned(image)]['picture']}"]
        picture = pictures.over(
            entry,
            maps[index],
            render.photo(base),
            image["file"],
            opacity,
            scale.at(maps[index]),
        )
        remarks = (entry["remark"], evenness(maps[index], signed=entry["signed"]))
        cells.append(
            Cell(
                pictures=(picture,),
                notes=(_explained(entry, classes), *filter(None, remarks)),
                details=(f"at layer {entry['layer']}",) if entry["layer"] else (),
                warnings=(entry["note"],) if entry["note"] else (),
            )
        )
    return cells


def _explained(entry: AttributionEntry, class_names: Sequence[str]) -> str:
    """Say what number the map explains."""
    target, against = entry["target"], entry["against"]
    if entry["any_class"] or target is None:
        return "the same for every class"
    if against is None:
        return f"for the logit of {class_names[target]}"
    other = "the strongest other class" if against == STRONGEST else class_names[against]
    return f"for the logit of {class_names[target]} minus that of {other}"


def evenness(values: NDArray[Any], *, signed: bool) -> str:
    """Say of a magnitude that is bright everywhere that it hardly tells places apart."""
    if signed or not values.max() > 0 or values.min() < EVEN * values.max():
        return ""
    share = math.floor(100 * values.min() / values.max())
    return f"nearly even: no cell is below {share} % of the brightest"
