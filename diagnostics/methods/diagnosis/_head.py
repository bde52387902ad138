"""What the last layer alone would explain: names in another order, an offset, a sharpness."""

from __future__ import annotations

import numpy as np

from diagnostics.methods.diagnosis._case import (
    Floats,
    ImageCase,
    ModelCase,
    effect,
    finding,
    probabilities,
)
from diagnostics.methods.diagnosis._model_cause import ModelCause
from diagnostics.metrics.accuracy import chance, sign_test
from diagnostics.metrics.class_offsets import (
    SHIFTS,
    class_offsets,
    class_order,
    judged_class_order,
    shifted_order,
)
from diagnostics.metrics.temperature import temperature
from diagnostics.schema.results.diagnosis import Finding
from diagnostics.text import counted

ORDER_GAIN, ORDER_SIGNIFICANCE = 0.30, 0.01
BEYOND_CHANCE = 0.10
OFFSET_UNITS, OFFSET_RATIO = 2.0, 1.4
OFFSET_SIGNIFICANCE, OFFSET_WINS = 0.01, 5
SHARP, SHARP_LOW, GAP, SHARP_FALL = 1.8, 1.3, 0.03, 0.06


def find_order(model: ModelCase) -> ModelCause:
    """Return whether the names of the classes stand in another order than the outputs."""
    known = model.known
    assert known is not None
    classes, predicted = len(model.spec.class_names), known.logits.argmax(1)
    order = class_order(predicted, known.labels, classes)
    judged = judged_class_order(predicted, known.labels, classes)
    shifted, _ = shifted_order(predicted, known.labels, classes)
    significance = ORDER_SIGNIFICANCE
    if (moved_right := shifted[predicted] == known.labels).sum() > judged.sum():
        order, judged = shifted, moved_right
        significance /= 2 * SHIFTS  # as many shifts were tried on the same images
    after, now = float(judged.mean()), known.accuracy
    holds = (
        after - now >= ORDER_GAIN
        and sign_test(judged, known.right) < significance
        and after >= chance(classes) + BEYOND_CHANCE
    )

    def mended(image: ImageCase) -> Floats:
        logits = np.empty_like(image.logits)
        logits[order] = image.logits
        return logits

    moved = np.flatnonzero(order != np.arange(classes))
    example = ""
    if holds and len(moved):
        seen = [one for one in moved if (predicted == one).any()] or list(moved)
        names = model.spec.class_names
        example = f"; for one, “{names[seen[0]]}” is said of “{names[order[seen[0]]]}”"
    found = finding(
        "classes.order",
        holds=holds,
        confidence=after,
        done="With the names in the order that the labelled images suggest,",
        sentence=f"the class names stand in another order than the outputs{example}",
        fix="load the list of names that belongs to these weights (sorted folder names are usual)",
        why_not=_accuracies("in the best other order of names", now, after, len(judged)),
        effects=[effect("accuracy as it is", now), effect("accuracy with other names", after)],
    )
    return ModelCause(found, after=after, mended=mended)


def find_offset(model: ModelCase) -> list[ModelCause]:
    """Return whether one class's logit lies too high or too low whatever the image."""
    known = model.known
    assert known is not None
    classes = len(model.spec.class_names)
    if classes < 2:
        return []
    offsets = class_offsets(known.logits, known.labels)
    largest = int(np.abs(offsets.values).argmax())
    size = float(offsets.values[largest])
    second = float(np.delete(np.abs(offsets.values), largest).max())
    agree = all(
        int(np.abs(half).argmax()) == largest and np.sign(half[largest]) == np.sign(size)
        for half in offsets.halves
    )
    wins = int((offsets.right & ~known.right).sum())
    losses = int((known.right & ~offsets.right).sum())
    after, now = float(offsets.right.mean()), known.accuracy
    holds = (
        agree
        and abs(size) >= OFFSET_UNITS * offsets.unit
        and abs(size) >= OFFSET_RATIO * second
        and wins - losses >= OFFSET_WINS
        and sign_test(offsets.right, known.right) < OFFSET_SIGNIFICANCE
        and after >= chance(classes)
    )

    def mended(image: ImageCase) -> Floats:
        logits = image.logits.copy()
        logits[largest] += size
        return logits

    name = model.spec.class_names[largest]
    often = "far too rarely" if size > 0 else "far too often"
    effects = [
        effect("accuracy as it is", now),
        effect("accuracy with the offset mended", after),
        effect("offset of the logit", size),
    ]
    why_not = (
        f"The largest offset that would help is {size:+.2g} for “{name}”, "
        + _accuracies("with it", now, after, len(known.labels))[:1].lower()
        + _accuracies("with it", now, after, len(known.labels))[1:]
    )
    causes = []
    for cause, dead in (("head.bias", False), ("head.dead_class", True)):
        found = finding(
            cause,
            holds=holds and dead == (size > 0),
            confidence=after,
            done=f"With the output of “{name}” moved by {size:+.3g},",
            sentence=f"the model says “{name}” {often}, whatever the image",
            fix=(
                f"look at the last layer's bias of “{name}” and at how many training images it "
                f"had; adding {size:+.3g} to it answers {100 * after:.0f} % of "
                f"{counted(len(known.labels), 'image')} right instead of {100 * now:.0f} %"
            ),
            why_not=why_not,
            effects=effects,
        )
        wanted = largest if dead else None
        causes.append(ModelCause(found, after=after, mended=mended, wanted=wanted))
    return causes


def find_sharpness(model: ModelCase) -> ModelCause:
    """Return whether the percentages are too high for how often the model is right."""
    known = model.known
    assert known is not None
    fitted = temperature(known.logits, known.labels)
    confident = float(known.confidence.mean())
    gap = confident - known.accuracy
    holds = (
        fitted.at_bound is None
        and fitted.value >= SHARP
        and fitted.low >= SHARP_LOW
        and gap >= GAP
        and not model.spec.output.independent
    )

    def mended(image: ImageCase) -> Floats:
        cooled: Floats = image.logits / fitted.value
        return cooled

    n = len(known.labels)
    found = finding(
        "calibration.sharp",
        holds=holds,
        confidence=min(1.0, 0.5 + gap),
        done=f"With all logits divided by {fitted.value:.2g},",
        sentence=(
            f"the percentages are too high: {100 * confident:.0f} % on average where "
            f"{100 * known.accuracy:.0f} % of {n} are right"
        ),
        fix=f"divide the logits by T = {fitted.value:.2g} before softmax (temperature scaling)",
        why_not=(
            f"The best temperature is {fitted.value:.2g} ({fitted.low:.2g} to {fitted.high:.2g}), "
            f"and confidence passes accuracy by {100 * gap:+.1f} points on {n} images."
        ),
        effects=[
            effect("temperature", fitted.value),
            effect("confidence minus accuracy", gap),
        ],
    )
    return ModelCause(found, mended=mended, least=SHARP_FALL)


def _accuracies(what: str, now: float, after: float, n: int) -> str:
    return f"{100 * now:.0f} % of {n} right as it is, {100 * after:.0f} % {what}."


def confusion(model: ModelCase) -> Floats:
    """Return which share of each class's labelled images is said to be each class, (k, k)."""
    known = model.known
    assert known is not None
    classes = len(model.spec.class_names)
    counts = np.zeros((classes, classes))
    np.add.at(counts, (known.labels, known.logits.argmax(1)), 1)
    shares: Floats = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return shares


OVERLAP, OVERLAP_IMAGES = 0.2, 3
TWO_HOLD, UNSURE, RARE = 0.8, 0.8, 0.35


def find_overlap(image: ImageCase) -> list[Finding]:
    """Return whether two classes that the model confuses, or an image of two, explain it."""
    shares = probabilities(image.logits[None], image.model.spec)[0]
    if len(shares) < 2:
        return []
    first, second = (int(one) for one in np.argsort(-shares, kind="stable")[:2])
    names = image.model.spec.class_names
    both = float(shares[first] + shares[second])
    known = image.model.known
    found = []
    usual = float(np.quantile(known.confidence, RARE)) if known and len(known.confidence) else 1.0
    if known is not None and known.is_labelled:
        matrix = confusion(image.model)
        there, back = matrix[first, second], matrix[second, first]
        enough = min(int((known.labels == one).sum()) for one in (first, second))
        found.append(
            finding(
                "classes.overlap",
                holds=min(there, back) >= OVERLAP and enough >= OVERLAP_IMAGES and both > TWO_HOLD,
                confidence=float(min(there, back)),
                p_before=image.p,
                p_after=float(shares[second]),
                done=f"Among the good images, {100 * there:.0f} % of “{names[first]}” are said to "
                f"be “{names[second]}” and {100 * back:.0f} % the other way round:",
                sentence=f"the model cannot tell “{names[first]}” from “{names[second]}”",
                fix="look at the labels of these two classes, or join them",
                why_not=f"“{names[first]}” and “{names[second]}” are confused {100 * there:.0f} % "
                f"and {100 * back:.0f} % of the time.",
            )
        )
    found.append(
        finding(
            "image.ambiguous",
            holds=(
                both > TWO_HOLD
                and image.p < UNSURE
                and shares[second] >= (1 - UNSURE) / 2
                and image.p < usual
                and not image.is_noisy
            ),
            confidence=both,
            p_before=image.p,
            p_after=float(shares[second]),
            done=f"“{names[first]}” and “{names[second]}” together hold {100 * both:.0f} %:",
            sentence="the image may show two classes, or lie between them",
            fix="ask for the two classes by name, and look at where each is seen",
            why_not=f"The second class, “{names[second]}”, holds {100 * shares[second]:.1f} %.",
        )
    )
    return found
