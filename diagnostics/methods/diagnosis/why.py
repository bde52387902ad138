"""Why is the model so sure, and should it be? One verdict per image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diagnostics.data.image import decode
from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome, Sample
from diagnostics.methods.diagnosis import (
    _head,
    _neighbours,
    _outputs,
    _recipe,
    _reliance,
    _stability,
    _strangeness,
    _transplant,
)
from diagnostics.methods.diagnosis._case import (
    ImageCase,
    Known,
    ModelCase,
    Network,
    count,
)
from diagnostics.methods.diagnosis._model_cause import ModelCause
from diagnostics.methods.diagnosis._settle import settle
from diagnostics.methods.ood.fit_reference import find_reference
from diagnostics.methods.registry import method
from diagnostics.metrics.predictions import probabilities
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.schema.results.diagnosis import (
    Cost,
    Finding,
    ImageVerdict,
    ModelVerdict,
    WhyAnswer,
)
from diagnostics.verdict.causes import BY_ID
from diagnostics.verdict.decide import Situation, decide, ranked

SOURCE = (
    "Necessity and sufficiency of a cause: Pearl 2000, Causality, chapter 9; with the same "
    "intervention on good images as placebo"
)
MENDS_BETTER = 0.03  # of accuracy, by which a later cause must mend more to be named before
MENDING = (
    "classes.order",
    "head.bias",
    "head.dead_class",
    "preprocessing.scale",
    "preprocessing.normalisation",
    "preprocessing.channels",
    "preprocessing.polarity",
    "preprocessing.geometry",
    "model.batchnorm",
)


PREPARED = tuple(cause for cause in MENDING if cause.startswith("preprocessing."))


@dataclass
class _Answer:
    """What is known so far."""

    model: ModelCase
    causes: list[ModelCause] = field(default_factory=list)
    images: list[ImageVerdict] = field(default_factory=list)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    remembered: int = 0

    def outcome(self, closer: Cost | None) -> Outcome[WhyAnswer]:
        answer = WhyAnswer(
            images=list(self.images),
            diagnosis=_diagnosis(self.model, self.causes),
            passes=self.model.network.passes,
            remembered=self.remembered,
            closer=closer,
            notes=self.model.context.remarks(),
        )
        return Outcome(answer, dict(self.arrays))


@method("Why so sure?", source=SOURCE)
def why(context: Context, *, closer: bool = False) -> Outcome[WhyAnswer]:
    """Whether each answer should be trusted, what explains it, and the intervention that shows it.

    Args:
        context: Gives the images and, for what good images show, the folder or the reference.
        closer: Remove and transplant every region, and not only those that a gradient proposes.

    Returns:
        A verdict for each image with its causes, and what is wrong with the model.
    """
    model = model_case(context)
    answer = _Answer(model)
    answer.causes = model_causes(model)
    samples = context.samples()
    for row, sample in enumerate(samples):
        context.progress(f"Asking why of {sample.name}", row / max(len(samples), 1))
        verdict, arrays = _image(model, answer.causes, row, sample, closer=closer)
        answer.images.append(verdict)
        answer.arrays |= arrays
        context.partial(lambda: answer.outcome(None))
    return answer.outcome(None)


def model_case(context: Context) -> ModelCase:
    """Return the model with the good images that it knows."""
    try:
        reference = find_reference(context)
    except InputError as error:  # too few, or none that can be read: then nothing is known
        context.notes.append(error.message)
        reference = None
    network = Network(context)
    known = None if reference is None else Known(reference, network.spec)
    return ModelCase(context, network, known)


def model_causes(model: ModelCase) -> list[ModelCause]:
    """Return what was found of the model, in the order of the causes."""
    found = _outputs.find(model)
    if any(one.finding["holds"] for one in found if BY_ID[one.finding["id"]].ends):
        return found
    known = model.known
    if known is None or not known.is_labelled:
        return found
    found += [_head.find_order(model), *_head.find_offset(model), *_recipe.find(model)]
    found = _best_mended(found)
    if not any(one.finding["holds"] and one.finding["id"] in MENDING for one in found):
        found.append(_outputs.find_random(model))
    found.append(_head.find_sharpness(model))
    return found


def _best_mended(causes: Sequence[ModelCause]) -> list[ModelCause]:
    """Let go of causes that mend clearly less than another that holds."""
    best = max(
        (
            one.after
            for one in causes
            if one.finding["holds"] and one.after is not None and one.finding["id"] in MENDING
        ),
        default=0.0,
    )
    best_prepared = max(
        (
            one.after + MENDS_BETTER
            for one in causes
            if one.finding["holds"] and one.after is not None and one.finding["id"] in PREPARED
        ),
        default=best - MENDS_BETTER,
    )
    of_head = any(
        one.finding["holds"]
        and one.finding["id"].startswith("head.")
        and (one.after or 0) >= best - MENDS_BETTER
        for one in causes
    )
    for one in causes:
        found = one.finding
        if found["holds"] and found["id"] in PREPARED and of_head:
            found["holds"] = False
            found["why_not"] = "An offset of one class in the last layer mends as much."
        if not found["holds"] or found["id"] not in MENDING or one.after is None:
            continue
        least = best_prepared if found["id"] == "classes.order" else best - MENDS_BETTER
        if one.after < least:
            found["holds"] = False
            found["why_not"] = (
                f"It mends the answers up to {100 * one.after:.0f} % right, something else up to "
                f"{100 * best:.0f} %."
            )
    return list(causes)


def _diagnosis(model: ModelCase, causes: Sequence[ModelCause]) -> ModelVerdict:
    findings = [one.finding for one in causes]
    holding = ranked([one for one in findings if one["holds"]])
    known = model.known
    labelled = known is not None and known.is_labelled
    sentence = "Nothing was found that is wrong with the model whatever the image."
    if holding:
        first = holding[0]["sentence"]
        sentence = f"{first[:1].upper()}{first[1:]}."
    elif not labelled:
        sentence = "Without labelled good images only its outputs were looked at."
    return ModelVerdict(
        causes=holding,
        tried=[
            {
                "id": one["id"],
                "title": BY_ID[one["id"]].title,
                "p_after": None,
                "why_not": one["why_not"],
            }
            for one in findings
            if not one["holds"]
        ],
        n=len(known.labels) if known else 0,
        right=count(known.right) if known is not None and labelled else None,
        sentence=sentence,
    )


def _image(
    model: ModelCase, causes: Sequence[ModelCause], row: int, sample: Sample, *, closer: bool
) -> tuple[ImageVerdict, dict[str, NDArray[np.uint8]]]:
    try:
        pixels = Pipeline(model.context.preprocessing).run(decode(sample.read(), sample.name))
    except InputError as error:
        return _unreadable(sample, error.message), {}
    tensor = torch.from_numpy(pixels).to(model.network.classifier.device)
    outputs = model.network.features(tensor[None])
    logits = outputs.logits[0].double().numpy()
    if not np.isfinite(logits).all():
        return _unreadable(sample, f"{sample.name}: the model's numbers are not finite."), {}
    image = ImageCase(model, row, sample.name, tensor, outputs, logits, sample.read)
    image.picture("image", tensor, logits, "the image")
    findings = [cause.on(image) for cause in causes]
    ended = any(one["holds"] and BY_ID[one["id"]].ends for one in findings)
    if not ended:
        findings += _stability.find(image)
        findings += _transplant.find(image, closer=closer)
        findings += _reliance.find(image)
        settle(image, findings)
        findings += _strangeness.find(image) + _head.find_overlap(image)
    decision = decide(findings, _situation(image, findings))
    p, one_minus_p = probabilities(logits, independent=model.spec.output.independent)
    verdict = ImageVerdict(
        file=sample.name,
        error=None,
        verdict=decision.verdict,
        said=image.said,
        index=image.index,
        p=float(p[image.index]),
        one_minus_p=float(one_minus_p[image.index]),
        sentence=decision.sentence,
        causes=decision.causes,
        tried=decision.tried,
        unasked=_unasked(model, closer=closer),
        needs=decision.needs,
        neighbours=_neighbours.shown(image),
    )
    return verdict, image.arrays


def _situation(image: ImageCase, findings: Sequence[Finding]) -> Situation:
    known = image.model.known
    classes = len(image.model.spec.class_names)
    near = _neighbours.nearest_classes(image)
    p, one_minus_p = probabilities(image.logits, independent=image.model.spec.output.independent)
    strangest = None
    for one in findings:
        if one["id"] == "image.out_of_distribution":
            strangest = 1 - one["confidence"]
    return Situation(
        said=image.said,
        p=float(p[image.index]),
        one_minus_p=float(one_minus_p[image.index]),
        good=len(known.every_logits) if known else 0,
        labelled=len(known.labels) if known else 0,
        competent=known is not None and known.accuracy > _outputs.chance(classes),
        nearest=len(near),
        agreeing=int((near == image.index).sum()),
        strangest=strangest,
    )


def _unasked(model: ModelCase, *, closer: bool) -> list[str]:
    """Return what could not be asked, a sentence each."""
    unasked = []
    known = model.known
    if known is None:
        unasked.append(
            "Without known-good images nothing could be taken from this image and given to others."
        )
    elif known.reference.examples is None:
        unasked.append(
            "The reference was built before references carried images, so nothing could be given "
            "to other images; build it again."
        )
    if known is not None and not known.is_labelled:
        unasked.append(
            "Without labels the order of the classes, offsets of the last layer, the "
            "preprocessing, BatchNorm and confusions of two classes were not asked."
        )
    if not closer and known is not None:
        unasked.append("Only the regions that a gradient proposes were removed; look closer.")
    return unasked


def _unreadable(sample: Sample, message: str) -> ImageVerdict:
    return ImageVerdict(
        file=sample.name,
        error=message,
        verdict="cannot_tell",
        said="",
        index=-1,
        p=0.0,
        one_minus_p=1.0,
        sentence=message,
        causes=[],
        tried=[],
        unasked=[],
        needs="",
        neighbours=[],
    )
