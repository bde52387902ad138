"""Why is the model so sure, and should it be? One verdict per image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome, Sample
from diagnostics.methods.diagnosis import (
    _head,
    _neighbours,
    _outputs,
    _reliance,
    _search,
    _stability,
    _strangeness,
    _transplant,
)
from diagnostics.methods.diagnosis._case import ImageCase, ModelCase, count, image_case, model_case
from diagnostics.methods.diagnosis._model_cause import ModelCause
from diagnostics.methods.diagnosis._model_causes import remembered_causes
from diagnostics.methods.diagnosis._settle import settle
from diagnostics.methods.registry import method
from diagnostics.metrics.accuracy import chance
from diagnostics.metrics.predictions import probabilities
from diagnostics.schema.results.diagnosis import (
    Cost,
    Finding,
    ImageVerdict,
    ModelVerdict,
    WhyAnswer,
)
from diagnostics.verdict.causes import BY_ID
from diagnostics.verdict.decide import Situation, decide, ranked, tried


@dataclass
class _Answer:
    """What is known so far."""

    model: ModelCase
    causes: Sequence[ModelCause]
    remembered: int
    images: list[ImageVerdict] = field(default_factory=list)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    def outcome(self, closer: Cost | None = None) -> Outcome[WhyAnswer]:
        """Return it as the answer."""
        answer = WhyAnswer(
            images=list(self.images),
            diagnosis=_diagnosis(self.model, self.causes),
            passes=self.model.network.passes,
            remembered=self.remembered,
            closer=closer,
            notes=self.model.context.remarks(),
        )
        return Outcome(answer, dict(self.arrays))


@method(
    "Why so sure?",
    source="Necessity and sufficiency of a cause: Pearl 2000, Causality, chapter 9; with the same "
    "intervention on good images as placebo",
)
def why(context: Context, *, closer: bool = False) -> Outcome[WhyAnswer]:
    """Whether each answer should be trusted, what explains it, and the intervention that shows it.

    What is measured of the model and of the good images is measured once and remembered.

    Args:
        context: Gives the images and, for what good images show, the folder or the reference.
        closer: Remove and transplant every region, and not only those that a gradient proposes;
            small networks are always looked at so.

    Returns:
        A verdict for each image with its causes, and what is wrong with the model.
    """
    known_before = "known" in context.memory
    model = model_case(context)
    answer = _Answer(model, remembered_causes(model), model.memory["passes"] * known_before)
    if not known_before:
        model.memory["passes"] += model.network.passes
        model.network.passes = model.memory["passes"]
    closer = closer or model.is_quick
    samples = context.samples()
    for row, sample in enumerate(samples):
        model.network.expect(
            f"Asking why of {sample.name}",
            _search.expected_passes(model.spec) if closer else CHEAP_PASSES,
            row / len(samples),
            1 / len(samples),
        )
        answer.images.append(_verdict(answer, row, sample, closer=closer))
        context.partial(answer.outcome)
    return answer.outcome(None if closer else _cost_of_closer(model, len(samples)))


CHEAP_PASSES = 60


def _cost_of_closer(model: ModelCase, images: int) -> Cost | None:
    """Return what looking closer usually costs, or None where there is nothing to compare with.

    Where a region is found, parts of good images are searched once as its placebo, at that cost
    again for each of them.
    """
    if not model.has_examples or not images:
        return None
    passes = images * _search.expected_passes(model.spec)
    return Cost(passes=passes, seconds=passes * model.network.seconds_per_pass)


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
        tried=[tried(one) for one in findings if not one["holds"]],
        n=len(known.labels) if known else 0,
        right=count(known.right) if known is not None and labelled else None,
        sentence=sentence,
    )


def _verdict(answer: _Answer, row: int, sample: Sample, *, closer: bool) -> ImageVerdict:
    try:
        image = image_case(answer.model, row, sample)
    except InputError as error:
        return _unreadable(sample, error.message)
    findings = _findings(image, answer.causes, closer=closer)
    decision = decide(findings, _situation(image, findings, closer=closer))
    independent = image.model.spec.output.independent
    p, one_minus_p = probabilities(image.logits, independent=independent)
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
        unasked=_unasked(image.model, closer=closer),
        needs=decision.needs,
        neighbours=_neighbours.shown(image),
    )
    answer.arrays |= image.arrays
    return verdict


def _findings(image: ImageCase, causes: Sequence[ModelCause], *, closer: bool) -> list[Finding]:
    """Return what every intervention did, as far as the search goes."""
    findings = [cause.on(image) for cause in causes]
    if any(one["holds"] and BY_ID[one["id"]].ends for one in findings):
        return findings
    findings += _stability.find(image)
    findings += _transplant.find(image, closer=closer)
    findings += _reliance.find(image)
    settle(image, findings)
    return findings + _strangeness.find(image) + _head.find_overlap(image)


def _situation(image: ImageCase, findings: Sequence[Finding], *, closer: bool) -> Situation:
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
        competent=known is not None and known.accuracy > chance(classes),
        nearest=len(near),
        agreeing=int((near == image.index).sum()),
        strangest=strangest,
        noise=_outputs.share_of_noise(image),
        closer=closer,
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
    if not closer and model.has_examples:
        unasked.append(
            "Only the regions that a gradient proposes were removed; look closer."
            if model.gradients
            else "No gradient proposes regions of this network, so none were removed; look closer."
        )
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
