"""What do random changes of an image do to its answer?"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.perturbation._label_change import Flips, each
from diagnostics.methods.perturbation._random_noise import Beside
from diagnostics.methods.registry import method
from diagnostics.schema.options import Range


@method(
    "Random changes",
    source="Fawzi et al. 2016, arXiv:1608.08967; Ford et al. 2019, arXiv:1901.10513",
)
def random_noise(
    context: Context,
    *,
    length: Annotated[float, Range(0, 10_000)] = 0.0,
    rays: Annotated[int, Range(4, 8192, "rays")] = 24,
    draws: Annotated[int, Range(32, 131_072, "draws")] = 256,
) -> Outcome[Any]:
    """How far random noise must go before it changes the answer, beside the smallest change.

    Args:
        context: Gives the images in hand, and the class that counts as changed; without one, every
            other class does.
        length: L2 length of the smallest change that is known, in units of the value range; 0 when
            none is.
        rays: How many random lines through each image are followed, both ways.
        draws: How many random changes of that length, and how much Gaussian noise.

    Returns:
        For each image what was found, see `Beside.parts`, with "file", "sha256", what it is "said"
        to be and how many images were "asked"; "complete" says whether all was done.
    """
    images: list[dict[str, Any]] = []
    settings = {"length": length, "target": context.target}

    def outcome(complete: bool, *more: dict[str, Any]) -> Outcome[Any]:
        found = {"images": [*images, *more], **settings, "complete": complete}
        return Outcome({**found, "notes": context.remarks()})

    for place, file, pixels in each(context):
        entry: dict[str, Any] = {"file": file.name, "sha256": file.sha256}
        if pixels is None:
            images.append({**entry, "error": f"{file.name} could not be read."})
            continue

        def tell(doing: str, done: float, place: int = place) -> None:
            context.progress(doing, (place + done) / len(context.files))

        flips = Flips(context.classifier, pixels, context.target)
        entry |= {"said": flips.said, "name": flips.name}
        for part in Beside(context, flips, length, rays, draws, tell).parts():
            entry |= {**part, "asked": flips.asked}
            context.partial(partial(outcome, False, dict(entry)))
        images.append(entry)
    return outcome(True)
