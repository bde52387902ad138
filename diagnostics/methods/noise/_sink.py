"""Whether a class is a sink: it gets noise because of what the network adds to it for every image.

Nearly every healthy network calls most of the noise one class, so that alone accuses no class. The
accusation is proven by an intervention: what the network adds to the class's logit beyond the
others, whatever the image is, is taken away, and the noise is counted again.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from diagnostics.metrics.calibration import Floats, log_softmax
from diagnostics.metrics.temperature import Z, crossing
from diagnostics.schema.results.noise import OffsetSource, Sink, SinkVerdict

MIN_LABELLED = 20  # real images, for an offset that labels tell
MAX_OFFSET = 60.0  # logits that are searched
PRECISION = 1e-3
# Chosen on 12 healthy networks and measured on 20 others of 2, 3, 5 and 10 classes (digits of 8 × 8
# px; dense, convolutional, with and without BatchNorm and bias; all six families, 64 draws each):
# the last layer adds 0.39 to the class that gets most noise at most, and no class is named, 0 of 20
# (0–16 %). With 8 added to a logit of each, the class gets most of the noise in 17; 15 of these 17
# (66–97 %) are named by the last layer, 13 by the labels of real images.
MIN_OFFSET = 2.0
MIN_FALL = 0.1  # of the class's share, once the offset is taken away


def find_sink(
    noise: Mapping[str, Floats],
    real: Floats,
    labels: NDArray[np.intp],
    bias: Floats | None,
) -> Sink | None:
    """Return whether the class that gets most of the noise is a sink; None without finite answers.

    Args:
        noise: Finite logits of each family, shape (n, k); families without any play no part.
        real: Finite logits of labelled real images, shape (m, k); m may be 0.
        labels: Their classes, shape (m,).
        bias: Of the last layer, shape (k,); None where it cannot be told.
    """
    families = [logits for logits in noise.values() if len(logits)]
    if not families or families[0].shape[1] < 2:
        return None
    shares = np.mean([_shares(logits) for logits in families], axis=0)
    index = int(shares.argmax())
    share = float(shares[index])
    found = _offset(index, real, labels, bias)
    offset, source = found or (None, None)
    without: float | None = None
    verdict: SinkVerdict = "can't tell"
    if offset is not None:
        lowered = [_lowered(logits, index, offset) for logits in families]
        without = float(np.mean([_shares(logits)[index] for logits in lowered]))
        verdict = "no sink"
        if offset >= MIN_OFFSET and share - without >= MIN_FALL:
            verdict = "sink"
    return Sink(
        verdict=verdict,
        index=index,
        share=share,
        offset=offset,
        offset_from=source,
        share_without=without,
    )


def _offset(
    index: int, real: Floats, labels: NDArray[np.intp], bias: Floats | None
) -> tuple[float, OffsetSource] | None:
    """Return what is added to a class's logit beyond the others, and what tells it.

    The last layer's bias is exact; labels leave a range, but also show what an earlier layer adds.
    """
    if bias is not None:
        return float(bias[index] - np.median(np.delete(bias, index))), "last layer"
    own = int((labels == index).sum())
    if len(labels) >= MIN_LABELLED and 0 < own < len(labels):
        return least_offset(real, labels == index, index), "labels"
    return None


def least_offset(logits: Floats, is_class: NDArray[np.bool_], index: int) -> float:
    """Return the least offset of a class's logit that the labels leave possible, 0 if any is.

    Taken away, it must make the class as probable on average as it is frequent: of all offsets for
    which chance explains the difference (score test, 95 %), the one nearest to 0.

    Args:
        logits: Shape (n, k).
        is_class: Whether each image is of the class, shape (n,).
        index: The class.
    """

    def score(offset: float) -> float:
        p = np.exp(log_softmax(_lowered(logits, index, offset)))[:, index]
        excess = p - is_class
        error = float(np.sqrt(max(excess.var(), (p * (1 - p)).mean()) / len(p)))
        mean = float(excess.mean())
        return mean / error if error > 0 else 0.0

    low = crossing(lambda offset: score(offset) - Z, -MAX_OFFSET, MAX_OFFSET, PRECISION)
    if low > 0:
        return low
    high = crossing(lambda offset: score(offset) + Z, -MAX_OFFSET, MAX_OFFSET, PRECISION)
    return min(high, 0.0)


def _shares(logits: Floats) -> Floats:
    """Return the share of images that each class gets, shape (k,)."""
    counts = np.bincount(logits.argmax(axis=1), minlength=logits.shape[1])
    shares: Floats = counts / len(logits)
    return shares


def _lowered(logits: Floats, index: int, offset: float) -> Floats:
    lowered = logits.copy()
    lowered[:, index] -= offset
    return lowered
