"""What stands in the place of hidden pixels, beside other libraries and plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torchvision.transforms.v2.functional import gaussian_blur

from diagnostics.models import infill
from diagnostics.models.ensemble import EnsembleNetwork
from diagnostics.schema.preprocessing import Preprocessing
from tests.independent.slow_road import slow_road
from tests.networks_for_tests import classifier, mlp

COLOUR = Preprocessing(fit="none", height=8, width=8, mean=(0.2, 0.4, 0.6), std=(0.1, 0.2, 0.3))


def test_a_constant_and_the_mean_are_the_same_colour_everywhere():
    pixels = torch.rand(2, 3, 4, 5)
    assert (infill.constant(pixels, 0.5) == 0.5).all()
    for image, mean in zip(pixels, infill.image_mean(pixels), strict=True):
        assert torch.allclose(mean, image.flatten(1).mean(1)[:, None, None].expand(3, 4, 5))


@pytest.mark.parametrize("bgr", [False, True])
def test_the_mean_colour_is_zero_for_the_network(bgr):
    settings = replace(COLOUR, bgr=bgr)
    model = classifier(mlp(64, channels=3), 8, 3, preprocessing=settings)
    pixels = infill.dataset_mean(torch.rand(2, 3, 8, 8), model)
    assert model.network_input(pixels).abs().max() < 1e-6


def test_the_mean_colour_of_an_ensemble_is_the_mean_of_its_members_colours():
    other = Preprocessing(
        fit="none", height=8, width=8, value_range=255, mean=(102, 0, 0), std=(1, 1, 1)
    )
    members = [classifier(mlp(64, channels=3), 8, 3, preprocessing=s) for s in (COLOUR, other)]
    ensemble = classifier(EnsembleNetwork(members), 8, 3)
    assert infill.mean_colour(ensemble).tolist() == pytest.approx([0.3, 0.2, 0.3])


@pytest.mark.parametrize(("height", "width"), [(28, 28), (9, 30)])
@pytest.mark.parametrize(("sigma_px", "radius_px"), [(1.4, 4), (0.9, 3), (2.8, 9)])
def test_a_blur_is_that_of_scipy_and_of_torchvision(height, width, sigma_px, radius_px):
    pixels = torch.rand(2, 3, height, width, dtype=torch.float64)
    radius = min(radius_px, min(height, width) - 1)
    blurred = infill.gaussian_blur(pixels, sigma_px, radius)
    expected = gaussian_filter(pixels.numpy(), sigma_px, mode="mirror", axes=(2, 3), radius=radius)
    np.testing.assert_allclose(blurred, expected, atol=1e-12)
    vision = gaussian_blur(pixels, [2 * radius + 1] * 2, [sigma_px] * 2)
    np.testing.assert_allclose(blurred, vision, atol=1e-7)


def test_a_blur_reaches_no_farther_than_the_image():
    pixels = torch.rand(1, 1, 3, 5)
    assert infill.gaussian_blur(pixels, 2.0, 50).shape == pixels.shape
    assert infill.gaussian_blur(pixels[..., :1, :1], 2.0, 50) == pixels[..., :1, :1]


def test_a_blurred_point_spreads_as_far_as_its_standard_deviation():
    point = torch.zeros(1, 1, 41, 41)
    point[0, 0, 20, 20] = 1
    spread = infill.gaussian_blur(point, 4.1, 13)[0, 0]
    offsets = torch.arange(41.0) - 20
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    assert (spread.sum(0) * offsets**2).sum().sqrt() == pytest.approx(4.1, rel=0.03)


def normal_noise(pixels, seed):
    return infill.normal_noise(pixels, 1.0, seed)


@pytest.mark.parametrize("draw", [infill.uniform_noise, normal_noise])
def test_noise_is_the_same_for_every_image_and_one_seed(draw):
    pixels = torch.rand(3, 1, 20, 20)
    noise = draw(pixels, 4)
    assert (noise == noise[:1]).all()
    assert (noise == draw(pixels, 4)).all()
    assert (noise != draw(pixels, 5)).any()


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_road_solves_the_system_of_its_paper(share):
    torch.manual_seed(4)
    pixels = torch.rand(2, 3, 9, 7)
    shown = torch.rand(2, 9, 7) < share
    shown[:, 4, 3] = True
    visible = shown[:, None].float()
    imputed = infill.road(pixels, visible, torch.zeros_like(pixels))
    for image, mask, expected in zip(imputed, shown, pixels, strict=True):
        assert image.numpy() == pytest.approx(slow_road(expected.numpy(), mask.numpy()), abs=2e-3)


def test_road_gives_the_mean_colour_where_nothing_is_visible():
    pixels = torch.rand(2, 3, 4, 4)
    nothing = torch.zeros(2, 1, 4, 4)
    imputed = infill.road(pixels, nothing, torch.zeros_like(pixels))
    assert torch.equal(imputed, infill.image_mean(pixels))
