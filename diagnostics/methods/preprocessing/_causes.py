"""What else makes a network wrong about labelled images, when no preprocessing does.

Each cause is mended on one half of the images and judged on the other, both ways round, as is done
with ways of preparing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from diagnostics.data.image import Decoded
from diagnostics.metrics.accuracy import chance, sign_test
from diagnostics.metrics.class_offsets import class_order
from diagnostics.models.batchnorm import RunningStatistics, statistics_of_batch
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import batch_size
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.text import counted

SAME = 1e-4  # by which a logit must vary for the answer to depend on the image
SHIFTED = 0.8  # of the classes, moved alike, for the names to be shifted
MIN_GAIN_NAMES, MIN_GAIN_OFFSET, MIN_GAIN_STATISTICS = 0.30, 0.10, 0.12  # of accuracy
MENDED = 0.4  # of the errors now, that mending one cause must mend
SIGNIFICANCE = 0.01

Right = NDArray[np.bool_]


@dataclass(frozen=True)
class Mended:
    """What accuracy would be if a cause were mended.

    Args:
        before: Accuracy now, of the images that were judged.
        after: Accuracy with the cause mended.
        sentence: What was found.
    """

    before: float
    after: float
    sentence: str


def is_untrained(running: RunningStatistics) -> bool:
    """Say whether BatchNorm remembers nothing: means of 0 and variances of 1 everywhere."""
    variance = running.variance - running.eps
    return bool(len(running.mean)) and not running.mean.any() and np.allclose(variance, 1)


def is_constant(logits: NDArray[np.float32]) -> bool:
    """Say whether no logit depends on the image."""
    return len(logits) > 1 and float(np.ptp(logits, 0).max()) <= SAME


def names(
    predicted: NDArray[np.intp], labels: NDArray[np.intp], class_names: Sequence[str]
) -> Mended | None:
    """Return what another assignment of the names would mend, if it mends enough."""
    classes = len(class_names)

    def fit(rows: NDArray[np.intp]) -> Callable[[NDArray[np.intp]], Right]:
        return lambda judged: (
            class_order(predicted[rows], labels[rows], classes)[predicted[judged]] == labels[judged]
        )

    after = _crossed(len(labels), fit)
    now = predicted == labels
    if not _gains(after, now, MIN_GAIN_NAMES, classes):
        return None
    moved = class_order(predicted, labels, classes)
    seen = np.unique(predicted[moved[predicted] == labels])
    steps = Counter(int((moved[one] - one) % classes) for one in seen)
    step, count = steps.most_common(1)[0]
    if step and count >= SHIFTED * len(seen):
        back = step if step <= classes // 2 else step - classes
        pattern = f"every name stands {counted(abs(back), 'place')} too {_direction(back)}"
    else:
        one = int(next(index for index in seen if moved[index] != index))
        pattern = f"for one, “{class_names[one]}” is said of “{class_names[moved[one]]}”"
    sentence = (
        f"The names of the classes are in another order than the network's outputs ({pattern}): "
        f"{_percent(now.mean())} right as they are, {_percent(after.mean())} with the names moved, "
        "which was found on one half of the images and judged on the other"
    )
    return Mended(float(now.mean()), float(after.mean()), sentence)


def offset(
    logits: NDArray[np.float32], labels: NDArray[np.intp], class_names: Sequence[str]
) -> Mended | None:
    """Return what moving the logit of one class would mend, if it mends enough."""
    finite = np.nan_to_num(logits.astype(np.float64), nan=-1e30, posinf=1e30, neginf=-1e30)
    found: list[tuple[int, float]] = []

    def fit(rows: NDArray[np.intp]) -> Callable[[NDArray[np.intp]], Right]:
        index, size = _best_offset(finite[rows], labels[rows])
        found.append((index, size))

        def judge(judged: NDArray[np.intp]) -> Right:
            moved = finite[judged].copy()
            moved[:, index] += size
            right: Right = moved.argmax(1) == labels[judged]
            return right

        return judge

    after = _crossed(len(labels), fit)
    now = finite.argmax(1) == labels
    same = len({index for index, _ in found}) == 1 and len({size > 0 for _, size in found}) == 1
    least = max(MIN_GAIN_OFFSET, MENDED * (1 - float(now.mean())))
    if not same or not _gains(after, now, least, len(class_names)):
        return None
    index, size = found[0]
    often = "far too rarely" if size > 0 else "far too often"
    sentence = (
        f"The network says “{class_names[index]}” {often}: {_percent(now.mean())} right, "
        f"{_percent(after.mean())} if the output of that class alone is moved by {size:+.2g}"
    )
    return Mended(float(now.mean()), float(after.mean()), sentence)


@torch.no_grad()
def statistics(
    classifier: TorchClassifier, images: Sequence[Decoded], labels: NDArray[np.intp], other: float
) -> Mended | None:
    """Return what BatchNorm would mend with the images' own statistics, if it mends enough.

    Args:
        classifier: The network, with the settings in force.
        images: Some.
        labels: Of these.
        other: Accuracy of the best way of preparing.
    """
    pipeline, step = Pipeline(classifier.preprocessing), batch_size(classifier)
    now, after = [], []
    for start in range(0, len(images), step):
        part = images[start : start + step]
        if len(part) < min(step, len(images)):
            break  # too few for statistics of their own
        pixels = torch.from_numpy(np.stack([pipeline.run(image) for image in part]))
        pixels = pixels.to(classifier.device)
        now.append(classifier.logits(pixels).argmax(1).cpu().numpy())
        with statistics_of_batch(classifier.network):
            after.append(classifier.logits(pixels).argmax(1).cpu().numpy())
    before, mended = (np.concatenate(said) for said in (now, after))
    before, mended = (said == labels[: len(said)] for said in (before, mended))
    classes = len(classifier.spec.class_names)
    least = max(MIN_GAIN_STATISTICS, other + MIN_GAIN_OFFSET - float(before.mean()))
    if not _gains(mended, before, least, classes):
        return None
    sentence = (
        f"What BatchNorm remembers does not fit: {_percent(before.mean())} right, "
        f"{_percent(mended.mean())} when it measures mean and variance of these images anew. "
        "Either the file's statistics are not those of its weights, or these images are of another "
        "kind than those of the training"
    )
    return Mended(float(before.mean()), float(mended.mean()), sentence)


def _gains(after: Right, now: Right, least: float, classes: int) -> bool:
    """Say whether a mended cause answers more right: clearly, enough, and beyond guessing."""
    gain = float(after.mean() - now.mean())
    beyond = float(after.mean()) >= chance(classes) + MIN_GAIN_OFFSET
    return beyond and gain >= least and sign_test(after, now) < SIGNIFICANCE


def _crossed(
    count: int, fit: Callable[[NDArray[np.intp]], Callable[[NDArray[np.intp]], Right]]
) -> Right:
    """Fit on each half of the images and judge on the other; return what is right, shape (n,)."""
    right = np.zeros(count, bool)
    for half in (0, 1):
        rows = np.arange(half, count, 2)
        judged = np.arange(1 - half, count, 2)
        right[judged] = fit(rows)(judged)
    return right


def _best_offset(logits: NDArray[np.float64], labels: NDArray[np.intp]) -> tuple[int, float]:
    """Return the class whose logit, moved, makes most images right, and by how much."""
    order = np.argsort(logits, 1)[:, -2:]
    best = (-1, 0, 0.0)
    for index in range(logits.shape[1]):
        rival = np.where(order[:, 1] == index, order[:, 0], order[:, 1])
        need = logits[np.arange(len(labels)), rival] - logits[:, index]  # above it, index is said
        sorted_need = np.sort(need)
        gained = np.searchsorted(np.sort(need[labels == index]), sorted_need, side="right")
        kept = np.sort(need[rival == labels])
        lost = np.searchsorted(kept, sorted_need, side="right")
        right = np.concatenate([[len(kept)], gained + len(kept) - lost])
        at = int(right.argmax())
        if right[at] > best[0]:
            best = (int(right[at]), index, _between(sorted_need, at))
    return best[1], best[2]


def _between(thresholds: NDArray[np.float64], passed: int) -> float:
    """Return an offset that passes so many of the sorted thresholds."""
    if passed == 0:
        return float(thresholds[0] - 1)
    if passed == len(thresholds):
        return float(thresholds[-1] + 1)
    return float((thresholds[passed - 1] + thresholds[passed]) / 2)


def _direction(step: int) -> str:
    return "late" if step > 0 else "early"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
