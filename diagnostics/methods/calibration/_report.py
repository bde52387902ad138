"""Everything about a classifier's calibration on labelled images, as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from diagnostics.errors import InputError
from diagnostics.metrics import calibration
from diagnostics.metrics.calibration import Floats
from diagnostics.metrics.classification import (
    confident_errors,
    confusion,
    labelled,
    most_confused,
    per_class,
)
from diagnostics.metrics.intervals import bootstrap, wilson
from diagnostics.metrics.temperature import Temperature, temperature
from diagnostics.text import signed

ENOUGH = 100  # images for a verdict
FEW_IN_A_BIN = 10  # images, below which a bin's accuracy says little
CLASSES_IN_A_TABLE = 100
ERRORS = ("ece", "adaptive_ece", "classwise_ece", "ece_after")  # biased upwards on few images
MEANS = ("gap", "brier", "nll", "brier_after", "nll_after")

Band = dict[str, float]


def measure(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    bins: int = 15,
    seed: int = 0,
    resamples: int = 200,
) -> dict[str, Any]:
    """Return how far a classifier's percentages can be believed, measured on labelled images.

    Rows with NaN or infinite logits are left out and counted. Every band is one of 95 %. Resampled
    images make a calibration error look larger than the images do, so the bands of the four errors
    are reflected about the value (low = 2 value - upper quantile), kept at 0 or above, and hold
    the value. Simulated, they held the true error in 85 to 94 of 100 cases for 100 to 1000 images,
    plain quantiles in 2 to 95. Bands of means and of the bins' accuracies are plain quantiles.

    Args:
        logits: Shape (n, k), for a softmax over the k classes.
        labels: Shape (n,), the true classes.
        bins: Of equal width over the confidence; as many of equal mass for adaptive_ece.
        seed: Seed of all draws.
        resamples: Draws of the images for each band.

    Returns:
        JSON-ready: n, classes, not_finite, bins, resamples, seed; verdict and reason; accuracy
        (with a Wilson interval); gap (mean confidence - accuracy: above 0 is too sure); ece,
        adaptive_ece, classwise_ece, brier (0 to 2), nll (nats), each {value, low, high};
        if_calibrated (gap and ece that a calibrated model with these confidences would show);
        temperature, fitted on these images, and ece_after, brier_after, nll_after with it;
        reliability (bins); per_class; confusion (rows: true; None for more than 100 classes);
        most_confused ([true, predicted, images]); confident_errors (index: row of `logits`).

    Raises:
        InputError: Shapes that do not fit, no images, or none with finite logits.
    """
    z, y = labelled(logits, labels)
    kept = np.flatnonzero(np.isfinite(z).all(axis=1))
    if len(kept) == 0:
        raise InputError(
            f"All {len(z)} rows of logits hold NaN or infinity: nothing can be measured on them."
        )
    z, y, lost = z[kept], y[kept], len(z) - len(kept)
    n, k = z.shape
    predicted = z.argmax(axis=1)
    fitted = temperature(z, y)
    values, bands, table = _banded(z, y, fitted, bins, seed, resamples)
    confidence = np.exp(calibration.log_softmax(z).max(axis=1))
    chance = if_calibrated(confidence, bins=bins, draws=resamples, seed=seed)
    verdict, reason = _verdict(n, values, chance)
    hits = int((predicted == y).sum())
    low, high = wilson(hits, n)
    return {
        "n": n,
        "classes": k,
        "not_finite": lost,
        "bins": bins,
        "resamples": resamples,
        "seed": seed,
        "verdict": verdict,
        "reason": reason,
        "accuracy": {"value": hits / n, "low": low, "high": high, "hits": hits},
        "confidence": float(confidence.mean()),
        **bands,
        "if_calibrated": chance,
        "temperature": {"value": fitted.value, "at_bound": fitted.at_bound, "fitted_on": n},
        "reliability": table,
        "per_class": per_class(predicted, y, k),
        "confusion": confusion(predicted, y, k).tolist() if k <= CLASSES_IN_A_TABLE else None,
        "most_confused": [list(pair) for pair in most_confused(predicted, y)],
        "confident_errors": [
            {**row, "index": int(kept[row["index"]])} for row in confident_errors(z, y)
        ],
    }


def if_calibrated(
    confidence: ArrayLike, *, bins: int = 15, draws: int = 200, seed: int = 0
) -> dict[str, Band]:
    """Return what a perfectly calibrated model with these confidences would show by chance.

    Args:
        confidence: Shape (n,), probability of the predicted class.
        bins: Of equal width.
        draws: How often right and wrong are drawn anew, right with the image's own confidence.
        seed: Seed of the draws.

    Returns:
        gap: {low, high}, the middle 95 % of mean confidence - accuracy; ece: {mean, high}, its
        mean and its 97.5 % quantile.

    Source:
        Bröcker & Smith 2007, "Increasing the Reliability of Reliability Diagrams" (consistency
        resampling).
    """
    sure = np.asarray(confidence, np.float64)
    random = np.random.default_rng(seed)
    gaps, errors = np.empty(draws), np.empty(draws)
    for draw in range(draws):
        right = random.random(len(sure)) < sure
        gaps[draw] = (sure - right).mean()
        errors[draw] = calibration.ece(sure, right, bins)
    low, high = np.quantile(gaps, [0.025, 0.975])
    return {
        "gap": {"low": float(low), "high": float(high)},
        "ece": {"mean": float(errors.mean()), "high": float(np.quantile(errors, 0.975))},
    }


def _banded(
    z: Floats, y: NDArray[np.intp], fitted: Temperature, bins: int, seed: int, resamples: int
) -> tuple[dict[str, float], dict[str, Band], list[dict[str, Any]]]:
    """Return every measure, its band, and the bins with theirs, from the same draws."""
    right = z.argmax(axis=1) == y
    images = {"": _per_image(z, y), "_after": _per_image(z / fitted.value, y)}
    classwise = calibration.classwise_ece_of_draws(np.exp(calibration.log_softmax(z)), y, bins)

    def named(drawn: NDArray[np.intp]) -> dict[str, float]:
        numbers = {
            "adaptive_ece": calibration.adaptive_ece(images[""][0][drawn], right[drawn], bins),
            "classwise_ece": classwise(drawn),
            "gap": float((images[""][0] - right)[drawn].mean()),
        }
        for suffix, (sure, squares, surprise) in images.items():
            numbers["ece" + suffix] = calibration.ece(sure[drawn], right[drawn], bins)
            numbers["brier" + suffix] = float(squares[drawn].mean())
            numbers["nll" + suffix] = float(surprise[drawn].mean())
        return numbers

    def statistic(drawn: NDArray[np.intp]) -> Floats:
        numbers = named(drawn)
        accuracy = calibration.reliability(images[""][0][drawn], right[drawn], bins).accuracy
        return np.concatenate([[numbers[name] for name in (*ERRORS, *MEANS)], accuracy])

    low, high = bootstrap(statistic, len(y), resamples=resamples, seed=seed)
    values = named(np.arange(len(y)))
    bands = {}
    for place, name in enumerate((*ERRORS, *MEANS)):
        value, ends = values[name], (float(low[place]), float(high[place]))
        if name in ERRORS:
            ends = max(min(2 * value - ends[1], value), 0.0), max(2 * value - ends[0], value)
        bands[name] = {"value": value, "low": ends[0], "high": ends[1]}
    table = calibration.reliability(images[""][0], right, bins)
    return values, bands, _rows(table, low[-bins:], high[-bins:])


def _per_image(z: Floats, y: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
    """Return each image's confidence, Brier score and negative log-likelihood."""
    logs = calibration.log_softmax(z)
    p = np.exp(logs)
    return p.max(axis=1), calibration.square_errors(p, y), -logs[np.arange(len(y)), y]


def _rows(table: calibration.Reliability, low: Floats, high: Floats) -> list[dict[str, Any]]:
    rows = []
    for place, n in enumerate(table.counts.tolist()):
        empty = n == 0
        rows.append(
            {
                "from": float(table.edges[place]),
                "to": float(table.edges[place + 1]),
                "n": n,
                "few": n < FEW_IN_A_BIN,
                "confidence": None if empty else float(table.confidence[place]),
                "accuracy": None if empty else float(table.accuracy[place]),
                "low": None if empty or np.isnan(low[place]) else float(low[place]),
                "high": None if empty or np.isnan(high[place]) else float(high[place]),
            }
        )
    return rows


def _verdict(n: int, values: dict[str, float], chance: dict[str, Band]) -> tuple[str, str]:
    """Return whether the percentages fit, and the sentence that says why."""
    gap, error = values["gap"], values["ece"]
    if n < ENOUGH:
        return "can't tell", (
            f"Only {n} labelled images: give at least {ENOUGH}, because few images make the "
            "calibration error look larger than it is."
        )
    low, high = chance["gap"]["low"], chance["gap"]["high"]
    usual = f"{signed(low, 3)} and {signed(high, 3)}"
    chances = f"calibrated answers would stay between {usual} (n = {n})"
    if gap > high:
        return "too sure", f"Mean confidence minus accuracy is {signed(gap, 3)}; {chances}."
    if gap < low:
        return "not sure enough", f"Mean confidence minus accuracy is {signed(gap, 3)}; {chances}."
    most = chance["ece"]["high"]
    if error > most:
        return "uneven", (
            f"Confidence fits accuracy on average but not in every bin: the error is {error:.3f}; "
            f"calibrated answers would stay below {most:.3f} (n = {n})."
        )
    return "fits", (
        f"No difference was found that {n} calibrated answers would not show: the error is "
        f"{error:.3f}; they would stay below {most:.3f}."
    )
