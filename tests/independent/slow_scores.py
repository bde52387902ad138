"""The OOD scores once more, an image and a class at a time, from the papers.

Every function takes plain lists or numpy arrays in float64 and returns one number per image.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


def softmax(row):
    """Return the probabilities as exact fractions of float64 exponentials."""
    weights = [Fraction(math.exp(value - max(row))) for value in row]
    total = sum(weights)
    return [weight / total for weight in weights]


def slow_msp(row):
    """1 - max p: Hendrycks & Gimpel 2017, one added."""
    return float(1 - max(softmax(row)))


def slow_scaled_msp(row, temperature):
    return slow_msp([value / temperature for value in row])


def slow_entropy(row):
    """-sum p log p, where 0 log 0 is 0."""
    return -math.fsum(float(p) * math.log(p) for p in softmax(row) if p > 0)


def slow_max_logit(row):
    return -max(row)


def slow_energy(row):
    """-log sum exp z: Liu et al. 2020, equation 4 at T = 1."""
    return -(max(row) + math.log(math.fsum(math.exp(value - max(row)) for value in row)))


def slow_gen(row, gamma=0.1, most=100):
    """Sum of p^gamma (1 - p)^gamma over the most probable classes: GEN, equations 2 and 3."""
    ordered = sorted(softmax(row), reverse=True)[:most]
    return math.fsum(float(p) ** gamma * float(1 - p) ** gamma for p in ordered)


def slow_kl_matching(row, reference):
    """Smallest KL(p || mean p of the images predicted as class k), over predicted classes k."""
    by_class = {}
    for other in reference:
        by_class.setdefault(int(np.argmax(other)), []).append([float(p) for p in softmax(other)])
    own = [float(p) for p in softmax(row)]
    divergences = []
    for rows in by_class.values():
        template = [math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]
        terms = (p * (math.log(p) - math.log(q)) for p, q in zip(own, template, strict=True) if p)
        divergences.append(math.fsum(terms))
    return min(divergences)


def slow_knn(feature, reference, k):
    """Distance to the k-th nearest, each feature divided by its length: Sun et al. 2022."""
    own = feature / np.linalg.norm(feature)
    return sorted(np.linalg.norm(own - one / np.linalg.norm(one)) for one in reference)[k - 1]


def slow_percentile(values, share):
    """Return the value that this share of the sorted values lies below, linear between two."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def slow_react(feature, reference, weight, bias):
    """Energy with every feature cut at the 90th percentile of all of the reference's."""
    limit = slow_percentile([value for one in reference for value in one], 0.9)
    cut = [min(value, limit) for value in feature]
    logits = [
        math.fsum(w * f for w, f in zip(row, cut, strict=True)) + b
        for row, b in zip(weight, bias, strict=True)
    ]
    return slow_energy(logits)


class SlowVim:
    """Wang et al. 2022, section 4: residual to the d principal directions around the origin."""

    def __init__(self, reference, logits, weight, bias, directions):
        self.origin = -np.linalg.pinv(weight) @ bias
        _, _, rows = np.linalg.svd(reference - self.origin, full_matrices=True)
        self.principal = rows[:directions]
        lengths = [self.residual(one) for one in reference]
        self.alpha = sum(max(row) for row in logits) / sum(lengths)

    def residual(self, feature):
        left = feature - self.origin
        for direction in self.principal:
            left = left - (left @ direction) * direction
        return np.linalg.norm(left)

    def score(self, feature, row):
        return self.alpha * self.residual(feature) + slow_energy(row)


class SlowMahalanobis:
    """Lee et al. 2018, equations 1 and 2: class means and one covariance around all of them."""

    def __init__(self, reference, labels, least=1):
        own = {c: reference[labels == c] for c in sorted(set(labels)) if c >= 0}
        size, count = reference.shape[1], sum(len(rows) for rows in own.values())
        covariance = np.zeros((size, size))
        for rows in own.values():
            for row in rows:
                centred = row - rows.mean(axis=0)
                covariance += np.outer(centred, centred) / count
        self.covariance = covariance
        self.means = [rows.mean(axis=0) for rows in own.values() if len(rows) >= least]
        self.mean = reference.mean(axis=0)
        self.whole = sum(np.outer(row - self.mean, row - self.mean) for row in reference) / len(
            reference
        )

    def score(self, feature):
        return min(_squared(feature - mean, self.covariance) for mean in self.means)

    def relative(self, feature):
        """Ren et al. 2021, equation 4."""
        return self.score(feature) - _squared(feature - self.mean, self.whole)


def slow_distance(value, reference):
    """Squared Mahalanobis distance from the mean of all of the reference's values."""
    mean = reference.mean(axis=0)
    covariance = sum(np.outer(row - mean, row - mean) for row in reference) / len(reference)
    return _squared(value - mean, covariance)


def _squared(difference, covariance):
    return float(difference @ np.linalg.solve(covariance, difference))


def slow_ledoit_wolf(centred):
    """Return the shrunk covariance of centred rows: Ledoit & Wolf 2004, lemmas 3.2 to 3.5."""
    count, size = centred.shape
    sample = centred.T @ centred / count
    level = np.trace(sample) / size
    target = level * np.eye(size)
    distance = ((sample - target) ** 2).sum() / size
    noise = sum(((np.outer(row, row) - sample) ** 2).sum() / size for row in centred) / count**2
    noise = min(noise, distance)
    return noise / distance * target + (distance - noise) / distance * sample


def slow_deviation(values, mean, variance, eps):
    """Return one image's distance from one BatchNorm layer's memory, averaged over channels."""
    found = []
    for channel, remembered, spread in zip(values, mean, variance, strict=True):
        shift = abs(channel.mean() - remembered) / math.sqrt(spread + eps)
        own = ((channel - channel.mean()) ** 2).mean()
        found.append(shift + abs(math.log((own + eps) / (spread + eps))))
    return sum(found) / len(found)


def slow_combined(values, held_out, tails):
    """Return -sum log p over scores, with the counting of a p-value made narrowly smooth.

    Args:
        values: One image's value by score.
        held_out: By score, the values of images that its statistics were not fitted on.
        tails: Names of scores that count by how much -log p exceeds 3, and not below.
    """
    total = 0.0
    for name, value in values.items():
        width, tail = _scales(held_out[name])
        count = sum(_at_least(other, value, width) for other in held_out[name])
        evidence = -math.log((1 + count) / (len(held_out[name]) + 1))
        evidence += math.log(1 + max(0.0, value - max(held_out[name])) / tail)
        total += max(0.0, evidence - 3) if name in tails else evidence
    return total


def _scales(scores):
    """Return the smoothing width, and the mean excess over the ninth tenth."""
    mean = sum(scores) / len(scores)
    deviation = math.sqrt(sum((s - mean) ** 2 for s in scores) / (len(scores) - 1))
    width = 0.01 * max(deviation, 1e-9)
    top = sorted(scores)[int(0.9 * len(scores)) :]
    return width, max(sum(s - top[0] for s in top) / len(top), width)


def _at_least(other, value, width):
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, (other - value) / width))))


def slow_p_value(value, calibration):
    """Return the conformal p-value: (1 + how many of the n are as high or higher) / (n + 1)."""
    count = 0
    for other in calibration:
        count += other >= value
    return Fraction(1 + count, len(calibration) + 1)
