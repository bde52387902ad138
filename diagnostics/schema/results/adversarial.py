"""Answers about the smallest change of an image that changes the answer.

Sizes are of pixels in [0, 1]: "l2" is the Euclidean length of a change, "linf" its largest value.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

from diagnostics.schema.results.inspection import PredictionEntry

Norm: TypeAlias = Literal["l2", "linf"]


class ChangedImage(TypedDict):
    """A changed image, and what is predicted of it afresh.

    `top` is of its numbers, `png_top` of the picture rounded to 8 bit, saved as PNG and read again;
    each is empty where a logit is not finite. `png_l2` is the length between both pictures,
    `changed_pixels` how many of its `pixels` differ.
    """

    l2: float
    linf: float
    top: list[PredictionEntry]
    png_is_adversarial: bool
    png_top: list[PredictionEntry]
    png_l2: float
    changed_pixels: int
    pixels: int


class ChangedPicture(TypedDict):
    """The smallest change found whose picture, rounded to 8 bit, changes the answer.

    `distance`, under the norm in question, "l2" and "linf" are those of the picture from the image
    as the network receives it. It lies on the line of what `attack` found, at a `multiple` of it.
    """

    distance: float
    l2: float
    linf: float
    attack: str
    multiple: float
    top: list[PredictionEntry]
    changed_pixels: int


class Perturbation(ChangedImage):
    """The smallest change that was found under one norm.

    `distance` is its size, an upper bound; `attack` found it, and `attacks` has the distance of
    each, None where it found none. `in_8_bit` is the smallest change that survives rounding to 8
    bit, None where none was found and while other attacks still run.
    """

    is_adversarial: Literal[True]
    distance: float
    attack: str
    attacks: dict[str, float | None]
    in_8_bit: ChangedPicture | None


class NoPerturbation(TypedDict):
    """Nothing was found under one norm, for a `reason`; the distance is unknown, never zero."""

    is_adversarial: Literal[False]
    reason: str
    distance: None
    png_is_adversarial: None
    attacks: dict[str, float | None]


class AdversarialImage(TypedDict):
    """An image and its smallest changes.

    `predicted` and `png_predicted`, that of the unchanged image rounded to 8 bit, are None and
    `top` is empty where a logit is not finite.
    """

    file: str
    sha256: str
    predicted: int | None
    target: int | None
    top: list[PredictionEntry]
    png_predicted: int | None
    l2: Perturbation | NoPerturbation
    linf: Perturbation | NoPerturbation


class AdversarialAnswer(TypedDict):
    """Answer of every attack.

    `target` is the class to reach, None any other than the predicted one. `values` is how many
    numbers an image has. Arrays are named after the image's index: "0/pixels" (h, w, c), and under
    "0/l2/" or "0/linf/" the "changed" pixels and their "difference" from the image, the changed
    "picture" in 8 bit, the "logits" at each of the `multiples` of the change, shape (m, k), and
    "in_8_bit", the picture of the smallest change that survives rounding.
    """

    target: int | None
    classes: list[str]
    values: int
    multiples: list[float]
    images: list[AdversarialImage]
    complete: bool
    notes: list[str]
