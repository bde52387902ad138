"""What a file or a class does not say: the size of its images, and how they were prepared."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from diagnostics.errors import ModelError
from diagnostics.loaders.loaded import LoadedNetwork
from diagnostics.models.outputs import class_scores
from diagnostics.schema.layouts import Size
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.presets import PRESETS
from diagnostics.schema.spec import Candidate, Check, Fit

# Sides of square images in px, the commonest first; the first that runs is taken.
COMMON_SIDES = (224, 32, 28, 256, 299, 384, 64, 160, 240, 128, 96)
RARE_SIDES = (
    16,
    8,
    48,
    112,
    192,
    288,
    320,
    336,
    448,
    512,
    518,
    150,
    180,
    200,
    300,
    100,
    80,
    50,
    40,
    24,
    380,
    456,
    528,
    600,
)
TEXT_LINE = (48, 192)
SIZES = (
    *((side, side) for side in COMMON_SIDES),
    TEXT_LINE,
    *((side, side) for side in RARE_SIDES),
)
MIN_PHOTO_PX = 128  # smaller inputs are seldom photographs normalised as ImageNet's


def loaded_network(
    network: nn.Module,
    architecture: str,
    sides: Sequence[int | None],
    message: str,
    checks: Sequence[Check] = (),
    *,
    takes_bytes: bool = False,
    stated_size: Size | None = None,
) -> LoadedNetwork:
    """Return a network that brings everything but how its images were prepared.

    Args:
        network: In evaluation mode.
        architecture: What to call it.
        sides: Channels, height and width of its images; None for what is left open.
        message: One sentence: what the network is.
        checks: What else was looked at.
        takes_bytes: Whether the images go in as whole numbers, 0 to 255.
        stated_size: Height and width that a person states, tried before others.

    Raises:
        ModelError: When it is no classifier of images.
    """
    if sides[0] not in (1, 3, None):
        raise ModelError(
            f"Images have one channel or three; this network takes {list(sides)} (channels, "
            "height, width)."
        )
    size, outputs = find_input_size(network, *sides, stated_size=stated_size)
    settings = assumed_preprocessing(size, takes_bytes=takes_bytes)
    candidate = Candidate(architecture, Fit.EXACT, outputs, *size, settings, message)
    is_stated = size[1:] == stated_size
    guessed = assumption_checks(settings, open_size=None in sides[1:] and not is_stated)
    if stated_size is not None and not is_stated:
        stated = "{1} × {0} px".format(*stated_size)
        message = f"It does not run on images of {stated}, the size that you gave."
        guessed = (Check("input", "warned", message), *guessed)
    return LoadedNetwork(
        network, candidate, (Check("network", "passed", message), *checks, *guessed)
    )


def find_input_size(
    network: nn.Module,
    channels: int | None,
    height: int | None,
    width: int | None,
    *,
    stated_size: Size | None = None,
) -> tuple[tuple[int, int, int], int]:
    """Return the size of the images that a network takes, and how many scores it gives.

    Args:
        network: In evaluation mode.
        channels: Of its images; None tries three and one.
        height: In px; None tries common sizes.
        width: In px.
        stated_size: Height and width to try before common sizes.

    Raises:
        ModelError: When it runs with none of them, or gives no class scores.
    """
    fixed = height is not None and width is not None
    usual = SIZES if stated_size is None else (stated_size, *SIZES)
    sides = [(height or 1, width or 1)] if fixed else usual
    problem = ""
    for planes in [channels] if channels else [3, 1]:
        for rows, columns in sides:
            size = (planes, height or rows, width or columns)
            try:
                with torch.no_grad():
                    scores = network(torch.zeros(2, *size))
            except Exception as error:  # whatever an unknown network raises
                lines = str(error).strip().splitlines() or [""]
                problem = problem or lines[-1 if "TorchScript" in lines[0] else 0]
                continue
            return size, class_scores(scores).shape[1]
    raise ModelError(
        f"The network does not run on images of usual sizes ({problem[:160].rstrip('.')}); give "
        "the size that you trained with, --height and --width or a recipe."
    )


def assumed_preprocessing(
    size: tuple[int, int, int], *, takes_bytes: bool = False
) -> Preprocessing:
    """Return the commonest preprocessing of images of a size.

    Args:
        size: Channels, height and width.
        takes_bytes: Whether the images go in as whole numbers, 0 to 255.
    """
    channels, height, width = size
    shortest = min(height, width)
    photos = shortest >= MIN_PHOTO_PX
    unscaled = Preprocessing(
        height=height,
        width=width,
        resize_px=round(shortest * 256 / 224) if photos else shortest,
        fit="crop" if height == width else "stretch",
        colour=channels == 3,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )
    scaled = "imagenet" if channels == 3 and photos else "unit"
    return PRESETS["raw" if takes_bytes else scaled].applied_to(unscaled)


def assumption_checks(preprocessing: Preprocessing, *, open_size: bool) -> tuple[Check, ...]:
    """Say what was assumed.

    Args:
        preprocessing: What was assumed of the images.
        open_size: Whether the size of the images was left open, and found by trying.
    """
    prepared = (
        f"How its images were prepared is not said; assumed is {preprocessing.summary}. Set what "
        "your training used."
    )
    checks = [Check("preprocessing", "warned", prepared)]
    if open_size:
        size = f"{preprocessing.width} × {preprocessing.height} px"
        message = (
            f"The size of its images is not said; {size} runs and is taken. Where you trained with "
            "others, say so in a recipe, or with --width and --height on the command line."
        )
        checks.append(Check("input", "warned", message))
    return tuple(checks)
