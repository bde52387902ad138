import numpy as np
import pytest
from PIL import Image

from diagnostics.data import noise
from diagnostics.data.image import decode
from diagnostics.errors import InputError, OptionError


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


def pictures(channels=3, count=3, height=12, width=10):
    """Images with a gradient, correlated channels and fine grain, in [0, 1]."""
    random = np.random.default_rng(7)
    shape = (count, height, width, channels)
    ramp = np.linspace(0, 0.4, height)[:, None, None]
    return list(ramp + 0.3 * random.random((*shape[:3], 1)) + 0.3 * random.random(shape))


def drawn(family, number, *, channels=3, seed=5, images=None, mean=0.4, std=0.1):
    return noise.draw(
        family,
        number,
        height=12,
        width=10,
        channels=channels,
        seed=seed,
        images=pictures(channels) if images is None else images,
        mean=[mean] * channels,
        std=[std] * channels,
    )


def fourier(channel):
    """The discrete Fourier transform written out as its sum."""
    rows, columns = (
        np.exp(-2j * np.pi * np.outer(np.arange(size), np.arange(size)) / size)
        for size in channel.shape
    )
    return rows @ channel @ columns


@pytest.mark.parametrize(("height", "width"), [(12, 10), (9, 7), (1, 6), (5, 1)])
def test_scrambling_phases_keeps_the_amplitude_of_every_frequency(height, width):
    image = pictures(3, 1, height, width)[0]
    scrambled = noise.with_random_phases(image, seed=2)
    assert scrambled.shape == image.shape
    for c in range(3):
        before, after = fourier(image[..., c]), fourier(scrambled[..., c])
        np.testing.assert_allclose(np.abs(after), np.abs(before), atol=1e-9)


def test_scrambling_phases_keeps_means_also_below_zero():
    image = pictures(3, 1)[0] - [0.0, 0.3, 2.0]
    for seed in range(8):
        scrambled = noise.with_random_phases(image, seed=seed)
        np.testing.assert_allclose(scrambled.mean((0, 1)), image.mean((0, 1)), atol=1e-12)


def test_scrambled_channels_share_their_phases():
    spectrum = np.fft.fft2(noise.with_random_phases(pictures(3, 1)[0], seed=4), axes=(0, 1))
    turns = spectrum / np.abs(spectrum)
    np.testing.assert_allclose(turns[..., 1:], turns[..., :1].repeat(2, -1), atol=1e-9)


def test_scrambling_leaves_nothing_of_where_things_were():
    image = np.zeros((32, 32, 1))
    image[4:12, 6:14] = 1
    many = [noise.with_random_phases(image, seed=seed)[..., 0] for seed in range(400)]
    similar = [np.corrcoef(one.ravel(), image.ravel())[0, 1] for one in many]
    assert np.mean(similar) == pytest.approx(0, abs=4 * np.std(similar) / 20)
    np.testing.assert_allclose(np.mean(many, 0), image.mean(), atol=0.1)


def test_a_phase_scrambled_image_stays_an_image():
    image = np.zeros((16, 16, 1))
    image[3, 5] = 1
    scrambled = noise.phase_scrambled(image, seed=1)
    inside = np.clip(noise.with_random_phases(image, seed=1), 0, 1)
    assert (scrambled == inside).all()
    assert scrambled.min() == 0


def test_matched_noise_has_the_mean_and_spread_of_each_channel():
    mean, std = [0.5, 0.4, 0.6], [0.05, 0.1, 0.08]
    values = noise.matched_gaussian(mean, std, 300, 200, seed=3)
    assert values.shape == (300, 200, 3)
    error = np.array(std) / np.sqrt(300 * 200)
    assert (np.abs(values.mean((0, 1)) - mean) < 5 * error).all()
    assert (np.abs(values.std((0, 1)) - std) < 5 * error).all()
    assert abs(np.corrcoef(values.reshape(-1, 3).T)[0, 1]) < 0.02


def test_matched_noise_is_cut_off_where_the_normal_distribution_says():
    values = noise.matched_gaussian([0.3], [0.3], 300, 200, seed=3)
    below, above = 0.158655, 0.009815  # normal distribution below -1 and above 7/3
    assert (values == 0).mean() == pytest.approx(below, abs=0.006)
    assert (values == 1).mean() == pytest.approx(above, abs=0.002)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("family", noise.FAMILIES)
def test_a_draw_is_exact_in_an_eight_bit_file(family, channels, tmp_path):
    for number in range(5):
        values = drawn(family, number, channels=channels, std=0.5)
        assert values.shape == (12, 10, channels)
        assert values.dtype == np.float32
        levels = np.rint(values * 255).astype(np.uint8)
        Image.fromarray(levels.squeeze()).save(tmp_path / "draw.png")
        again = decode((tmp_path / "draw.png").read_bytes()).values
        assert (again.reshape(values.shape) == values).all()


@pytest.mark.parametrize("family", noise.FAMILIES)
def test_a_draw_does_not_depend_on_the_draws_before_it(family):
    forward = [drawn(family, number) for number in range(6)]
    backward = [drawn(family, number) for number in reversed(range(6))][::-1]
    np.testing.assert_array_equal(forward, backward)
    np.testing.assert_array_equal(drawn(family, 5), forward[5])


@pytest.mark.parametrize("family", noise.FAMILIES)
def test_the_first_hundred_draws_all_differ(family):
    values = {drawn(family, number).tobytes() for number in range(100)}
    assert len(values) == 100


@pytest.mark.parametrize("family", [name for name in noise.FAMILIES if name != "constant"])
def test_another_seed_gives_other_draws(family):
    assert (drawn(family, 1, seed=1) != drawn(family, 1, seed=2)).any()


def test_families_of_one_seed_are_drawn_apart():
    point = np.zeros((12, 10, 1))
    point[0, 0] = 1  # the same amplitude everywhere: scrambled, it shows the noise of its phases
    for number in range(5):
        scrambled = drawn("phase", number, channels=1, images=[point])
        gaussian = drawn("gaussian", number, channels=1)
        assert abs(np.corrcoef(scrambled.ravel(), gaussian.ravel())[0, 1]) < 0.4


def test_a_shuffled_draw_has_the_values_of_its_image():
    images = pictures(3, 2)
    for number in range(4):
        levels = np.rint(images[number % 2] * 255).reshape(-1, 3)
        found = np.rint(drawn("shuffled", number, images=images) * 255).reshape(-1, 3)
        assert sorted(map(tuple, found)) == sorted(map(tuple, levels))


def test_a_phase_draw_is_the_image_scrambled_clipped_and_rounded():
    image = pictures(3, 1)[0]
    values = drawn("phase", 3, images=[image])
    amplitudes = [np.abs(np.fft.fft2(one, axes=(0, 1))) for one in (image, values)]
    assert np.corrcoef(*(one.ravel() for one in amplitudes))[0, 1] > 0.99
    np.testing.assert_allclose(values.mean((0, 1)), image.mean((0, 1)), atol=0.02)


def test_a_gaussian_draw_has_the_mean_and_spread_given():
    values = np.stack([drawn("gaussian", number) for number in range(100)])
    assert values.mean() == pytest.approx(0.4, abs=0.003)
    assert values.std() == pytest.approx(0.1, abs=0.002)


def test_blanks_begin_with_black_grey_and_white_and_spread_evenly():
    blanks = [drawn("constant", number) for number in range(256)]
    assert all((one == one[0, 0, 0]).all() for one in blanks)
    levels = [round(float(one[0, 0, 0]) * 255) for one in blanks]
    assert levels[:3] == [0, 128, 255]
    assert sorted(levels) == list(range(256))
    for count, widest in ((17, 16), (33, 8), (65, 4)):
        assert np.diff(sorted(levels[:count])).max() <= widest
    assert noise.FAMILIES["constant"].distinct == 256
    assert (drawn("constant", 256) == blanks[0]).all()


def test_checkerboards_have_two_levels_and_squares_of_many_sizes():
    sizes = set()
    for number in range(60):
        values = drawn("checkerboard", number)
        first, second = values[0, 0], values[~(values == values[0, 0]).all(-1)][0]
        assert (first != second).all()
        light = (values == first).all(-1)
        assert (light | (values == second).all(-1)).all()
        square = int(np.argmin(light[0]))
        assert (light[0] == (np.arange(10) // square % 2 == 0)).all()
        assert (light[:, 0] == (np.arange(12) // square % 2 == 0)).all()
        sizes.add(square)
    assert sizes == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("family", noise.FAMILIES)
def test_only_families_made_of_images_need_them(family):
    if not noise.FAMILIES[family].needs_images:
        assert drawn(family, 0, images=[]).shape == (12, 10, 3)
        return
    with pytest.raises(InputError, match="made of your own images"):
        drawn(family, 0, images=[])


def test_an_unknown_family_is_refused_with_the_known_ones():
    with pytest.raises(OptionError, match=r"uniform, gaussian, shuffled, phase, constant, check"):
        drawn("pink", 0)
