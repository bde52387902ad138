"""What each row of the table of pictures shows of each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from diagnostics import pictures, render, words
from diagnostics.predictions import probabilities
from diagnostics.render import Picture, Scale
from diagnostics.report.table import Bar, Cell
from diagnostics.request import STRONGEST, Result
from diagnostics.spec import ModelSpec

Entry = Mapping[str, Any]
Arrays = Mapping[str, NDArray[Any]]
LayerScale = Literal["each image", "all images", "each map"]


def said(
    images: Sequence[Entry], arrays: Arrays, *, independent: bool, pinned: bool = False
) -> list[Cell]:
    """The answer first: how sure the network is, and of what.

    Args:
        images: The images' entries.
        arrays: Every array of the answer.
        independent: Whether each class is a yes or no of its own.
        pinned: Say besides what every image gets for the first one's top class.
    """
    cells = [_said(image, independent) for image in images]
    if pinned and images[0]["top"]:
        asked = images[0]["top"][0]
        for index, image in enumerate(images[1:], 1):
            if image["top"]:
                note = _compared(asked, arrays[f"{index}/logits"], independent)
                cells[index] = replace(cells[index], notes=(*cells[index].notes, note))
    return cells


def _compared(asked: Entry, logits: NDArray[Any], independent: bool) -> str:
    """Say what an image gets for the pinned image's top class."""
    share, distance = probabilities(logits, independent=independent)
    place = asked["index"]
    before = words.probability(asked["probability"], asked["distance"])
    after = words.probability(float(share[place]), float(distance[place]))
    change = words.signed(float(logits[place]) - asked["logit"])
    return f"{asked['class']}: {before} pinned, {after} here, logit {change}"


def _said(image: Entry, independent: bool) -> Cell:
    title = {"title": words.shortened(image["file"], 28), "hover": image["file"]}
    if image["error"]:
        return Cell(**title, empty=image["error"])
    if not image["top"]:
        return Cell(**title, empty=" ".join(image["warnings"]))
    first = image["top"][0]
    bars = tuple(
        Bar(
            name=score["class"],
            share=score["probability"],
            text=words.probability(score["probability"], score["distance"]),
            title=f"{score['class']}, class {score['index']}: "
            f"probability {score['probability']!r}, logit {words.signed(score['logit'])}",
        )
        for score in image["top"]
    )
    margin = "" if independent or image["margin"] is None else _margin(image["margin"])
    sure = words.probability(first["probability"], first["distance"])
    return Cell(
        **title,
        answer=words.shortened(first["class"], 28),
        sure=sure,
        bars=bars,
        notes=(margin,) if margin else (),
    )


def _margin(margin: float) -> str:
    return f"margin to the next class {words.signed(margin)} logits"


def titles(answer: Result) -> list[Cell]:
    """The names of the images, and their answers without the ranking."""
    images = answer.scores["images"]
    return [replace(_said(image, independent=True), bars=(), empty="") for image in images]


def originals(images: Sequence[Entry], arrays: Arrays) -> list[Cell]:
    """The image as it was decoded, before any preprocessing."""
    return [_stages(image, (0,), index, arrays) for index, image in enumerate(images)]


def received(images: Sequence[Entry], arrays: Arrays) -> list[Cell]:
    """What the network receives, in the colours of the image and as signed values; warnings."""
    cells = []
    for index, image in enumerate(images):
        shown = sorted({_last_unsigned(image), len(image["preprocessing"]) - 1})
        cell = _stages(image, shown, index, arrays)
        cells.append(replace(cell, warnings=tuple(image["warnings"])))
    return cells


def stage_names(images: Sequence[Entry]) -> list[str]:
    """Every stage after decoding with its settings, in order; images that were read share them."""
    made: Sequence[Entry] = next(
        (image["preprocessing"] for image in images if not image["error"]), []
    )
    return [f"{entry['stage']}: {entry['settings']}" for entry in made[1:]]


def stage(images: Sequence[Entry], arrays: Arrays, position: int) -> list[Cell]:
    """Every image before and after one preprocessing stage; the first after decoding is 0."""
    around = (position, position + 1)
    return [
        replace(_stages(image, around, index, arrays), abreast=True)
        for index, image in enumerate(images)
    ]


def _last_unsigned(image: Entry) -> int:
    unsigned = [i for i, made in enumerate(image["preprocessing"]) if not made["signed"]]
    return unsigned[-1] if unsigned else 0


def _stages(image: Entry, positions: Sequence[int], index: int, arrays: Arrays) -> Cell:
    """Pictures of some stages, and the numbers of the last of them."""
    if image["error"]:
        return Cell(empty=image["error"])
    made = [image["preprocessing"][position] for position in positions]
    entry = made[-1]
    edges = entry["histogram"]["edges"]
    low, high = words.number(entry["low"]), words.number(entry["high"])
    mean = " ".join(words.number(value) for value in entry["mean"])
    std = " ".join(words.number(value) for value in entry["std"])
    clipped = (f"{entry['clipped']} values clipped",) if entry["clipped"] else ()
    size = " × ".join(str(side) for side in entry["shape"])
    return Cell(
        pictures=tuple(
            pictures.stage(one, arrays[f"{index}/{one['picture']}"], image["file"]) for one in made
        ),
        counts=tuple(tuple(channel) for channel in entry["histogram"]["counts"]),
        counts_alt=f"Histogram of {size} values from {words.number(edges[0])} to "
        f"{words.number(edges[-1])}; heights are square roots of counts.",
        notes=(f"{low} … {high}, mean {mean}, std {std}", *clipped),
    )


def looked(answer: Result, spec: ModelSpec, opacity: float, shared: bool) -> list[Cell]:
    """What one method says of where the network looked, over what the network received.

    Args:
        answer: The answer to one method, or with one attribution.
        spec: Gives the names of the classes.
        opacity: Of the map over the image, 0 to 1.
        shared: One scale for all images.
    """
    images, arrays = answer.scores["images"], answer.arrays
    maps = {
        index: arrays[f"{index}/{image['attributions'][0]['array']}"]
        for index, image in enumerate(images)
        if image["attributions"] and image["attributions"][0]["array"]
    }
    common = Scale.of_most(*maps.values()) if shared and maps else None
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
            entry, maps[index], render.photo(base), image["file"], opacity, scale
        )
        cells.append(
            Cell(
                pictures=(picture,),
                notes=(_explained(entry, spec.class_names), *filter(None, [entry["remark"]])),
                warnings=(entry["note"],) if entry["note"] else (),
            )
        )
    return cells


def _explained(entry: Entry, class_names: Sequence[str]) -> str:
    """Say what number the map explains."""
    if entry["any_class"]:
        return "the same for every class"
    target, against = class_names[entry["target"]], entry["against"]
    if against is None:
        return f"for the logit of {target}"
    other = "the strongest other class" if against == STRONGEST else class_names[against]
    return f"for the logit of {target} minus that of {other}"


def layer(
    images: Sequence[Entry],
    arrays: Arrays,
    name: str,
    *,
    scale: LayerScale,
    spec: ModelSpec,
    pinned: bool = False,
) -> list[Cell]:
    """What one layer gave for every image, with its statistics.

    Args:
        images: The images' entries.
        arrays: Every array of the answer.
        name: The layer.
        scale: Which values share a scale: one image's, all images', or one map's.
        spec: Names the units of the layer that gives the classes' scores.
        pinned: Show besides how every image differs from the first one.
    """
    found = [_layer_entry(image, name) for image in images]
    kept = {
        index: arrays[f"{index}/{entry['picture']}"]
        for index, entry in enumerate(found)
        if entry and entry["picture"]
    }
    common = Scale.covering(*kept.values()) if scale == "all images" else None
    cells = []
    for index, (image, entry) in enumerate(zip(images, found, strict=True)):
        if image["error"]:
            cells.append(Cell(empty=image["error"]))
        elif entry is None or index not in kept:
            cells.append(Cell(empty=undrawn(entry)))
        else:
            drawn = [
                pictures.layer(
                    entry,
                    kept[index],
                    image["file"],
                    common,
                    each=scale == "each map",
                    classes=spec.class_names if name == class_layer(spec) else (),
                )
            ]
            if pinned and index and 0 in kept:
                drawn += difference(found[0], kept[0], entry, kept[index], image["file"])
            cells.append(Cell(pictures=tuple(drawn), notes=_statistics(entry, kept[index])))
    return cells


def difference(
    first: Entry | None, before: NDArray[Any], entry: Entry, after: NDArray[Any], name: str
) -> list[Picture]:
    """Draw how one image's values differ from another's; nothing where they are other maps."""
    if first is None or first["channels"] != entry["channels"] or before.shape != after.shape:
        return []
    values = after - before
    scale = Scale.covering(values, signed=True)
    picture = pictures.layer(entry, values, f"{name} minus pinned", scale)
    return [replace(picture, caption=f"minus the pinned image's, {picture.caption}")]


def class_layer(spec: ModelSpec) -> str:
    """Return the layer whose units are the classes."""
    outputs = [item.name for item in spec.layers if item.shape == (len(spec.class_names),)]
    return outputs[-1] if outputs else ""


def _layer_entry(image: Entry, name: str) -> Entry | None:
    return next((entry for entry in image["layers"] if entry["name"] == name), None)


def undrawn(entry: Entry | None) -> str:
    """Say why there is no picture of a layer."""
    if entry is None or not entry["shape"]:
        return "Not captured: this layer did not run, or gave nothing that belongs to one image."
    shape = " × ".join(str(side) for side in entry["shape"])
    return f"No picture for the shape {shape}."


def _statistics(entry: Entry, values: NDArray[Any]) -> tuple[str, ...]:
    zeros = "" if entry["zeros"] is None else f", {entry['zeros']:.0%} zeros"
    numbers = (
        f"{words.number(entry['low'])} … {words.number(entry['high'])}, "
        f"mean {words.number(entry['mean'])}, std {words.number(entry['std'])}{zeros}"
    )
    if not np.isfinite(values).all():
        return numbers, "Some values are not finite; they are drawn in pink."
    notes = [numbers]
    if entry["channels"] and entry["layout"] == "channels":
        strongest = ", ".join(str(channel) for channel in entry["channels"][:6])
        more = " …" if len(entry["channels"]) > 6 else ""
        notes.append(f"maps, strongest first: {strongest}{more}")
    silent = entry["silent"]
    if silent and silent["silent"]:
        on = words.counted(silent["images"], "image")
        notes.append(f"{silent['silent']} of {silent['units']} units silent on {on}")
    return tuple(notes)
