"""Show the noise behind a bar."""

from __future__ import annotations

import numpy as np

from diagnostics.data import noise
from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.noise.panel import Panel, split_samples
from diagnostics.methods.registry import method
from diagnostics.schema.results.noise import NoiseImages

MAX_DRAWS = 8


@method("Images of noise", source="Draws of the noise (noise/noise)")
def noise_images(
    context: Context, *, family: str = "uniform", draws: str = "0", user_noise: str = ""
) -> Outcome[NoiseImages]:
    """The very images of noise behind the answer of noise/noise.

    Args:
        context: As it was given to noise/noise.
        family: Id of the family.
        draws: Numbers of the draws, separated by commas.
        user_noise: Hashes of images in hand that are noise a person made, separated by commas.

    Returns:
        8-bit pixels, shape (h, w, c), in the arrays "draw/NUMBER".

    Raises:
        InputError: When there is no such family.
    """
    if family not in noise.FAMILIES:
        raise InputError(f"There is no noise {family!r}; there are {', '.join(noise.FAMILIES)}.")
    panel = Panel(context, split_samples(context, user_noise)[0])
    numbers = parse_draws(draws)
    arrays = {
        f"draw/{number}": np.rint(panel.draw(family, number) * 255).astype(np.uint8)
        for number in numbers
    }
    return Outcome(NoiseImages(family=family, draws=numbers), arrays)


def parse_draws(text: str) -> list[int]:
    """Read "3,5,9".

    Raises:
        InputError: When it is no such list, or longer than `MAX_DRAWS`.
    """
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() for part in parts) or len(parts) > MAX_DRAWS:
        raise InputError(
            f"Expected 1 to {MAX_DRAWS} numbers of draws such as 3,5,9; got {text[:40]!r}."
        )
    return [int(part) for part in parts]
