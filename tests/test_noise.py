import numpy as np
import pytest

from diagnostics import noise


@pytest.mark.parametrize("kind", noise.KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_seed_gives_the_same_image(kind, channels):
    first, again = (noise.generate(kind, 9, 7, channels, seed=3) for _ in range(2))
    assert first.shape == (9, 7, channels)
    assert first.dtype == np.uint8
    assert (first == again).all()


@pytest.mark.parametrize("kind", ["uniform", "gaussian"])
def test_another_seed_gives_another_image(kind):
    assert (noise.generate(kind, 8, 8, 1, seed=0) != noise.generate(kind, 8, 8, 1, seed=1)).any()


def test_uniform_noise_uses_every_level_alike():
    values = noise.generate("uniform", 256, 256, 1)
    counts = np.bincount(values.ravel(), minlength=256)
    expected = 256 * 256 / 256
    assert ((counts - expected) ** 2 / expected).sum() < 400  # chi-square, 255 degrees: p < 1e-8


def test_gaussian_noise_has_the_stated_mean_and_spread():
    values = noise.generate("gaussian", 256, 256, 1, level=0.5) / 255
    assert values.mean() == pytest.approx(0.5, abs=0.005)
    inside = np.abs(values - 0.5) < 0.25
    assert inside.mean() == pytest.approx(0.6827, abs=0.01)


@pytest.mark.parametrize(("level", "value"), [(0.0, 0), (1.0, 255), (0.5, 128)])
def test_a_blank_is_one_level(level, value):
    assert (noise.generate("constant", 3, 3, 3, level=level) == value).all()


def test_shuffling_keeps_the_pixels_and_moves_them_whole():
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    shuffled = noise.shuffle(image, seed=1)
    assert (shuffled != image).any()
    before = sorted(map(tuple, image.reshape(-1, 3).tolist()))
    assert sorted(map(tuple, shuffled.reshape(-1, 3).tolist())) == before


def test_salt_and_pepper_turns_the_stated_share_black_or_white():
    values = noise.generate("salt-and-pepper", 200, 200, 3, level=0.3)
    assert set(np.unique(values)) == {0, 128, 255}
    assert (values == values[..., :1]).all()
    assert (values[..., 0] == 0).mean() == pytest.approx(0.15, abs=0.01)
    assert (values[..., 0] == 255).mean() == pytest.approx(0.15, abs=0.01)


def test_a_checkerboard_has_eight_squares_along_the_shorter_side():
    values = noise.generate("checkerboard", 16, 32, 1, level=1.0)[..., 0]
    assert values[0, :4].tolist() == [0, 0, 255, 255]
    assert (values[2:4, :2] == 255).all()
    assert values.mean() == 127.5
