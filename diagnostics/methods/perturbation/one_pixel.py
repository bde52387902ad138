"""Which single pixels can change the answer, and do they act alone?"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.perturbation._label_change import Flips, each, why_not
from diagnostics.methods.perturbation._one_pixel import OnePixel
from diagnostics.methods.registry import method
from diagnostics.schema.options import Range


@method("One pixel", source="Su, Vargas & Sakurai 2019, arXiv:1710.08864, made a map of all levels")
def one_pixel(
    context: Context,
    *,
    levels: Annotated[int, Range(2, 64, "levels")] = 8,
    sample: Annotated[int, Range(16, 50_176, "pixels")] = 500,
    draws: Annotated[int, Range(16, 4096, "draws")] = 128,
) -> Outcome[Any]:
    """Which share of a single pixel's values changes the answer, pixel by pixel.

    Args:
        context: Gives the images in hand, and the class that counts as changed; without one, every
            other class does.
        levels: To how many values, evenly from 0 to 1, each pixel is set; all channels together.
        sample: How many pixels are tried of an image of more than 1,024; smaller ones are tried
            whole.
        draws: How many times pixels are given random levels together.

    Returns:
        For each image what was found, see `OnePixel.found`, with "file", "sha256", what it is
        "said" to be and how many images were "asked"; the arrays "0/map", shape (h, w), NaN where
        no pixel was tried, "0/taken", see `OnePixel.taken`, and "0/image", what the network
        receives, shape (h, w, c); "complete" says whether all was done.
    """
    images: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[Any]] = {}

    def outcome(complete: bool, *more: dict[str, Any]) -> Outcome[Any]:
        found = {"images": [*images, *more], "target": context.target, "complete": complete}
        return Outcome({**found, "notes": context.remarks()}, dict(arrays))

    for place, file, pixels in each(context):
        entry: dict[str, Any] = {"file": file.name, "sha256": file.sha256, "error": None}
        if pixels is None:
            images.append({**entry, "error": f"{file.name} could not be read."})
            continue

        def tell(doing: str, done: float, place: int = place) -> None:
            context.progress(doing, (place + done) / len(context.files))

        flips = Flips(context.classifier, pixels, context.target)
        entry |= {"said": flips.said, "name": flips.name, "error": why_not(flips) or None}
        asked = OnePixel(context, flips, levels, sample, draws, tell)
        arrays[f"{place}/image"] = np.moveaxis(pixels[0].cpu().numpy(), 0, 2)
        if not entry["error"]:
            for _ in asked.sweep():
                arrays |= {f"{place}/map": asked.map, f"{place}/taken": asked.taken}
                context.partial(partial(outcome, False, {**entry, **asked.found([])}))
            for redrawn in asked.redraw():
                entry |= {**asked.found(redrawn), "asked": flips.asked}
                context.partial(partial(outcome, False, entry))
            arrays |= {f"{place}/map": asked.map, f"{place}/taken": asked.taken}
        images.append(entry)
    return outcome(True)
