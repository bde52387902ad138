"""Evolve pictures of every class at once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.fooling._archive import Record, meant
from diagnostics.methods.fooling._elites import evolve
from diagnostics.methods.registry import method
from diagnostics.schema.options import Range


@method("Evolution", source="MAP-Elites, Nguyen, Yosinski & Clune 2015, arXiv:1412.1897")
def map_elites(
    context: Context,
    *,
    encoding: Literal["direct", "cppn"] = "direct",
    targets: str = "",
    generations: Annotated[int, Range(1, 5000)] = 200,
    children: Annotated[int, Range(2, 1000)] = 200,
    seconds: Annotated[int, Range(0, 86400, "s")] = 120,
) -> Outcome[Any]:
    """Pictures that grow by chance and by what the model is surest of; no gradient is needed.

    Every picture competes in all classes, and the surest of each has children, also those of the
    classes that are not meant: a picture on its way to one class may be a step to another.

    Args:
        context: Gives model, seed and, where no classes are named, the class that is meant.
        encoding: direct changes every pixel by itself; cppn changes a small network that paints.
        targets: Indices of the classes that are shown, separated by commas; empty means the class
            that is explained, or all.
        generations: How many at most.
        children: Pictures of a generation.
        seconds: No generation begins later; 0 sets no limit. It decides how far the work gets,
            never what a generation is.

    Returns:
        For each class the surest picture, its probability, and the generation at which it was
        above one half, .99, .999 and .9999.

    Raises:
        InputError: When the model has one class only.
        OptionError: When a class is none of the model's.
    """
    chosen = meant(targets, context)
    way = f"evolution, {encoding}"
    record = Record(context, chosen, way=way, unit="generation", asked=generations)
    evolve(record, encoding, generations=generations, children=children, seconds=seconds)
    return record.outcome(complete=record.done == generations)
