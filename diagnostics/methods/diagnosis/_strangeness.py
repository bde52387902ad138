"""Is the image unlike every good one: in its features, behind the first layer, in its pixels?"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from diagnostics.methods.diagnosis._case import (
    Floats,
    ImageCase,
    ModelCase,
    distances,
    effect,
    finding,
)
from diagnostics.methods.diagnosis._neighbours import nearest_classes
from diagnostics.methods.ood.detector import OODDetector
from diagnostics.models.features import Features
from diagnostics.schema.results.diagnosis import Finding

EVIDENCE = 10.0  # summed −ln p, from which on an image is unlike the good ones
RARE = 0.02  # p-value of the combined score, from which on likewise
RAREST = 0.01  # likewise, of the features alone
RARE_AMONG, AGREEING = 0.03, 0.9  # likewise, where its nearest good images are of several classes
SURE = 0.8  # below which the combined score, which reads doubt too, says nothing of its own
MIN_GOOD = 10  # held out, below which no p-value says anything


def find(image: ImageCase) -> list[Finding]:
    """Return whether the image is unlike the good ones."""
    model = image.model
    if model.known is None or len(model.known.reference.calibration.labels) < MIN_GOOD:
        return []
    p_values = places(image)
    total = -sum(math.log(p) for name, p in p_values.items() if name != "combined")
    combined = p_values.get("combined", 1.0)
    n = len(model.known.reference.calibration.labels)
    said = ", ".join(f"{name} {p:.2g}" for name, p in p_values.items())
    rarest = min(p_values, key=lambda name: p_values[name])
    norm, p_norm = _at_usual_norm(image)
    effects = [effect(f"p-value by {name}", p) for name, p in p_values.items()]
    if norm is not None:
        effects.append(effect("length of the features over the usual one", norm))
    if p_norm is not None:
        effects.append(effect("probability with features of the usual length", p_norm))
    found = finding(
        "image.out_of_distribution",
        holds=total >= EVIDENCE
        or p_values.get("knn", 1.0) <= RAREST
        or (p_values.get("knn", 1.0) <= RARE_AMONG and _agreement(image) < AGREEING)
        or (combined <= RARE and image.p >= SURE),
        confidence=1 - min(p_values.values()),
        p_before=image.p,
        done=f"Compared with {n} good images held out,",
        sentence=f"the image is unlike them, most of all by its {WORDS.get(rarest, rarest)} "
        f"(p-value {p_values[rarest]:.2g})",
        fix="do not use the answer for images like this one; a guard can refuse them",
        why_not=f"Its p-values among {n} good images are {said}.",
        effects=effects,
    )
    return [found]


def _agreement(image: ImageCase) -> float:
    """Return which share of the nearest good images is of the class said."""
    near = nearest_classes(image)
    return float((near == image.index).mean()) if len(near) else 0.0


WORDS = {
    "combined": "features and doubt together",
    "knn": "features",
    "layer_statistics": "look behind the first layer",
    "pixels": "brightness, contrast and colours",
}


def places(image: ImageCase) -> dict[str, float]:
    """Return the p-values of an image among good images held out."""
    model = image.model
    known = model.known
    assert known is not None
    detector = _detector(model)
    found: dict[str, float] = {}
    for name in ("combined", "knn", "layer_statistics"):
        if name in detector.names:
            score = float(detector.score(name, image.outputs)[0])
            found[name] = _p_value(score, detector.calibration_scores[name])
    pixels = _pixels(model, image.outputs)
    found["pixels"] = _p_value(pixels, _pixel_calibration(model))
    return found


def _detector(model: ModelCase) -> OODDetector:
    if "detector" not in model.memory:
        assert model.known is not None
        model.memory["detector"] = OODDetector(model.spec, model.known.reference)
    detector: OODDetector = model.memory["detector"]
    return detector


def _p_value(score: float, calibration: Floats) -> float:
    if not math.isfinite(score):
        return 1 / (len(calibration) + 1)
    return float((1 + (calibration >= score).sum()) / (len(calibration) + 1))


def _pixels(model: ModelCase, outputs: Features) -> float:
    return float(_pixel_scores(model, outputs.pixel_statistics)[0])


def _pixel_calibration(model: ModelCase) -> Floats:
    if "pixel scores" not in model.memory:
        assert model.known is not None
        statistics = model.known.reference.calibration.outputs.pixel_statistics
        model.memory["pixel scores"] = _pixel_scores(model, statistics)
    scores: Floats = model.memory["pixel scores"]
    return scores


def _pixel_scores(model: ModelCase, statistics: Tensor) -> Floats:
    """Return how far channel means and deviations lie from those of the other half."""
    assert model.known is not None
    return distances(model.known.reference.fit.outputs.pixel_statistics, statistics)


def early_distance(image: ImageCase) -> tuple[float, Floats]:
    """Return how far the image lies behind the first layer, and how far good images do."""
    known = image.model.known
    if known is None:
        return 0.0, np.zeros(0)
    fit, held_out = known.reference.fit.outputs, known.reference.calibration.outputs
    name = "layers" if fit.layers.shape[1] else "pixel_statistics"
    bank = getattr(fit, name)
    here = distances(bank, getattr(image.outputs, name))
    return float(here[0]), distances(bank, getattr(held_out, name))


def _at_usual_norm(image: ImageCase) -> tuple[float | None, float | None]:
    """Return the features' length over the usual one, and p with the usual length.

    Source: Wei et al. 2022, arXiv:2205.09310: the length of logits grows without reason.
    """
    known = image.model.known
    assert known is not None
    sums, features = known.reference.sums, image.outputs.features.double()
    if "head_weight" not in sums or not features.shape[1]:
        return None, None
    usual = known.reference.fit.outputs.features.double().norm(dim=1).median()
    ratio = float(features.norm() / usual.clamp_min(1e-12))
    logits = (features / max(ratio, 1e-12)) @ sums["head_weight"].double().T + sums["head_bias"]
    return ratio, float(torch.softmax(logits, 1)[0, image.index])
