"""Show the noise behind a bar."""

from __future__ import annotations

from typing import Any

import numpy as np

from diagnostics.data import noise
from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.noise.panel import Panel, chosen_draws, sorted_out
from diagnostics.methods.registry import method

MOST = 8


@method("Images of noise", source="See the noise probe")
def noise_images(
    context: Context, *, family: str = "uniform", draws: str = "0", made: str = ""
) -> Outcome[Any]:
    """The very images of noise that the noise probe drew.

    Args:
        context: As it was given to the noise probe.
        family: Id of the family.
        draws: Numbers of the draws, separated by commas.
        made: Hashes of images in hand that are noise a person made, separated by commas.

    Returns:
        8-bit pixels, shape (h, w, c), in the arrays "draw/NUMBER".

    Raises:
        InputError: When there is no such family.
    """
    if family not in noise.FAMILIES:
        raise InputError(f"There is no noise {family!r}; there are {', '.join(noise.FAMILIES)}.")
    panel = Panel(context, sorted_out(context, made)[0])
    numbers = chosen_draws(draws, MOST)
    drawn = {f"draw/{one}": np.rint(panel.draw(family, one) * 255) for one in numbers}
    arrays = {name: values.astype(np.uint8) for name, values in drawn.items()}
    return Outcome({"family": family, "draws": numbers}, arrays)
