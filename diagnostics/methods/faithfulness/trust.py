"""Can this map be trusted?"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import torch

from diagnostics.errors import InputError, OptionError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.faithfulness._evaluation import Asked, Examination, counting, target_of
from diagnostics.methods.faithfulness._verdict import verdict
from diagnostics.methods.registry import method as registered
from diagnostics.schema.options import Range


@registered(
    "Can this map be trusted?",
    source="Adebayo et al. 2018, arXiv:1810.03292; insertion and deletion: Petsiuk et al. 2018",
)
def trust(
    context: Context,
    *,
    method: str = "attribution/gradient",
    against: str = "",
    copies: Annotated[int, Range(1, 10)] = 2,
    random_maps: Annotated[int, Range(4, 100)] = 12,
) -> Outcome[Any]:
    """Whether a map follows the model's weights, and ranks places better than chance.

    Args:
        context: Gives the images in hand, and the class that is meant.
        method: What makes the map, "attribution/name?option=value".
        against: Index of a class whose logit is subtracted, -1 for the strongest other one.
        copies: How many random networks of each kind the map is compared with.
        random_maps: How many random maps its insertion and deletion are compared with.

    Returns:
        For each image "verdict", "criteria" with their reasons, and every figure behind them: see
        `trusting.verdict`. Arrays of maps and curves, by the number of the image.

    Raises:
        InputError: When no image can be read.
        NotOfferedError: When the method is wrong for this model; the text says why.
    """
    classifier, spec = context.classifier, context.classifier.spec
    asked = Asked.written(method, against, copies, random_maps, context.seed, spec)
    if context.target is not None and not 0 <= context.target < len(spec.class_names):
        raise OptionError(f"There is no class {context.target}.")
    parts = list(context.batches(context.samples()))
    if not parts:
        raise InputError(" ".join(["No image could be read.", *context.remarks()]))
    names, pixels = [name for part in parts for name in part.names], [one.pixels for one in parts]
    total = sum(asked.passes(spec)) * len(names)
    count = counting(context.progress, f"Examining {asked.method.info.title}", total)
    examination = Examination(classifier, asked, pixels[0][:8], count)
    arrays: dict[str, Any] = {}
    images: list[dict[str, Any]] = []
    scores = {"method": method, "title": asked.method.info.title, "images": images}
    for number, image in enumerate(torch.split(torch.cat(pixels), 1)):
        with torch.no_grad():
            logits = classifier.logits(image)[0]
        target = target_of(logits.tolist(), context.target)
        found: dict[str, Any] = {"note": "The logits are not finite numbers."}
        if bool(logits.isfinite().all()):
            found = examination.examine(image, target)
            for name, values in examination.arrays.items():
                arrays[f"{number}/{name}"] = values.float().cpu().numpy()
        named = {"file": names[number], "target": target, "class": spec.class_names[target]}
        images.append({**named, **verdict(found), **found})
        complete = number + 1 == len(names)
        outcome = Outcome(
            {**scores, "complete": complete, "notes": context.remarks()}, dict(arrays)
        )
        context.partial(partial(Outcome, outcome.scores, outcome.arrays))
    return outcome
