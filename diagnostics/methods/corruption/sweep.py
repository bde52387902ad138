"""Turn one knob, or two, and see where the answer breaks."""

from __future__ import annotations

from typing import Annotated, Literal

from diagnostics.corruptions.registry import names
from diagnostics.errors import OptionError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.corruption._sweep import Sweep, sweep_axis
from diagnostics.methods.registry import method
from diagnostics.schema.options import Choices, Range
from diagnostics.schema.results.corruption import SweepAnswer


@method("Sweep", source="Hendrycks & Dietterich 2019, arXiv:1903.12261; their constants")
def sweep(
    context: Context,
    *,
    axis: Annotated[str, Choices(names())] = "contrast",
    steps: Annotated[int, Range(2, 101)] = 21,
    start: str = "",
    stop: str = "",
    second: Annotated[str, Choices(("none", *names()))] = "none",
    second_steps: Annotated[int, Range(2, 101)] = 13,
    images: Literal["in hand", "folder"] = "in hand",
    max_images: Annotated[int, Range(1, 5000)] = 128,
) -> Outcome[SweepAnswer]:
    """What the model says while one thing, or two, about the images changes step by step.

    What the network receives is corrupted, after all preprocessing up to [0, 1].

    Args:
        context: Gives the images, and the target class.
        axis: What changes.
        steps: In how many steps; the number that leaves images alone is added.
        start: First number of the axis; empty takes the usual one.
        stop: Last number of the axis; empty takes the usual one.
        second: What changes besides, after the first; every step of the one with every step of
            the other.
        second_steps: In how many steps the second changes.
        images: Those in hand, each described by itself, or as many of the folder's together.
        max_images: How many of the folder's images at most, drawn at random.

    Raises:
        OptionError: When an end lies outside its axis, or both axes are the same.
        InputError: When no image can be read.
    """
    axes = [sweep_axis(axis, steps, start, stop)]
    if second == axis:
        raise OptionError(f"Both axes are {axis}; choose another for the second.")
    if second != "none":
        axes.append(sweep_axis(second, second_steps, "", ""))
    if images == "folder":
        samples = context.shuffled(context.in_distribution())[:max_images]
        return Sweep(context, axes, samples, describe_each=False).run()
    return Sweep(context, axes, context.samples(), describe_each=True).run()
