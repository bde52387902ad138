"""Means, covariances and whitening, against numpy, scikit-learn and the slow formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diagnostics.reference.covariance import (
    class_means,
    covariance,
    layer_covariance,
    mean_feature,
    mean_layers,
    shrink,
    tied_covariance,
    whitening,
)
from tests.independent.slow_scores import slow_ledoit_wolf
from tests.reference.builders import CLASSES, built, extracted


def test_means_and_covariances_equal_numpys():
    reference = built()
    outputs, labels, _ = extracted(120)
    features, own = outputs.features.double().numpy(), labels.numpy()
    assert mean_feature(reference).numpy() == pytest.approx(features.mean(0))
    assert mean_layers(reference).numpy() == pytest.approx(outputs.layers.double().numpy().mean(0))
    expected = np.cov(features.T, bias=True)
    assert covariance(reference).numpy() == pytest.approx(expected, rel=1e-8, abs=1e-10)
    expected = np.cov(outputs.layers.double().numpy().T, bias=True)
    assert layer_covariance(reference).numpy() == pytest.approx(expected, rel=1e-8, abs=1e-10)
    means = np.array([features[own == c].mean(0) for c in range(CLASSES)])
    assert class_means(reference, 5).numpy() == pytest.approx(means)
    centred = features[own >= 0] - means[own[own >= 0]]
    expected = centred.T @ centred / len(centred)
    assert tied_covariance(reference).numpy() == pytest.approx(expected, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize(("count", "shrinks"), [(39, True), (40, False)])
def test_a_covariance_is_shrunk_below_five_images_per_feature(count, shrinks):
    """Eight features: from 40 images on, the covariance stays as it was measured."""
    features = extracted(count)[0].features.double().numpy()
    plain = np.cov(features.T, bias=True)
    found = covariance(built(count)).numpy()
    expected = slow_ledoit_wolf(features - features.mean(0)) if shrinks else plain
    assert found == pytest.approx(expected, rel=1e-7, abs=1e-10)
    assert np.allclose(found, plain, rtol=1e-7, atol=1e-10) is not shrinks


def test_the_shrunk_covariances_are_sklearns():
    peer = pytest.importorskip("sklearn.covariance")
    reference = built(30)
    outputs, labels, _ = extracted(30)
    features = outputs.features.double().numpy()
    expected = peer.LedoitWolf().fit(features).covariance_
    assert covariance(reference).numpy() == pytest.approx(expected, rel=1e-7, abs=1e-10)
    layers = outputs.layers.double().numpy()
    expected = peer.LedoitWolf().fit(layers).covariance_
    assert layer_covariance(reference).numpy() == pytest.approx(expected, rel=1e-7, abs=1e-10)
    own = labels.numpy()
    centred = np.array(
        [f - features[own == c].mean(0) for f, c in zip(features, own, strict=True) if c >= 0]
    )
    expected = peer.LedoitWolf(assume_centered=True).fit(centred).covariance_
    assert tied_covariance(reference).numpy() == pytest.approx(expected, rel=1e-7, abs=1e-10)


@pytest.mark.parametrize(("count", "size"), [(5, 3), (12, 30), (200, 4), (2, 6)])
def test_shrinking_equals_the_slow_one(count, size):
    rows = np.random.default_rng(count).normal(size=(count, size)) * np.arange(1, size + 1)
    centred = rows - rows.mean(0)
    sample = torch.from_numpy(centred.T @ centred / count)
    found = shrink(sample, torch.from_numpy(centred)).numpy()
    assert found == pytest.approx(slow_ledoit_wolf(centred), rel=1e-10)
    if count > 2:  # two images lie the same way from their mean: no noise is outputs in them
        assert np.linalg.eigvalsh(found).min() > 0


def test_images_that_are_all_the_same_have_a_covariance_of_zero():
    zeros = torch.zeros(4, 4, dtype=torch.float64)
    assert torch.equal(shrink(zeros, zeros), zeros)
    assert torch.equal(whitening(zeros), zeros)


def test_whitening_makes_a_covariance_the_identity():
    rows = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)).double()
    made = whitening(rows.T @ rows / 50)
    assert (made.T @ rows.T @ rows @ made / 50).numpy() == pytest.approx(np.eye(6), abs=1e-10)


def test_whitening_drops_directions_without_variance():
    """The distance then equals that by the pseudo-inverse."""
    rows = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double()
    spread = rows @ torch.randn(3, 7, generator=torch.Generator().manual_seed(1)).double()
    singular = spread.T @ spread / 50
    made, values = whitening(singular), torch.randn(9, 7).double()
    assert int((made.abs().sum(0) > 0).sum()) == 3
    expected = (values @ torch.linalg.pinv(singular, hermitian=True) * values).sum(1)
    assert ((values @ made) ** 2).sum(1).numpy() == pytest.approx(expected.numpy(), rel=1e-8)
