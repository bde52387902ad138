"""The axes along which an image can be altered: what each does, in which unit, and how far."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.random import Generator

from diagnostics.corruptions import intensity as tone
from diagnostics.corruptions import spatial as shape
from diagnostics.corruptions.axis import Apply, Axis
from diagnostics.preprocessing.stages import Values

Name: TypeAlias = Literal[
    "contrast",
    "value_range",
    "threshold",
    "faded",
    "inverted",
    "brightness",
    "saturation",
    "gaussian_noise",
    "uniform_noise",
    "impulse_noise",
    "speckle_noise",
    "shot_noise",
    "blur",
    "out_of_focus",
    "motion",
    "jpeg",
    "pixelated",
    "thickened",
    "rotated",
    "shifted_right",
    "shifted_down",
    "scaled",
    "cropped",
    "imagenet_c_blur",
    "imagenet_c_defocus",
    "imagenet_c_contrast",
    "imagenet_c_pixelate",
    "imagenet_c_jpeg",
    "imagenet_c_brightness",
    "imagenet_c_noise",
    "imagenet_c_shot",
    "imagenet_c_impulse",
    "imagenet_c_speckle",
]
NAMES: tuple[Name, ...] = get_args(Name)


def _by_severity(constants: Sequence[float], apply: Apply) -> Apply:
    def altered(values: Values, severity: float, random: Generator) -> Values:
        return apply(values, constants[round(severity) - 1], random)

    return altered


IMAGENET_C: dict[str, tuple[float, ...]] = {
    "imagenet_c_blur": (1, 2, 3, 4, 6),
    "imagenet_c_defocus": (3, 4, 6, 8, 10),
    "imagenet_c_contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
    "imagenet_c_pixelate": (0.6, 0.5, 0.4, 0.3, 0.25),
    "imagenet_c_jpeg": (25, 18, 15, 10, 7),
    "imagenet_c_brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    "imagenet_c_noise": (0.08, 0.12, 0.18, 0.26, 0.38),
    "imagenet_c_shot": (60, 25, 12, 5, 3),
    "imagenet_c_impulse": (0.03, 0.06, 0.09, 0.17, 0.27),
    "imagenet_c_speckle": (0.15, 0.2, 0.35, 0.45, 0.6),
}


def _c(name: str, title: str, about: str, apply: Apply) -> Axis:
    constants = IMAGENET_C[name]
    listed, ends = ", ".join(f"{one:g}" for one in constants), (0.0, float(len(constants)))
    said = f"{about} {listed} at the severities 1 to 5, chosen for 224 px."
    applied = _by_severity(constants, apply)
    return Axis(
        *(f"ImageNet-C {title}", "severity", "severity {}", ends, ends, 0, said, applied),
        whole=True,
    )


AXES: dict[Name, Axis] = {
    "contrast": Axis(
        *("Contrast", "slope", "slope {}", (0, 10_000), (0, 50), 0),
        "The logistic curve of this slope, rescaled so that 0 stays 0 and 1 stays 1: greys become "
        "black or white, and the value range stays the model's.",
        tone.contrast,
    ),
    "value_range": Axis(
        *("Value range", "× the values", "{} × the values", (1e-4, 1e4), (1 / 255, 255), 1),
        "Every value is multiplied and the model gets it unclipped, as when values are divided by "
        "255 once too often. Shapes and edges stay; the pictures shown are clipped to 0 to 1.",
        tone.value_range,
        geometric=True,
        beyond=True,
    ),
    "threshold": Axis(
        *("Hard threshold", "level", "level {}", (0, 1), (0.05, 0.95), None),
        "Every value above the level becomes 1 and every other 0.",
        tone.threshold,
    ),
    "faded": Axis(
        *("Fading", "× contrast", "{} × the contrast", (0, 8), (1, 0), 1),
        "Each value's distance from its channel's mean is multiplied: 0 leaves an even grey.",
        tone.faded,
    ),
    "inverted": Axis(
        *("Negative", "share", "share {}", (0, 1), (0, 1), 0),
        "The image mixed with its negative: 0.5 is an even grey, 1 the negative alone.",
        tone.inverted,
    ),
    "brightness": Axis(
        *("Brightness", "added", "{} added", (-1, 1), (-0.5, 0.5), 0),
        "The number is added to each pixel's brightest channel, hue and saturation kept.",
        tone.brightness,
    ),
    "saturation": Axis(
        *("Colour", "× saturation", "{} × the saturation", (0, 10), (0, 2), 1),
        "Each colour's distance from its grey is multiplied: 0 leaves greys.",
        tone.saturation,
        colour=True,
    ),
    "gaussian_noise": Axis(
        *("Gaussian noise", "standard deviation", "standard deviation {}", (0, 2), (0, 0.5), 0),
        "Normal noise is added to every value; the draw is the same at every step.",
        tone.gaussian_noise,
    ),
    "uniform_noise": Axis(
        *("Uniform noise", "largest change", "a reach of {}", (0, 2), (0, 0.8), 0),
        "Even noise is added to every value; the draw is the same at every step.",
        tone.uniform_noise,
    ),
    "impulse_noise": Axis(
        *("Impulse noise", "share of values", "share {}", (0, 1), (0, 0.5), 0),
        "This share of the values turns black or white; those struck stay struck as it grows.",
        tone.impulse_noise,
    ),
    "speckle_noise": Axis(
        *("Speckle noise", "standard deviation", "standard deviation {}", (0, 2), (0, 1), 0),
        "Normal noise in proportion to the value is added; the draw is the same at every step.",
        tone.speckle_noise,
    ),
    "shot_noise": Axis(
        *("Shot noise", "photons at white", "{} photons", (1, 1000), (250, 1), None),
        "Photons are counted, on average so many where the image is white; fewer are noisier.",
        tone.shot_noise,
        geometric=True,
    ),
    "blur": Axis(
        *("Blur", "px, standard deviation", "{} px of blur", (0, 50), (0, 4), 0),
        "A Gaussian blur, edges mirrored.",
        shape.blurred,
    ),
    "out_of_focus": Axis(
        *("Out of focus", "px, radius", "a radius of {} px", (0, 50), (0, 8), 0),
        "Every pixel becomes the average of a disk about it.",
        shape.out_of_focus,
    ),
    "motion": Axis(
        *("Motion blur", "px", "{} px of motion", (0, 100), (0, 16), 0),
        "Every pixel becomes the average of a level line through it.",
        shape.moved,
    ),
    "jpeg": Axis(
        *("JPEG", "quality", "quality {}", (1, 100), (100, 1), None),
        "The image is saved as JPEG of this quality and read back; lower is worse.",
        shape.jpeg,
        whole=True,
    ),
    "pixelated": Axis(
        *("Pixelated", "share of each side", "{} of each side", (0.01, 1), (1, 0.1), 1),
        "The image is shrunk to this share of its sides by averaging, and made large again.",
        shape.pixelated,
    ),
    "thickened": Axis(
        *("Thicker or thinner", "px", "{} px", (-16, 16), (-3, 3), 0),
        "Bright parts grow by so many px on every side; below zero dark parts grow.",
        shape.thickened,
        whole=True,
    ),
    "rotated": Axis(
        *("Rotation", "degrees", "{}°", (-360, 360), (-180, 180), 0),
        "Turned about the centre, counter-clockwise above zero; edges are repeated outwards.",
        shape.rotated,
    ),
    "shifted_right": Axis(
        *("Shift to the right", "% of the width", "{} % of the width", (-100, 100), (-50, 50), 0),
        "Shifted in whole px, to the left below zero; the edge is repeated.",
        shape.shifted_right,
    ),
    "shifted_down": Axis(
        *("Shift down", "% of the height", "{} % of the height", (-100, 100), (-50, 50), 0),
        "Shifted in whole px, up below zero; the edge is repeated.",
        shape.shifted_down,
    ),
    "scaled": Axis(
        *("Size", "× both sides", "{} × the size", (0.05, 8), (0.25, 4), 1),
        "What is in the image becomes larger or smaller about its centre; the edge is repeated.",
        shape.scaled,
        geometric=True,
    ),
    "cropped": Axis(
        *("Crop", "share of each side", "{} of each side", (0, 1), (1, 0), 1),
        "Only the central part is kept; what lies outside becomes the image's mean.",
        shape.cropped,
    ),
    "imagenet_c_blur": _c(
        "imagenet_c_blur",
        "Gaussian blur",
        "A Gaussian blur with a standard deviation in px of",
        shape.imagenet_c_blur,
    ),
    "imagenet_c_defocus": _c(
        "imagenet_c_defocus", "defocus", "A disk with a radius in px of", shape.imagenet_c_defocus
    ),
    "imagenet_c_contrast": _c(
        "imagenet_c_contrast", "contrast", "Contrast about the mean, times", tone.faded
    ),
    "imagenet_c_pixelate": _c(
        "imagenet_c_pixelate", "pixelate", "Shrunk to this share of both sides:", shape.pixelated
    ),
    "imagenet_c_jpeg": _c("imagenet_c_jpeg", "JPEG", "JPEG of the quality", shape.jpeg),
    "imagenet_c_brightness": _c(
        "imagenet_c_brightness", "brightness", "Added to the brightness:", tone.brightness
    ),
    "imagenet_c_noise": _c(
        "imagenet_c_noise",
        "Gaussian noise",
        "Normal noise with a standard deviation of",
        tone.gaussian_noise,
    ),
    "imagenet_c_shot": _c(
        "imagenet_c_shot", "shot noise", "Photons counted, on average at white", tone.shot_noise
    ),
    "imagenet_c_impulse": _c(
        "imagenet_c_impulse", "impulse noise", "Black or white becomes a share", tone.impulse_noise
    ),
    "imagenet_c_speckle": _c(
        "imagenet_c_speckle",
        "speckle noise",
        "Noise in proportion to the value with a standard deviation of",
        tone.speckle_noise,
    ),
}


def altered(values: Values, along: Sequence[tuple[Name, float]], seed: int) -> Values:
    """Return an image altered along axes, one after the other.

    Random draws depend on the seed, the axis and the image as it was given, not on the number, so
    all steps of an axis share them.

    Args:
        values: Shape (h, w, c), in [0, 1].
        along: Axes with their numbers; a neutral number leaves the values exactly as they are.
        seed: At least 0.

    Returns:
        The same shape, float32; in [0, 1] unless an axis goes beyond.
    """
    own = zlib.crc32(np.ascontiguousarray(values).tobytes())
    made = values
    for name, value in along:
        axis = AXES[name]
        if value != axis.neutral:
            random = np.random.default_rng([seed, zlib.crc32(name.encode()), own])
            made = np.ascontiguousarray(axis.apply(made, value, random), np.float32)
    return made
