"""The answer of a search for sufficient pixels: each image's subsets, controls and verdict.

Arrays of image i, and of its subset k (0 is the first and smallest; h × w is the input's size):

- "i/pixels": what the network received, uint8, shape (h, w, c).
- "i/subset/k": which pixels are kept, bool, shape (h, w).
- "i/kept_only/k": what the network received of them, uint8, shape (h, w, c).
- "i/selection_order/k": each pixel's rank, the first hidden 0, shape (h, w); +inf where it was
  never hidden.
- "i/kept_counts/k" and "i/margins/k": how many pixels were shown at each point of the search, and
  log(p / (1 − p)) of the class there, shape (t,).
- "i/widened": the first subset with the eight pixels around each of its own, bool, shape (h, w).
"""

from __future__ import annotations

from typing import TypedDict


class Confidence(TypedDict):
    """Probability of a class, 0 to 1, and its exact complement."""

    confidence: float
    one_minus_p: float


class FillConfidence(Confidence):
    """Confidence in the kept pixels on another fill: its id and what it is called."""

    fill: str
    title: str


class OtherFills(Confidence):
    """The lowest over several fills, and each of them."""

    fills: list[FillConfidence]


class WidenedSubset(Confidence):
    """Confidence in the kept pixels and the eight around each; `size` counts them all."""

    size: int


class WrongClass(Confidence):
    """What the same search finds for another class.

    `size` is that of its smallest subset, None where none reaches the threshold; the confidence is
    the highest on the way.
    """

    index: int
    name: str
    size: int | None


class WrongClasses(TypedDict):
    """A few other classes, and for how many of them a subset was found."""

    classes: list[WrongClass]
    n_found: int


class RandomPixels(TypedDict):
    """Confidence in as many random pixels as the subset has: mean and highest of some draws."""

    draws: int
    mean: float
    highest: Confidence


class Controls(TypedDict):
    """What the four controls measured, and random pixels beside them."""

    blank: Confidence
    other_fills: OtherFills
    widened: WidenedSubset
    wrong_classes: WrongClasses
    random_pixels: RandomPixels


class Check(TypedDict):
    """One control as people read it.

    `holds` is None where it could not be run; `otherwise` says what it means if it does not hold.
    """

    name: str
    measured: str
    required: str
    holds: bool | None
    details: str
    otherwise: str


class Region(TypedDict):
    """How much of the subset lies in a region of the image, and what hiding the region does.

    `share` is that of the kept pixels, `area` that of the image's, both 0 to 1.
    """

    share: float
    area: float
    region_hidden: Confidence
    region_alone: Confidence


class Subset(TypedDict):
    """One sufficient subset: its size, how many pixels were hidden at a time, its confidence."""

    size: int
    resolution: int
    kept_only: Confidence


class HighestConfidence(Confidence):
    """The highest confidence on the way, and how many pixels were kept there."""

    kept_count: int


class ImageFigures(Confidence):
    """What was measured on one image; the confidence is that in the whole image.

    `size`, `resolution` and `kept_only` are those of the first subset, None where there is none.
    `blank` has every pixel hidden. `background` is what lies outside the box, None without one.
    """

    file: str
    error: str
    target: int
    target_name: str
    pixels: int
    tau: float
    fill: str
    searched: bool
    size: int | None
    resolution: int | None
    kept_only: Confidence | None
    subsets: list[Subset]
    highest: HighestConfidence | None
    blank: Confidence | None
    border: Region | None
    background: Region | None
    controls: Controls | None


class SufficientPixels(ImageFigures):
    """What was measured on one image, and what may be read from it.

    `reading` is the verdict in a sentence or two, with its figures; `confidence_rose` tells whether
    the confidence rose while pixels were hidden. None stands for what cannot be told.
    """

    verdict: str
    reading: str
    checks: list[Check]
    confidence_rose: bool | None
    border_driven: bool | None
    background_driven: bool | None


class SufficientPixelsAnswer(TypedDict):
    """The images in their order; `complete` is False for what is there while the search runs."""

    images: list[SufficientPixels]
    complete: bool
    notes: list[str]
