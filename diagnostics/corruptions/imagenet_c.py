"""The corruptions of ImageNet-C that can be had without its pictures, by severity.

Source: Hendrycks & Dietterich 2019, arXiv:1903.12261; constants of hendrycks/robustness,
make_imagenet_c.py.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from diagnostics.corruptions import intensity, spatial
from diagnostics.corruptions.registry import Corruption, Function, register
from diagnostics.preprocessing.stages import Values

SMALL_RADIUS = 8  # up to it a disk lies on a grid of 17 × 17 px and is smoothed over 3 × 3 px
SMOOTHING_PX = {3: 0.1}  # standard deviation of the blur that smooths a disk of this radius
DEFAULT_SMOOTHING_PX = 0.5


def gaussian_blur(values: Values, sigma: float, _random: Generator) -> Values:
    """Blur with a Gaussian of this standard deviation in px, edges repeated, cut at 4 sigma."""
    from scipy import ndimage

    blurred: NDArray[np.float64] = ndimage.gaussian_filter(
        values.astype(np.float64), sigma, axes=(0, 1), mode="nearest", truncate=4
    )
    return blurred.clip(0, 1).astype(np.float32)


def defocus(values: Values, radius: float, _random: Generator) -> Values:
    """Mix with a disk of this radius in px that is smoothed a little, as the benchmark has it.

    Smoothing mirrors the disk where it touches the grid's edge, so that its weights do not sum to
    one at radii of 8 and 10 px. The benchmark leaves that: its images are 1 % brighter there.
    """
    from scipy import ndimage

    small = radius <= SMALL_RADIUS
    reach = SMALL_RADIUS if small else int(radius)
    side = np.arange(-reach, reach + 1)
    disk = (side[:, None] ** 2 + side**2 <= radius**2).astype(np.float64)
    sigma = SMOOTHING_PX.get(int(radius), DEFAULT_SMOOTHING_PX)
    taps = 1 if small else 2
    kernel = ndimage.gaussian_filter(disk / disk.sum(), sigma, mode="mirror", radius=taps)
    return spatial.filtered(values, kernel, edges="reflect")


def _by_severity(
    name: str, title: str, effect: str, severities: tuple[float, ...], function: Function
) -> Corruption:
    constants = ", ".join(f"{constant:g}" for constant in severities)
    all_severities = (0.0, float(len(severities)))
    return Corruption(
        name=f"imagenet_c_{name}",
        title=f"ImageNet-C {title}",
        summary=f"{effect} {constants} at the severities 1 to 5, chosen for 224 px.",
        unit="severity",
        phrase="severity {}",
        limits=all_severities,
        default_range=all_severities,
        identity=0,
        function=function,
        integer=True,
        severities=severities,
    )


IMAGENET_C = (
    _by_severity(
        "blur",
        "Gaussian blur",
        "A Gaussian blur with a standard deviation in px of",
        (1, 2, 3, 4, 6),
        gaussian_blur,
    ),
    _by_severity("defocus", "defocus", "A disk with a radius in px of", (3, 4, 6, 8, 10), defocus),
    _by_severity(
        "contrast",
        "contrast",
        "Contrast about the mean, times",
        (0.4, 0.3, 0.2, 0.1, 0.05),
        intensity.faded,
    ),
    _by_severity(
        "pixelate",
        "pixelate",
        "Shrunk to this share of both sides:",
        (0.6, 0.5, 0.4, 0.3, 0.25),
        spatial.pixelated,
    ),
    _by_severity("jpeg", "JPEG", "JPEG of the quality", (25, 18, 15, 10, 7), spatial.jpeg),
    _by_severity(
        "brightness",
        "brightness",
        "Added to the brightness:",
        (0.1, 0.2, 0.3, 0.4, 0.5),
        intensity.brightness,
    ),
    _by_severity(
        "noise",
        "Gaussian noise",
        "Normal noise with a standard deviation of",
        (0.08, 0.12, 0.18, 0.26, 0.38),
        intensity.gaussian_noise,
    ),
    _by_severity(
        "shot",
        "shot noise",
        "Photons counted, on average at white",
        (60, 25, 12, 5, 3),
        intensity.shot_noise,
    ),
    _by_severity(
        "impulse",
        "impulse noise",
        "Black or white becomes a share",
        (0.03, 0.06, 0.09, 0.17, 0.27),
        intensity.impulse_noise,
    ),
    _by_severity(
        "speckle",
        "speckle noise",
        "Noise in proportion to the value with a standard deviation of",
        (0.15, 0.2, 0.35, 0.45, 0.6),
        intensity.speckle_noise,
    ),
)
for _corruption in IMAGENET_C:
    register(_corruption)
