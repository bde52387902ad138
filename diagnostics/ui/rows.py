"""What each row of the Inspect table shows of each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from diagnostics import pictures, render, words
from diagnostics.render import Scale
from diagnostics.ui.controls import Looking
from diagnostics.ui.show import Bar, Cell

Entry = Mapping[str, Any]
Arrays = Mapping[str, NDArray[Any]]


def said(images: Sequence[Entry], *, independent: bool) -> list[Cell]:
    """The answer first: how sure the network is, and of what."""
    return [_said(image, independent) for image in images]


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


def looked(
    images: Sequence[Entry],
    arrays: Arrays,
    looking: Looking,
    class_names: Sequence[str],
) -> list[Cell]:
    """Where changing the image changes the explained logit most, over what the network received.

    Args:
        images: The images' entries.
        arrays: Every array of the answer.
        looking: How the person chose to look.
        class_names: Names of the classes.
    """
    maps = {
        index: arrays[f"{index}/{image['attributions'][0]['array']}"]
        for index, image in enumerate(images)
        if not image["error"] and image["attributions"][0]["array"]
    }
    common = Scale.covering(*maps.values()) if looking.shared and maps else None
    cells = []
    for index, image in enumerate(images):
        if image["error"]:
            cells.append(Cell(empty=image["error"]))
            continue
        entry = image["attributions"][0]
        if index not in maps:
            cells.append(Cell(empty=entry["note"]))
            continue
        scale = common or Scale.covering(maps[index], signed=entry["signed"])
        base = arrays[f"{index}/{image['preprocessing'][_last_unsigned(image)]['picture']}"]
        picture = pictures.over(
            entry, maps[index], render.photo(base), image["file"], looking.opacity, scale
        )
        target = class_names[entry["target"]]
        cells.append(
            Cell(
                pictures=(picture,),
                notes=(f"for the logit of {target}",),
                warnings=(entry["note"],) if entry["note"] else (),
            )
        )
    return cells


def layer(images: Sequence[Entry], arrays: Arrays, name: str, *, shared: bool) -> list[Cell]:
    """What one layer gave for every image, with its statistics."""
    found = [_layer_entry(image, name) for image in images]
    kept = [
        arrays[f"{index}/{entry['picture']}"]
        for index, entry in enumerate(found)
        if entry and entry["picture"]
    ]
    common = Scale.covering(*kept) if shared else None
    cells = []
    for index, (image, entry) in enumerate(zip(images, found, strict=True)):
        if image["error"]:
            cells.append(Cell(empty=image["error"]))
        elif not entry or not entry["picture"]:
            cells.append(Cell(empty=_undrawn(entry)))
        else:
            values = arrays[f"{index}/{entry['picture']}"]
            picture = pictures.layer(entry, values, image["file"], common)
            cells.append(Cell(pictures=(picture,), notes=_statistics(entry, values)))
    return cells


def _layer_entry(image: Entry, name: str) -> Entry | None:
    return next((entry for entry in image["layers"] if entry["name"] == name), None)


def _undrawn(entry: Entry | None) -> str:
    if entry is None or not entry["shape"]:
        return "Not captured: this layer did not run, or gave nothing that belongs to one image."
    shape = " × ".join(str(side) for side in entry["shape"])
    return f"No picture for the shape {shape}."


def _statistics(entry: Entry, values: NDArray[Any]) -> tuple[str, ...]:
    numbers = (
        f"{words.number(entry['low'])} … {words.number(entry['high'])}, "
        f"mean {words.number(entry['mean'])}, std {words.number(entry['std'])}, "
        f"{entry['zeros']:.0%} zeros"
    )
    if not np.isfinite(values).all():
        return numbers, "Some values are not finite; they are drawn in pink."
    if entry["channels"]:
        strongest = ", ".join(str(channel) for channel in entry["channels"][:6])
        more = " …" if len(entry["channels"]) > 6 else ""
        return numbers, f"maps, strongest first: {strongest}{more}"
    return (numbers,)


@st.dialog("Numbers", width="large")
def numbers(images: Sequence[Entry]) -> None:
    """Show every image's ranking as a table."""
    for image in images:
        st.text(image["file"])
        if image["top"]:
            st.dataframe(_table(image), hide_index=True)
        else:
            st.caption(image["error"] or " ".join(image["warnings"]))


def _table(image: Entry) -> list[dict[str, Any]]:
    return [
        {
            "class": score["class"],
            "index": score["index"],
            "probability": words.probability(score["probability"], score["distance"]),
            "logit": words.signed(score["logit"]),
            "margin to next": "" if score["margin"] is None else words.signed(score["margin"]),
        }
        for score in image["top"]
    ]
