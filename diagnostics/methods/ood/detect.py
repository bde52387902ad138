"""Is an image out of distribution?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from torch import Tensor

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.ood._shift import distribution_shift
from diagnostics.methods.ood.detector import OODDetector
from diagnostics.methods.ood.fit_reference import find_reference
from diagnostics.methods.preprocessing.preprocessing import check_preprocessing
from diagnostics.methods.registry import method
from diagnostics.metrics.false_discovery import discoveries
from diagnostics.metrics.predictions import rank
from diagnostics.schema.options import Range
from diagnostics.schema.results.ood import DetectionAnswer, Discoveries, RankedClass, ScoredImage
from diagnostics.schema.spec import ModelSpec

TOP = 3


@method(
    "Strangeness",
    source="Conformal p-value: Vovk et al. 2005; Bates et al. 2023, arXiv:2104.08279",
)
def detect(
    context: Context, *, alpha: Annotated[float, Range(0.001, 0.5)] = 0.05, examined: bool = True
) -> Outcome[DetectionAnswer]:
    """How many known-good images are less strange than this one, by every score.

    The preprocessing is examined first: with a wrong input scale the scores that need no images
    are upside down.

    Args:
        context: Gives the images and, for places among in-distribution ones, the reference or the
            folder to measure it on.
        alpha: Share of known-good images that may be flagged; of many images, also the share of
            those named strange together that may be good ones.
        examined: Whether the preprocessing is examined; not where it was asked for by itself.

    Returns:
        Whether the preprocessing is right, whether the images reach the network as the
        in-distribution ones did, the scores there are and those left out with their reasons, and
        each image's value, percentile and flag by every score; the scores of the calibration
        images, sorted, in the arrays "in_distribution/NAME".
    """
    spec, reference = context.classifier.spec, find_reference(context)
    preprocessing = check_preprocessing(context) if examined else None
    detector = OODDetector(spec, reference)
    names, _, outputs = context.features(context.samples(), "Scoring the images")
    values = {name: detector.score(name, outputs) for name in detector.names}
    images = []
    for row, name in enumerate(names):
        placements = {
            f"ood/{score}": detector.place(score, float(scores[row]), alpha)
            for score, scores in values.items()
        }
        default = placements.get(f"ood/{detector.default}")
        images.append(
            ScoredImage(
                file=name,
                top=_top(outputs.logits[row], spec),
                scores=placements,
                flagged=default["flagged"] if default else None,
            )
        )
    answer = DetectionAnswer(
        **detector.overview(alpha),
        preprocessing=preprocessing,
        reference=reference.about if reference else None,
        distribution_shift=distribution_shift(reference, names, outputs) if reference else None,
        false_alarms=detector.false_alarms(alpha),
        discoveries=_discoveries(images, detector, alpha),
        images=images,
        notes=context.remarks(),
    )
    arrays = {
        f"in_distribution/{name}": scores[np.isfinite(scores)]
        for name, scores in detector.calibration_scores.items()
    }
    if reference:
        arrays["smallest_p_values"] = detector.smallest_p_values
    return Outcome(answer, arrays)


def _discoveries(
    images: Sequence[ScoredImage], detector: OODDetector, alpha: float
) -> Discoveries | None:
    """Return which images are strange together by the default score."""
    if detector.reference is None or not detector.default:
        return None
    p_values = [image["scores"][f"ood/{detector.default}"]["p_value"] for image in images]
    calibrating = len(detector.reference.calibration.labels)
    return discoveries([image["file"] for image in images], p_values, calibrating, alpha)


def _top(logits: Tensor, spec: ModelSpec) -> list[RankedClass]:
    return [
        RankedClass(
            {
                "class": prediction.name,
                "index": prediction.index,
                "probability": prediction.probability,
                "one_minus_p": prediction.one_minus_p,
                "logit": prediction.logit,
            }
        )
        for prediction in rank(logits.double().numpy(), spec, TOP)
    ]
