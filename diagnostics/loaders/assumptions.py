"""What a file or somebody's class does not say: the size of its images, how they were prepared."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from diagnostics.errors import ModelError
from diagnostics.loaders.loaded import Held
from diagnostics.models.outputs import head
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.presets import PRESETS
from diagnostics.schema.spec import Candidate, Check, Fit

USUAL = (224, 32, 28, 256, 299, 384, 64, 160, 240, 128, 96)
SELDOM = (
    *(16, 8, 48, 112, 192, 288, 320, 336, 448, 512, 518, 150, 180, 200, 300, 100, 80, 50, 40, 24),
    *(380, 456, 528, 600),
)
SIDES = (*((side, side) for side in USUAL), (48, 192), *((side, side) for side in SELDOM))
LEAST_OF_PHOTOS = 128  # px; smaller inputs are seldom photographs normalised as ImageNet's


def held(
    network: nn.Module,
    architecture: str,
    sides: Sequence[int | None],
    message: str,
    checks: Sequence[Check] = (),
    *,
    whole: bool = False,
) -> Held:
    """Return a network that brings everything but how its images were prepared.

    Args:
        network: In evaluation mode.
        architecture: What to call it.
        sides: Channels, height and width of its images; None for what is left open.
        message: One sentence: what was found.
        checks: What else was looked at.
        whole: Whether the images go in as whole numbers, 0 to 255.

    Raises:
        ModelError: When it is no classifier of images.
    """
    if sides[0] not in (1, 3, None):
        raise ModelError(
            f"Images have one channel or three; this network takes {list(sides)} (channels, "
            "height, width)."
        )
    size, outputs = tried(network, *sides)
    settings = assumed(size, whole=whole)
    candidate = Candidate(architecture, Fit.EXACT, outputs, *size, settings, message)
    guessed = warnings(settings, open_size=None in sides[1:])
    return Held(network, candidate, (Check("network", "passed", message), *checks, *guessed))


def tried(
    network: nn.Module, channels: int | None, height: int | None, width: int | None
) -> tuple[tuple[int, int, int], int]:
    """Return the size of the images that a network takes, and how many scores it gives.

    Args:
        network: In evaluation mode.
        channels: Of its images; None tries three and one.
        height: In px; None tries usual sizes.
        width: In px.

    Raises:
        ModelError: When it runs with none of them, or gives no class scores.
    """
    fixed = height is not None and width is not None
    sides = [(height or 1, width or 1)] if fixed else SIDES
    problem = ""
    for planes in [channels] if channels else [3, 1]:
        for rows, columns in sides:
            size = (planes, height or rows, width or columns)
            try:
                with torch.no_grad():
                    scores = network(torch.zeros(2, *size))
            except Exception as error:  # whatever a stranger's network raises
                lines = str(error).strip().splitlines() or [""]
                problem = problem or lines[-1 if "TorchScript" in lines[0] else 0]
                continue
            return size, head(scores).shape[1]
    raise ModelError(
        f"The network does not run on images of usual sizes: {problem[:160].rstrip('.')}."
    )


def assumed(size: tuple[int, int, int], *, whole: bool = False) -> Preprocessing:
    """Return the preprocessing that is most usual for images of a size.

    Args:
        size: Channels, height and width.
        whole: Whether the images go in as whole numbers, 0 to 255.
    """
    channels, height, width = size
    shortest = min(height, width)
    photos = shortest >= LEAST_OF_PHOTOS
    plain = Preprocessing(
        height=height,
        width=width,
        resize_px=round(shortest * 256 / 224) if photos else shortest,
        fit="crop" if height == width else "stretch",
        colour=channels == 3,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )
    usual = "imagenet" if channels == 3 and photos else "unit"
    return PRESETS["raw" if whole else usual].applied_to(plain)


def warnings(preprocessing: Preprocessing, *, open_size: bool) -> tuple[Check, ...]:
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
