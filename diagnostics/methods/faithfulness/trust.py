"""Can this map be trusted?"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from numpy.typing import NDArray

from diagnostics.errors import InputError, OptionError
from diagnostics.methods.context import Context, Outcome, report_passes
from diagnostics.methods.faithfulness._evaluation import (
    EvaluatedImage,
    EvaluationRequest,
    Evaluator,
)
from diagnostics.methods.faithfulness._verdict import criteria, verdict
from diagnostics.methods.registry import method as registered
from diagnostics.schema.options import Range
from diagnostics.schema.results.faithfulness import TrustAnswer, TrustEntry


@registered(
    "Can this map be trusted?",
    source="Adebayo et al. 2018, arXiv:1810.03292; insertion and deletion: Petsiuk et al. 2018",
)
def trust(
    context: Context,
    *,
    method: str = "attribution/gradient",
    against: str = "",
    copies: Annotated[int, Range(1, 10)] = 3,
    random_maps: Annotated[int, Range(4, 100)] = 8,
) -> Outcome[TrustAnswer]:
    """Whether a map is of a trained model, follows its weights, and ranks places beyond chance.

    Args:
        context: Gives the images in hand, and the class that is meant.
        method: What makes the map, "attribution/name?option=value".
        against: Index of a class whose logit is subtracted, -1 for the strongest other one.
        copies: How many random networks of each kind the map is compared with.
        random_maps: How many maps of noise its insertion and deletion are compared with, beside
            those of random networks and of other images, a blob in the middle and edges.

    Returns:
        For each image the verdict, what speaks for its map and against it, and every figure behind
        that: see `TrustAnswer`, which names the arrays of maps and curves as well.

    Raises:
        InputError: When no image can be read.
        NotOfferedError: When the method is wrong for this model; the text says why.
    """
    classifier, spec = context.classifier, context.classifier.spec
    request = EvaluationRequest.read(method, against, copies, random_maps, context.seed, spec)
    if context.target is not None and not 0 <= context.target < len(spec.class_names):
        raise OptionError(f"There is no class {context.target}.")
    batches = list(context.batches(context.samples()))
    if not batches:
        raise InputError(" ".join(["No image could be read.", *context.remarks()]))
    files = [name for batch in batches for name in batch.names]
    pixels = torch.cat([batch.pixels for batch in batches])
    total = sum(request.forward_passes(spec, len(files))) * len(files)
    count = report_passes(context.progress, f"Examining {request.method.info.title}", total)
    classifier.expect(total)
    with torch.no_grad():
        logits = torch.cat([classifier.logits(batch.pixels) for batch in batches])
    usable = [row for row, values in enumerate(logits) if bool(values.isfinite().all())]
    targets = [
        int(values.nan_to_num().argmax()) if context.target is None else context.target
        for values in logits
    ]
    evaluator = Evaluator(
        classifier, request, pixels[usable], [targets[row] for row in usable], count
    )
    images: list[TrustEntry] = []
    arrays: dict[str, NDArray[Any]] = {}

    def outcome() -> Outcome[TrustAnswer]:
        answer = TrustAnswer(
            method=method,
            title=request.method.info.title,
            images=list(images),
            complete=len(images) == len(files),
            notes=context.remarks(),
        )
        return Outcome(answer, dict(arrays))

    for number, file in enumerate(files):
        evaluated = EvaluatedImage("The logits are not finite numbers.")
        if number in usable:
            evaluated = evaluator.evaluate(usable.index(number))
        for name, values in evaluated.arrays.items():
            arrays[f"{number}/{name}"] = values.float().cpu().numpy()
        target = targets[number]
        images.append(_entry(file, target, spec.class_names[target], evaluated))
        context.partial(outcome)
    return outcome()


def _entry(file: str, target: int, class_name: str, evaluated: EvaluatedImage) -> TrustEntry:
    judged = criteria(evaluated.note, evaluated.evaluation)
    return TrustEntry(
        file=file,
        target=target,
        class_name=class_name,
        verdict=verdict(judged),
        criteria=judged,
        note=evaluated.note,
        signed=evaluated.signed,
        evaluation=evaluated.evaluation,
    )
