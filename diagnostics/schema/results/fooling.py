"""The answer of every method that makes fooling images.

Arrays:

- "images": the most confident image of each class of `image_indices`, uint8, shape (n, h, w, c).
- "trace": log(p / (1 − p)) of each class of `trace_indices` at each of `trace_iterations`, shape
  (t, k); NaN where a class had ended.
"""

from __future__ import annotations

from typing import TypedDict


class FoolingClass(TypedDict):
    """One target class, and how confident the model is of the best image that was made for it.

    `margin` is log(p / (1 − p)); it, the probability and `found_at`, the iteration of that image,
    are None where no image was found. `milestones` gives for each probability, written as "0.99",
    the iteration at which it was reached, or None.
    """

    index: int
    name: str
    probability: float | None
    one_minus_p: float | None
    margin: float | None
    found_at: int | None
    milestones: dict[str, int | None]


class FoolingAnswer(TypedDict):
    """The target classes, the most confident first, and how far the work got.

    `unit` is what an iteration is called, such as "step". `complete` is False for what is there
    while the work runs, and where the time was up. `evaluations` counts the images that the model
    was asked about, `not_finite` those of them for which its numbers were not finite, `n_found` the
    classes for which there is an image, and `images_left_out` those whose image is not sent.
    """

    algorithm: str
    unit: str
    iterations: int
    max_iterations: int
    complete: bool
    seed: int
    evaluations: int
    not_finite: int
    n_found: int
    images_left_out: int
    classes: list[FoolingClass]
    image_indices: list[int]
    trace_iterations: list[int]
    trace_indices: list[int]
    notes: list[str]
