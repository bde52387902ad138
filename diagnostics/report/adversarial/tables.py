"""Smallest changes in sentences, numbers and pictures: how far, and what is predicted then."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.metrics.predictions import rank
from diagnostics.report import pictures, render
from diagnostics.report.render import Picture, Scale
from diagnostics.report.table import Bar, Cell, Table
from diagnostics.schema.results.adversarial import (
    AdversarialAnswer,
    AdversarialImage,
    ChangedPicture,
    NoPerturbation,
    Norm,
    Perturbation,
)
from diagnostics.schema.results.inspection import PredictionEntry
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import counted, number, probability, shortened, signed

GREYS = 255
TOP = 3  # classes in a ranking
NORMS: dict[Norm, str] = {
    "l2": "Euclidean length (L2)",
    "linf": "Largest change of a value (L∞)",
}
UPPER_BOUND = (
    "Lower is more fragile. Every distance is an upper bound: a smaller change may exist that no "
    "search found."
)
IN_8_BIT: dict[Norm, str] = {
    "l2": "in 8 bit, RMS (grey levels)",
    "linf": "in 8 bit, largest (grey levels)",
}
NOTHING_FINITE = "nothing finite"
FACTORS = (1, 2, 5)
WHITE = "In the differences white is no change, red is brighter, and blue is darker."
HEATMAPS = "For the first class of each picture, both rounded to 8 bit"


def most_fragile(
    images: Sequence[AdversarialImage], norm: Norm
) -> list[tuple[int, AdversarialImage, Perturbation]]:
    """Return index, entry and change of the images that have one, the smallest change first."""
    changed = []
    for index, image in enumerate(images):
        perturbation = image[norm]
        if perturbation["is_adversarial"]:
            changed.append((index, image, perturbation))
    return sorted(changed, key=lambda entry: entry[2]["distance"])


def first_shown(images: Sequence[AdversarialImage], norm: Norm) -> int:
    """Return the index of the image that is shown at first: the most fragile one."""
    changed = most_fragile(images, norm)
    return changed[0][0] if changed else 0


def grey_levels(change: Perturbation | ChangedPicture, norm: Norm, values: int) -> float:
    """Return how large a change is in grey levels of 255: root mean square, or the largest.

    Args:
        change: The change.
        norm: Under which it is smallest.
        values: How many values an image has.
    """
    distance = change["distance"]
    return GREYS * (distance / math.sqrt(values) if norm == "l2" else distance)


def distance(change: Perturbation | ChangedPicture, norm: Norm, values: int) -> str:
    """Say how large a change is, such as "root mean square 0.4 grey levels of 255"."""
    size = number(grey_levels(change, norm, values))
    if norm == "l2":
        return f"root mean square {size} grey levels of {GREYS}"
    return f"no value changes by more than {size} grey levels of {GREYS}"


def headline(answer: AdversarialAnswer, norm: Norm) -> str:
    """Say which image is nearest to another answer, or that no change was found."""
    images = answer["images"]
    changed = most_fragile(images, norm)
    if not changed:
        reasons = [
            perturbation["reason"]
            for perturbation in (image[norm] for image in images)
            if not perturbation["is_adversarial"]
        ]
        return f"No change was found. {' '.join(dict.fromkeys(reasons))}"
    _, first, perturbation = changed[0]
    how_far = distance(perturbation, norm, answer["values"])
    before, after = predicted(first, answer), becomes(perturbation)
    if len(images) == 1:
        return (
            f"The smallest change found: {how_far}. The model then says {after} instead of "
            f"{before}."
        )
    nearest = (
        f"{shortened(first['file'], 40)} is nearest to another answer: {how_far}, and the model "
        f"says {after} instead of {before}."
    )
    missing = len(images) - len(changed)
    return f"{nearest} Not found for {counted(missing, 'image')}." if missing else nearest


def numbers(answer: AdversarialAnswer, norm: Norm) -> Table:
    """Return every image's distance, what it becomes, and whether a file keeps it."""
    images, values = answer["images"], answer["values"]
    rows = [
        _image_columns(image, answer) | _change_columns(perturbation, norm, values)
        for _, image, perturbation in most_fragile(images, norm)
    ]
    for image in images:
        perturbation = image[norm]
        if not perturbation["is_adversarial"]:
            rows.append(_image_columns(image, answer) | _no_change_columns(perturbation, norm))
    return Table(tuple(rows), title="Smallest change found of each image", caption=UPPER_BOUND)


def _image_columns(image: AdversarialImage, answer: AdversarialAnswer) -> dict[str, str]:
    return {"image": image["file"], "said": predicted(image, answer)}


def _change_columns(perturbation: Perturbation, norm: Norm, values: int) -> dict[str, str]:
    by_attack = [
        f"{title} {'not found' if distance is None else number(distance)}"
        for title, distance in perturbation["attacks"].items()
    ]
    return {
        "becomes": becomes(perturbation),
        "RMS (grey levels)": number(GREYS * perturbation["l2"] / math.sqrt(values)),
        "largest (grey levels)": number(GREYS * perturbation["linf"]),
        "L2 (pixels in 0 to 1)": number(perturbation["l2"]),
        "kept by PNG": "yes" if perturbation["png_is_adversarial"] else "no",
        IN_8_BIT[norm]: _in_8_bit(perturbation, norm, values),
        "pixels changed": f"{perturbation['changed_pixels']} of {perturbation['pixels']}",
        "found by": perturbation["attack"],
        "remark": ", ".join(by_attack) if len(by_attack) > 1 else "",
    }


def _no_change_columns(missing: NoPerturbation, norm: Norm) -> dict[str, str]:
    return {
        "becomes": "not found",
        "RMS (grey levels)": "",
        "largest (grey levels)": "",
        "L2 (pixels in 0 to 1)": "",
        "kept by PNG": "",
        IN_8_BIT[norm]: "",
        "pixels changed": "",
        "found by": "",
        "remark": missing["reason"],
    }


def predicted(image: AdversarialImage, answer: AdversarialAnswer) -> str:
    """Return the name of the class predicted of an image, empty where there is none."""
    return "" if image["predicted"] is None else answer["classes"][image["predicted"]]


def becomes(perturbation: Perturbation) -> str:
    """Return the name of the class predicted of a changed image."""
    top = perturbation["top"]
    return top[0]["class"] if top else NOTHING_FINITE


def _in_8_bit(perturbation: Perturbation, norm: Norm, values: int) -> str:
    """Say how small a change survives rounding to 8 bit, in the norm's grey levels."""
    picture = perturbation["in_8_bit"]
    return "not found" if picture is None else number(grey_levels(picture, norm, values))


def sentences(image: AdversarialImage, norm: Norm, answer: AdversarialAnswer) -> list[str]:
    """Say of one image how large the change is, what it does, and whether a file keeps it."""
    perturbation = image[norm]
    if not perturbation["is_adversarial"]:
        return [f"Not found. {perturbation['reason']}"]
    how_far = distance(perturbation, norm, answer["values"])
    facts = [
        f"{how_far[:1].upper()}{how_far[1:]} (L2 {number(perturbation['l2'])} with pixels in 0 to "
        f"1; largest change {number(GREYS * perturbation['linf'])} grey levels), found by "
        f"{perturbation['attack']}.",
        _png_sentence(perturbation),
        _in_8_bit_sentence(perturbation["in_8_bit"], norm, answer["values"]),
    ]
    if not perturbation["changed_pixels"]:
        facts.append("The change is lost altogether: every value rounds to what it was before.")
    if image["png_predicted"] is not None and image["png_predicted"] != image["predicted"]:
        other = answer["classes"][image["png_predicted"]]
        facts.append(f"Rounding the unchanged image to 8 bit alone already gives {other}.")
    return facts


def _png_sentence(perturbation: Perturbation) -> str:
    changed, pixels = counted(perturbation["changed_pixels"], "pixel"), perturbation["pixels"]
    predicted = _first(perturbation["png_top"])
    if perturbation["png_is_adversarial"]:
        return (
            "It survives rounding to 8 bit: saved as PNG and read again, the model still says "
            f"{predicted}. {changed} of {pixels} differ in the file."
        )
    return (
        "It does not survive rounding to 8 bit: saved as PNG and read again, the model says "
        f"{predicted} ({changed} of {pixels} differ)."
    )


def _in_8_bit_sentence(picture: ChangedPicture | None, norm: Norm, values: int) -> str:
    """Say how small a change survives rounding to 8 bit."""
    if picture is None:
        return "No change was found that survives rounding to 8 bit."
    return (
        f"The smallest change found that survives rounding to 8 bit: "
        f"{distance(picture, norm, values)} (L2 {number(picture['l2'])}; "
        f"{counted(picture['changed_pixels'], 'pixel')} differ in the file), "
        f"{number(picture['multiple'])} × what {picture['attack']} found; the model then says "
        f"{_first(picture['top'])}."
    )


def _first(top: Sequence[PredictionEntry]) -> str:
    if not top:
        return NOTHING_FINITE
    return f"{top[0]['class']}, {probability(top[0]['probability'], top[0]['one_minus_p'])}"


def factor(change: NDArray[Any]) -> int:
    """Return by how much a change is amplified to fill the scale: 1, 2, 5, 10, 20 and so on."""
    limit = Scale.of_most(change, signed=True).limit
    room = max(1 / limit, 1.0) if limit > 0 else 1.0
    decade: int = 10 ** math.floor(math.log10(room))
    return max(decade * digit for digit in FACTORS if decade * digit <= room)


def cells(
    image: AdversarialImage,
    pixels: NDArray[Any],
    changed: NDArray[Any],
    multiple: float,
    top: Sequence[PredictionEntry],
) -> list[Cell]:
    """The image, the changed image, and their difference, exactly and amplified.

    Args:
        image: The image's entry.
        pixels: What the network receives of it, shape (h, w, c).
        changed: The changed pixels, same shape.
        multiple: Of the change that is shown.
        top: What is predicted of the changed image.
    """
    change = interpolate(pixels, changed, multiple) - pixels
    stem, times = pictures.stem(image["file"]), factor(change)
    title = "The changed image" + ("" if multiple == 1 else f" at {multiple:g} ×")
    return [
        _answered("The image", image["top"], _photo(pixels, "The image", f"{stem}-image")),
        _answered(title, top, _photo(pixels + change, title, f"{stem}-changed")),
        _difference(change, 1, stem),
        _difference(change, times, stem),
    ]


def interpolate(
    pixels: NDArray[Any], changed: NDArray[Any], multiple: float
) -> NDArray[np.float32]:
    """Return an image so many times as far towards a changed one, kept in [0, 1]."""
    values: NDArray[np.float32] = np.clip(
        pixels + np.float32(multiple) * (changed - pixels), 0, 1
    ).astype(np.float32)
    return values


def to_8bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return values in [0, 1] in 8 bit."""
    picture: NDArray[np.uint8] = np.rint(values * GREYS).astype(np.uint8)
    return picture


def top(logits: NDArray[Any], spec: ModelSpec) -> list[PredictionEntry]:
    """Return what is predicted at one multiple of a change, best first, as an inspection ranks it.

    Args:
        logits: Shape (k,).
        spec: Gives names and the kind of output.
    """
    return [prediction.entry() for prediction in rank(logits, spec, TOP)]


def _answered(title: str, top: Sequence[PredictionEntry], picture: Picture) -> Cell:
    if not top:
        return Cell(title=title, pictures=(picture,))
    bars = tuple(
        Bar(
            name=entry["class"],
            share=entry["probability"],
            text=probability(entry["probability"], entry["one_minus_p"]),
            title=f"{entry['class']}, class {entry['index']}: logit {signed(entry['logit'])}",
        )
        for entry in top
    )
    sure = probability(top[0]["probability"], top[0]["one_minus_p"])
    answer = shortened(top[0]["class"], 28)
    return Cell(title=title, answer=answer, confidence=sure, bars=bars, pictures=(picture,))


def _photo(values: NDArray[Any], alt: str, name: str) -> Picture:
    return Picture(render.photo(values), f"{alt}, as the network receives it.", "", name)


def _difference(change: NDArray[Any], times: int, stem: str) -> Cell:
    """Draw a change on a scale whose ends are a whole step from black to white, over the factor."""
    scale = Scale(1 / times, signed=True, clipped=1).at(change)
    sheet = render.tiles(np.moveaxis(change, 2, 0), scale)
    channels = "" if change.shape[2] == 1 else "red, green and blue one after the other; "
    end = number(GREYS / times)
    title = f"Difference, amplified {times} ×" if times > 1 else "Difference, exact"
    beyond = f", {scale.clipped} values beyond the ends" if scale.clipped else ""
    caption = f"{channels}colours −{end} … {end} grey levels{beyond}"
    alt = f"{title}: the changed image minus the image. {WHITE}"
    return Cell(title=title, pictures=(Picture(sheet, alt, caption, f"{stem}-difference-{times}"),))
