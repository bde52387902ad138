"""Turn one knob, or two, and see where the answer breaks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from diagnostics.corruptions.registry import Name
from diagnostics.errors import OptionError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.corruption._sweep import Sweep, way
from diagnostics.methods.registry import method
from diagnostics.schema.options import Range


@method("Sweep", source="Hendrycks & Dietterich 2019, arXiv:1903.12261; their constants")
def sweep(
    context: Context,
    *,
    axis: Name = "contrast",
    steps: Annotated[int, Range(2, 101)] = 21,
    start: str = "",
    stop: str = "",
    second: Literal["none", Name] = "none",
    second_steps: Annotated[int, Range(2, 101)] = 13,
    images: Literal["in hand", "folder"] = "in hand",
    most: Annotated[int, Range(1, 5000)] = 128,
) -> Outcome[Any]:
    """What the model says while one thing, or two, about the images changes step by step.

    What the network receives is altered, after all preprocessing up to [0, 1].

    Args:
        context: Gives the images, and the class meant.
        axis: What changes.
        steps: In how many steps; the number that leaves images alone is added.
        start: First number of the axis; empty takes the usual one.
        stop: Last number of the axis; empty takes the usual one.
        second: What changes besides, after the first; every step of the one with every step of
            the other.
        second_steps: In how many steps the second changes.
        images: Those in hand, each described by itself, or as many of the folder's together.
        most: How many of the folder's images at most, drawn at random.

    Returns:
        Each image's ranking at every step, the curves of the classes ever first, and where the
        first one changes; for one axis also bands over all images; 8-bit pictures of at most 24
        steps in the arrays "image/ROW/step/NUMBER".

    Raises:
        OptionError: When an end lies outside its axis, or both axes are the same.
        InputError: When no image can be read.
    """
    ways = [way(axis, steps, start, stop)]
    if second == axis:
        raise OptionError(f"Both axes are {axis}; choose another for the second.")
    if second != "none":
        ways.append(way(second, second_steps, "", ""))
    of_folder = images == "folder"
    pictures = (
        context.shuffled(context.in_distribution())[:most] if of_folder else context.samples()
    )
    return Sweep(context, ways, pictures, each=not of_folder).run()
