"""Is an image strange?"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.ood._shift import likeness
from diagnostics.methods.ood.detector import OODDetector
from diagnostics.methods.preprocessing.check import examine
from diagnostics.methods.registry import method
from diagnostics.metrics.predictions import rank
from diagnostics.schema.options import Range

TOP = 3


@method(
    "Strangeness",
    source="Conformal p-value: Vovk et al. 2005; Bates et al. 2023, arXiv:2104.08279",
)
def detect(
    context: Context, *, alpha: Annotated[float, Range(0.001, 0.5)] = 0.05, examined: bool = True
) -> Outcome[Any]:
    """How many known-good images are less strange than this one, by every score.

    The preprocessing is examined first: with a wrong input scale the scores that need no images
    are upside down.

    Args:
        context: Gives the images in hand and, for places among known ones, the reference.
        alpha: Share of known-good images that may be flagged.
        examined: Whether the preprocessing is examined; not where it was asked for by itself.

    Returns:
        What was found of the preprocessing, whether the images reach the network as the known-good
        ones did, the scores there are and those left out with their
        reasons, and each image's value, percentile and flag by every score; the scores of the
        known-good images, sorted, in the arrays "good/NAME".
    """
    found = examine(context) if examined else None
    judge = OODDetector(context.classifier.spec, context.reference)
    names, _, seen = context.features(context.samples(), "Scoring the images")
    values = {name: judge.score(name, seen) for name in judge.names}
    images: list[dict[str, Any]] = []
    for row, name in enumerate(names):
        logits = seen.logits[row].double().numpy()
        top = rank(logits, context.classifier.spec, TOP)
        scores = {
            f"ood/{one}": judge.placed(one, float(values[one][row]), alpha) for one in judge.names
        }
        own = scores.get(f"ood/{judge.default}", {})
        images.append(
            {
                "file": name,
                "top": [{"class": one.name, **_said(vars(one))} for one in top],
                "scores": scores,
                "strange": own.get("flagged"),
            }
        )
    about = context.reference.about if context.reference else None
    return Outcome(
        {
            "preprocessing": found,
            "reference": about and dict(about),
            "likeness": context.reference and likeness(context.reference, names, seen),
            "false_alarms": judge.promise(alpha),
            **judge.described(alpha),
            "images": images,
            "notes": context.remarks(),
        },
        {f"good/{name}": known[np.isfinite(known)] for name, known in judge.calibrated.items()},
    )


def _said(score: dict[str, Any]) -> dict[str, Any]:
    return {name: score[name] for name in ("index", "probability", "one_minus_p", "logit")}
