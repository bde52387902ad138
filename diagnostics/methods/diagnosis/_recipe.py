"""Do images reach the network as it was trained to receive them, and does BatchNorm remember so?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from diagnostics.data.image import decode, encode_png
from diagnostics.methods.context import Context, Sample
from diagnostics.methods.diagnosis._case import (
    Floats,
    ImageCase,
    Known,
    ModelCase,
    effect,
    finding,
    finite,
)
from diagnostics.methods.diagnosis._model_cause import ModelCause, Right
from diagnostics.methods.preprocessing.preprocessing import check_preprocessing
from diagnostics.metrics.accuracy import sign_test
from diagnostics.metrics.temperature import temperature
from diagnostics.models.batchnorm import batchnorm_layers, statistics_of_batch
from diagnostics.models.classifier import TorchClassifier
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.results.preprocessing import PreprocessingCheck
from diagnostics.schema.spec import preprocessing_from
from diagnostics.text import counted

FACTOR = 20.0  # of the slope of values, from which on a scale is wrong and no mean or std
STRETCH, SAME_OFFSET = 1.5, 0.02  # or from which on, where nothing else is added
GEOMETRY = ("fit", "resize_px", "height", "width", "interpolation", "antialias")
STRETCHED, FITTING = 20.0, (0.4, 2.5)  # temperatures now, and with the other value range
STATISTICS_GAIN, ABOVE_RECIPES, STATISTICS_SIGNIFICANCE = 0.12, 0.10, 0.01
TITLES = {
    "preprocessing.scale": "values reach the network in another range than it was trained on",
    "preprocessing.normalisation": "mean and std are not those that it was trained with",
    "preprocessing.channels": "red and blue are exchanged",
    "preprocessing.polarity": "bright and dark are exchanged",
    "preprocessing.geometry": "images are fitted to the input size in another way",
}


class _Examples(Context):
    """A context whose folder is the images that a reference carries."""

    def __init__(self, context: Context, known: Known) -> None:
        plain = _pixels_only(context.preprocessing)
        bare = context.classifier
        super().__init__(TorchClassifier(bare.network, bare.spec, plain), seed=context.seed)
        self.progress = context.progress
        self._known = known

    @property
    def has_in_distribution(self) -> bool:
        return True

    def in_distribution(self) -> list[Sample]:
        pixels = self._known.pixels.mul(255).round().to(torch.uint8).movedim(1, -1).numpy()
        pictures = [encode_png(one if one.shape[-1] == 3 else one[..., 0]) for one in pixels]
        return [
            Sample(f"{row}.png", int(label), lambda content=content: content)  # type: ignore[misc]
            for row, (content, label) in enumerate(zip(pictures, self._known.classes, strict=True))
        ]


def _pixels_only(settings: Preprocessing) -> Preprocessing:
    """Return settings that leave images as they are that were prepared already."""
    return replace(
        settings, grey=False, invert=False, fit="stretch", contrast=0.0, blur=0.0, threshold=None
    )


def find(model: ModelCase) -> list[ModelCause]:
    """Return what the plausible ways of preparing say, and BatchNorm with statistics anew."""
    context, known = model.context, model.known
    assert known is not None
    whole = context.has_in_distribution
    check = check_preprocessing(context if whole else _Examples(context, known))
    model.network.passes += check["passes"]
    current = context.preprocessing
    suggested = next((row for row in check["candidates"] if row["suggested"]), None)
    now = next((row for row in check["candidates"] if row["current"]), None)
    settings, wrong = current, []
    if check["verdict"] == "wrong" and suggested is not None:
        settings = preprocessing_from(suggested["preprocessing"])
        if not whole:
            settings = _as_ours(settings, current)
        wrong = causes(current, settings)
    before = now["measure"] if now else 0.0
    after = suggested["measure"] if wrong and suggested else before
    if not wrong and (scaled := _scale_of_logits(model)) is not None:
        settings, wrong = scaled, ["preprocessing.scale"]
    found = [_cause(cause, wrong, settings, check, before, after, current) for cause in TITLES]
    return [*found, _batchnorm(model, after)]


def causes(current: Preprocessing, other: Preprocessing) -> list[str]:
    """Return which causes the step from one preprocessing to another mends."""
    slopes = [
        np.array(one.value_range) / np.array(one.std[:: -1 if one.bgr else 1])
        for one in (current, other)
    ]
    offsets = [
        np.array(one.mean[:: -1 if one.bgr else 1]) / np.array(one.std[:: -1 if one.bgr else 1])
        for one in (current, other)
    ]
    ratio = float(np.exp(np.abs(np.log(slopes[0] / slopes[1])).max()))
    found = []
    shift = float(np.abs(offsets[0] - offsets[1]).max())
    if ratio >= FACTOR or (ratio >= STRETCH and shift < SAME_OFFSET):
        found.append("preprocessing.scale")
    elif ratio > 1.02 or shift > SAME_OFFSET:
        found.append("preprocessing.normalisation")
    if current.bgr != other.bgr:
        found.append("preprocessing.channels")
    if current.invert != other.invert:
        found.append("preprocessing.polarity")
    one, two = current.effective, other.effective
    inert = (*GEOMETRY, "grey", "contrast", "blur", "threshold")
    if any(getattr(one, name) != getattr(two, name) for name in inert):
        found.append("preprocessing.geometry")
    turned = [one for one in found if one in ("preprocessing.channels", "preprocessing.polarity")]
    if turned and found[0] == "preprocessing.normalisation":
        found = [*turned, *(one for one in found if one not in turned)]
    return found


def _as_ours(found: Preprocessing, current: Preprocessing) -> Preprocessing:
    """Return the person's settings with the scaling that was found on prepared pixels."""
    scaling = {name: getattr(found, name) for name in ("bgr", "value_range", "mean", "std")}
    return replace(current, **scaling, invert=current.invert != found.invert)


def _cause(
    cause: str,
    wrong: Sequence[str],
    settings: Preprocessing,
    check: PreprocessingCheck,
    before: float,
    after: float,
    current: Preprocessing,
) -> ModelCause:
    holds = cause in wrong[:1]
    names = next((row["names"][0] for row in check["candidates"] if row["suggested"]), "")

    def mended(image: ImageCase) -> Floats:
        return _prepared(image, settings)

    images = counted(check["n"], "labelled image")
    found = finding(
        cause,
        holds=holds,
        confidence=after if check["evidence"] == "accuracy" else 0.5,
        done=f"Prepared with {_written(settings, current)},",
        sentence=TITLES[cause],
        fix=f"set the preprocessing to {_written(settings, current)} (“{names}”)",
        why_not=check["sentence"],
        effects=[
            effect("accuracy as it is", before),
            effect("accuracy prepared otherwise", after),
            effect("labelled images", float(check["n"])),
        ]
        if check["evidence"] == "accuracy"
        else [effect(f"{images} compared", float(check["n"]))],
    )
    return ModelCause(found, after=after, mended=mended, least=-1.0)


def _written(settings: Preprocessing, current: Preprocessing) -> str:
    """Return the settings that differ from those now."""
    names = [name for name in vars(settings) if getattr(settings, name) != getattr(current, name)]
    return ", ".join(f"{name} {getattr(settings, name)}" for name in names) or "the same"


def _prepared(image: ImageCase, settings: Preprocessing) -> Floats:
    """Return the logits of an image that is prepared otherwise."""
    bare = image.model.network.classifier
    pixels = torch.from_numpy(Pipeline(settings).run(decode(image.read(), image.file)))[None]
    classifier = TorchClassifier(bare.network, bare.spec, settings)
    image.model.network.passes += 1
    with torch.no_grad():
        logits: Floats = finite(classifier.logits(pixels).double().cpu().numpy())[0]
    return logits


def _scale_of_logits(model: ModelCase) -> Preprocessing | None:
    """Return the value range in which percentages fit, where now they are far off.

    A network without biases answers the same in any range, but far too surely or unsurely.
    """
    known, settings = model.known, model.context.preprocessing
    assert known is not None
    now = temperature(known.logits, known.labels)
    stretched = (
        now.value >= STRETCHED if settings.value_range == 255 else now.value <= 1 / STRETCHED
    )
    if not len(known.pixels) or now.at_bound or not stretched:
        return None
    other = replace(settings, value_range=1 if settings.value_range == 255 else 255)
    bare = model.network.classifier
    classifier = TorchClassifier(bare.network, bare.spec, other)
    with torch.no_grad():
        logits = classifier.logits(known.pixels).double().cpu().numpy()
    model.network.passes += len(logits)
    right: Right = logits.argmax(1) == known.classes
    if right.mean() < (known.predicted == known.classes).mean() - 0.02:
        return None
    fitted = temperature(logits, known.classes)
    low, high = FITTING
    return other if fitted.low <= high and fitted.high >= low else None


def _batchnorm(model: ModelCase, recipes: float) -> ModelCause:
    """Let BatchNorm measure the good images anew, and see whether that mends the answers."""
    known, network = model.known, model.network
    assert known is not None
    cause = "model.batchnorm"
    if not batchnorm_layers(network.classifier.network) or len(known.pixels) < MIN_BATCH:
        return ModelCause(finding(cause, holds=False, why_not="No BatchNorm is visible in it."))
    logits = _with_own_statistics(model, known.pixels)
    after = logits.argmax(1) == known.classes
    now = known.predicted == known.classes
    gain = float(after.mean() - now.mean())
    holds = (
        gain >= STATISTICS_GAIN
        and float(after.mean()) >= min(recipes, 1.0) + ABOVE_RECIPES
        and sign_test(after, now) < STATISTICS_SIGNIFICANCE
    )

    def mended(image: ImageCase) -> Floats:
        batch = torch.cat([image.pixels[None], known.pixels])
        logits: Floats = _with_own_statistics(image.model, batch)[0]
        return logits

    n = len(after)
    found = finding(
        cause,
        holds=holds,
        confidence=float(after.mean()),
        done="With BatchNorm's mean and variance measured on the good images,",
        sentence="what BatchNorm remembers does not belong to these weights",
        fix="load the running statistics that belong to the weights, or measure them again on "
        "training images",
        why_not=f"{100 * now.mean():.0f} % of {n} good images are right as it is, "
        f"{100 * after.mean():.0f} % with statistics measured anew.",
        effects=[
            effect("accuracy as it is", float(now.mean())),
            effect("accuracy with statistics measured anew", float(after.mean())),
        ],
    )
    return ModelCause(found, after=float(after.mean()), mended=mended)


MIN_BATCH = 16


def _with_own_statistics(model: ModelCase, pixels: Tensor) -> Floats:
    network = model.network
    network.passes += len(pixels)
    with torch.no_grad(), statistics_of_batch(network.classifier.network):
        return finite(network.classifier.torch_logits(pixels).double().cpu().numpy())
