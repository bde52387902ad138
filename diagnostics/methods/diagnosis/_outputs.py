"""Do the outputs depend on the image at all, and what are they?"""

from __future__ import annotations

import math

import numpy as np
import torch

from diagnostics.methods.diagnosis._case import Floats, ImageCase, ModelCase, effect, finding
from diagnostics.methods.diagnosis._model_cause import ModelCause
from diagnostics.metrics.accuracy import chance
from diagnostics.schema.spec import Output
from diagnostics.text import counted

SAME = 1e-4  # by which a logit must vary for the answer to depend on the image
NOISE = 16  # images of uniform noise
SLACK = 1e-3  # of a probability, for rounding
FEW_A_CLASS = 4  # images, below which another order of the names cannot be seen
COMPETENT, RARE = 0.3, 0.01  # accuracy that even a poor model has, and how rarely it shows so few


def find(model: ModelCase) -> list[ModelCause]:
    """Return whether the outputs depend on the image, and are what they are said to be."""
    logits = _outputs(model)
    return [_one_class(model), _constant(model, logits), _double_softmax(model, logits)]


def _outputs(model: ModelCase) -> Floats:
    """Return the logits of everything there is: noise, blank images and good ones."""
    spec = model.spec
    shape = (spec.channels, spec.height, spec.width)
    generator = torch.Generator().manual_seed(model.context.seed)
    noise = torch.rand(NOISE, *shape, generator=generator)
    blank = torch.stack([torch.full(shape, level) for level in (0.0, 0.5, 1.0)])
    parts = [model.network.logits(torch.cat([noise, blank]))]
    model.memory["noise"] = parts[0][:NOISE].argmax(1)
    if model.known is not None:
        parts.append(model.known.every_logits)
    return np.concatenate(parts)


def share_of_noise(image: ImageCase) -> float:
    """Return which share of noise images is said to be the image's class."""
    said = image.model.memory.get("noise", np.full(1, -1))
    return float((said == image.index).mean())


def _one_class(model: ModelCase) -> ModelCause:
    classes = len(model.spec.class_names)
    found = finding(
        "model.one_class",
        holds=classes == 1,
        confidence=1.0,
        done="With a single output,",
        sentence="the model has one output only, so that it can say nothing else",
        fix="use a model with an output for each class, or one that is said to be independent",
        why_not=f"It has {classes} outputs.",
    )
    return ModelCause(found)


def _constant(model: ModelCase, logits: Floats) -> ModelCause:
    spread = float(np.ptp(logits, 0).max())
    size = max(float(np.abs(logits).max()), 1.0)
    images = counted(len(logits), "image")
    found = finding(
        "model.constant",
        holds=len(model.spec.class_names) > 1 and spread <= SAME * size,
        confidence=1.0,
        done=f"Given {images}, noise and blank ones among them,",
        sentence="the model gives the same numbers whatever the image is",
        fix="look at the weights: a layer whose weights are zero, or not numbers, gives this",
        why_not=f"The largest spread of a logit over {images} is {spread:.3g}.",
        effects=[effect("largest spread of a logit", spread)],
    )
    return ModelCause(found)


def _double_softmax(model: ModelCase, logits: Floats) -> ModelCause:
    """Undo one softmax: what remains must be probabilities for every image."""
    classes = len(model.spec.class_names)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    bound = math.e / (math.e + classes - 1)
    inner = _undone(np.log(np.maximum(shares, 1e-300)))
    fits = bool((inner >= -SLACK).all() and (inner <= 1 + SLACK).all())
    decided = float(inner.max(1).max())
    holds = classes > 1 and not model.spec.output.independent and fits and decided >= 0.5

    def mended(image: ImageCase) -> Floats:
        inside: Floats = np.log(np.clip(_undone(image.logits[None])[0], 1e-12, None))
        return inside

    found = finding(
        "output.double_softmax",
        holds=holds,
        confidence=1.0,
        done="With one softmax undone,",
        sentence=(
            f"softmax is applied to what already are probabilities, so that no answer can pass "
            f"{100 * bound:.1f} %"
        ),
        fix=(
            "say that the output is probabilities (--output probabilities)"
            if model.spec.output is Output.LOGITS
            else "take one softmax out of the network"
        ),
        why_not=f"What remains without one softmax is no list of probabilities (limit "
        f"{100 * bound:.1f} %).",
        effects=[effect("largest probability on any image", float(shares.max()))],
    )
    return ModelCause(found, mended=mended, least=-1.0)


def _undone(log_shares: Floats) -> Floats:
    """Return what a softmax was applied to, moved so that it sums to one."""
    inside: Floats = log_shares + (1 - log_shares.sum(1, keepdims=True)) / log_shares.shape[1]
    return inside


def find_random(model: ModelCase) -> ModelCause:
    """Return whether the model answers hardly better than chance, whatever was mended."""
    from scipy.special import bdtr

    known = model.known
    assert known is not None
    hits, n = int(known.right.sum()), len(known.labels)
    classes = len(model.spec.class_names)
    limit = chance(classes)
    rare = float(bdtr(hits, n, max(COMPETENT, limit + 0.1)))
    share = f"{hits} of {counted(n, 'good image')} right"
    seen, labelled = len(np.unique(known.logits.argmax(1))), len(np.unique(known.labels))
    varied = n < FEW_A_CLASS * labelled and 2 * seen >= labelled
    found = finding(
        "model.random",
        holds=hits <= limit * n and rare < RARE and not varied,
        confidence=1 - rare,
        sentence=f"the model answers {share}, hardly more than guessing among {classes} classes",
        fix="look whether these are the trained weights; train it, or load the right file",
        why_not=f"{share}, but its answers are as varied as the labels: the names may stand in "
        "another order, which so few images of a class cannot show."
        if varied
        else f"{share}; guessing hardly passes {100 * limit:.0f} %.",
        effects=[effect("accuracy", hits / n)],
    )
    return ModelCause(found)
