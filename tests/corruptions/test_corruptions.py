"""What each corruption does, held against closed forms, Pillow, torchvision and plain loops."""

from __future__ import annotations

import colorsys
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, special, stats
from torchvision.transforms import functional as vision

from diagnostics.corruptions.intensity import otsu
from diagnostics.corruptions.registry import corrupt, corruptions, find, names
from diagnostics.errors import OptionError
from tests.independent import slow_imagenet_c

SEVERITIES = {name: find(name).severities for name in names() if find(name).severities}


def image(channels=3, height=20, width=14, seed=1):
    """Whole 255ths, smooth with some grain, so that neighbours are alike but not the same."""
    random = np.random.default_rng(seed)
    rough = random.random((height, width, channels))
    smooth = ndimage.gaussian_filter(rough, (2, 2, 0), mode="nearest")
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return (np.rint(smooth * 255) / 255).astype(np.float32)


def corrupted(name, value, values, seed=0):
    return corrupt(values, [(name, value)], seed)


def neighbourhoods(values, down, across, edges):
    """Return every pixel's neighbours as float64, shape (h, w, c, 2 down + 1, 2 across + 1)."""
    pads = ((down, down), (across, across), (0, 0))
    padded = np.pad(values.astype(float), pads, mode=edges)
    window = (2 * down + 1, 2 * across + 1)
    return np.lib.stride_tricks.sliding_window_view(padded, window, axis=(0, 1))


def mixed(values, kernel, edges):
    """Return the weighed sum of every pixel's neighbours, added up one by one."""
    down, across = kernel.shape[0] // 2, kernel.shape[1] // 2
    return (neighbourhoods(values, down, across, edges) * (kernel / kernel.sum())).sum((-2, -1))


def bell(sigma, reach):
    """Return the square of a normal density about its middle."""
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.outer(line, line)


def test_those_of_benchmarks_are_offered_last():
    published = [name.startswith("imagenet_c_") for name in names()]
    assert published == sorted(published)
    assert names()[0] == "contrast"


def test_a_corruption_that_does_not_exist_names_those_that_do():
    with pytest.raises(OptionError, match="no corruption 'rain'; there are contrast"):
        find("rain")


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("channels", [1, 3])
def test_a_corruption_keeps_the_shape_and_the_range_and_leaves_its_input_alone(name, channels):
    corruption, values = find(name), image(channels)
    before = values.copy()
    for value in corruption.values(5, None, None):
        result = corrupted(name, value, values)
        assert result.shape == values.shape
        assert result.dtype == np.float32
        assert np.isfinite(result).all()
        assert corruption.out_of_range or (result.min() >= 0 and result.max() <= 1)
    assert (values == before).all()


@pytest.mark.parametrize("name", [name for name in names() if find(name).identity is not None])
def test_the_identity_is_among_the_steps_and_leaves_every_value_as_it_is(name):
    corruption, values = find(name), image()
    steps = corruption.values(21, None, None)
    assert corruption.identity in steps
    assert (corrupted(name, corruption.identity, values) == values).all()
    other = next(value for value in reversed(steps) if value != corruption.identity)
    assert (corrupted(name, other, values) != values).any()


GRADUAL = [
    "contrast",
    "value_range",
    "faded",
    "inverted",
    "brightness",
    "saturation",
    "blur",
    "gaussian_noise",
    "uniform_noise",
    "speckle_noise",
    "out_of_focus",
    "motion",
    "rotated",
]


@pytest.mark.parametrize("name", GRADUAL)
def test_next_to_the_identity_hardly_anything_changes(name):
    """What is done there tends to nothing, so the curve has no step where it begins."""
    corruption, values = find(name), image()
    start, stop = corruption.default_range
    towards = stop if stop != corruption.identity else start
    near = corruption.identity + 1e-4 * (towards - corruption.identity)
    largest = 0.03 if name == "value_range" else 0.003
    assert 0 <= np.abs(corrupted(name, near, values) - values).max() < largest


@pytest.mark.parametrize("name", names())
def test_the_same_seed_gives_the_same_image(name):
    values = image()
    value = find(name).default_range[1]
    assert (corrupted(name, value, values, 3) == corrupted(name, value, values, 3)).all()
    if "noise" in name:
        assert (corrupted(name, value, values, 3) != corrupted(name, value, values, 4)).any()
        assert (corrupted(name, value, values, 3) != corrupted(name, value, image(seed=2), 3)).any()


def test_the_contrast_curve_has_the_values_of_the_logistic():
    """At slope 25, on 0..255: f(64) = 1.97e-3 and f(191) = 0.99803, before the ends are kept."""
    values = (np.array([0, 64, 127.5, 191, 255]) / 255).astype(np.float32)[:, None, None]
    plain = special.expit(25 * (values[:, 0, 0].astype(float) - 0.5))
    assert plain[[0, 1, 3, 4]] == pytest.approx([3.73e-6, 1.97e-3, 0.99803, 0.9999963], rel=5e-3)
    result = corrupted("contrast", 25, values)[:, 0, 0]
    assert result == pytest.approx((plain - plain[0]) / (plain[-1] - plain[0]), abs=1e-6)
    assert (result[0], result[-1]) == (0, 1)
    assert np.isfinite(corrupted("contrast", 10_000, values)).all()


def test_a_slope_near_zero_is_the_identity_and_a_steep_one_the_threshold():
    values = image()
    assert corrupted("contrast", 1e-3, values) == pytest.approx(values, abs=1e-6)
    assert (corrupted("contrast", 1e4, values).round() == corrupted("threshold", 0.5, values)).all()


def test_the_value_range_is_a_factor_and_nothing_is_clipped():
    values = image()
    assert corrupted("value_range", 255, values) == pytest.approx(255 * values, rel=1e-6)
    assert corrupted("value_range", 1 / 255, values).max() < 0.004


def test_brightness_is_hsv_value_plus_the_number():
    values = image(3, 6, 5)
    values[0, 0] = 0
    for added in (0.3, -0.25):
        result = corrupted("brightness", added, values)
        for before, after in zip(values.reshape(-1, 3), result.reshape(-1, 3), strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*before.astype(float))
            expected = colorsys.hsv_to_rgb(hue, saturation, min(max(value + added, 0), 1))
            assert after == pytest.approx(expected, abs=1e-6)
    grey = image(1)
    assert corrupted("brightness", 0.2, grey) == pytest.approx(np.clip(grey + 0.2, 0, 1), abs=1e-6)


def test_fading_keeps_each_channels_mean_and_scales_its_spread():
    values = image()
    result = corrupted("faded", 0.3, values).astype(float)
    assert result.mean((0, 1)) == pytest.approx(values.astype(float).mean((0, 1)), abs=1e-6)
    assert result.std((0, 1)) == pytest.approx(0.3 * values.astype(float).std((0, 1)), rel=1e-5)


def test_colour_is_torchvisions_saturation():
    values = image()
    pixels = torch.from_numpy(values).movedim(2, 0)
    for factor in (0.0, 0.5, 1.7):
        expected = vision.adjust_saturation(pixels, factor).movedim(0, 2).numpy()
        assert corrupted("saturation", factor, values) == pytest.approx(expected, abs=2e-4)
    assert (corrupted("saturation", 0, image(1)) == image(1)).all()


def test_noise_has_the_stated_size():
    grey = np.full((200, 200, 3), 0.5, np.float32)
    count = grey.size
    added = corrupted("gaussian_noise", 0.1, grey) - 0.5
    assert added.std() == pytest.approx(0.1, rel=5 / math.sqrt(2 * count))
    even = corrupted("uniform_noise", 0.3, grey) - 0.5
    assert stats.kstest(even.ravel() / 0.6 + 0.5, "uniform").pvalue > 1e-4
    speckle = corrupted("speckle_noise", 0.2, grey) - 0.5
    assert speckle.std() == pytest.approx(0.1, rel=5 / math.sqrt(2 * count))
    struck = corrupted("impulse_noise", 0.2, grey)
    assert (struck != 0.5).mean() == pytest.approx(0.2, abs=0.006)
    assert (struck == 1).mean() == pytest.approx(0.1, abs=0.005)


@pytest.mark.parametrize("photons", [3, 250, 1000])
def test_counts_of_photons_are_poisson_quantiles_of_one_draw_a_value(photons):
    values = np.linspace(0, 0.9, 300, dtype=np.float32).reshape(10, 30, 1)
    same = np.random.default_rng(5), np.random.default_rng(5)
    noisy = find("shot_noise").function(values, photons, same[0]).astype(float)
    counts, draws = noisy.ravel() * photons, same[1].random(values.size)
    assert counts == pytest.approx(counts.round(), abs=1e-3)
    assert counts[0] == 0
    for count, draw, value in zip(counts.round(), draws, values.ravel(), strict=True):
        mean, up_to = float(value) * photons, np.arange(count + 1)
        if mean and count < photons:  # not clipped
            log = up_to * math.log(mean) - mean - special.gammaln(up_to + 1)
            probabilities = np.exp(log)
            assert probabilities.sum() >= draw - 1e-12
            assert probabilities[:-1].sum() <= draw + 1e-12


@pytest.mark.parametrize("name", ["gaussian_noise", "uniform_noise", "speckle_noise"])
def test_steps_of_a_corruption_share_their_draw(name):
    values = np.full((8, 8, 1), 0.5, np.float32)
    small, large = (corrupted(name, step, values) - 0.5 for step in (0.01, 0.02))
    assert large == pytest.approx(2 * small, abs=1e-6)


def test_values_struck_by_impulses_stay_struck():
    values = image()
    few, many = (corrupted("impulse_noise", share, values) for share in (0.1, 0.3))
    struck = few != values
    assert (many[struck] == few[struck]).all()


def test_otsus_level_leaves_the_least_variance_within_the_two_groups():
    for seed in range(5):
        grey = image(1, seed=seed).astype(float)

        def within(level, grey=grey):
            parts = (grey[grey > level], grey[grey <= level])
            return sum(len(part) * part.var() for part in parts if len(part))

        least = min(within(level) for level in np.unique(grey))
        assert within(otsu(image(1, seed=seed))) == pytest.approx(least, rel=1e-9)


def test_otsu_of_two_levels_lies_between_and_of_one_is_the_middle():
    assert 0.2 < otsu(np.array([0.2, 0.2, 0.6], np.float32)[:, None, None]) < 0.6
    assert otsu(np.ones((3, 3, 1), np.float32)) == 0.5


def test_blur_weighs_neighbours_by_a_gaussian():
    values = image()
    for sigma in (0.5, 1.3, 3.0):
        expected = mixed(values, bell(sigma, int(4 * sigma + 0.5)), "symmetric")
        assert corrupted("blur", sigma, values) == pytest.approx(expected, abs=1e-6)


def test_a_disk_of_half_a_pixel_is_no_blur_and_a_wide_one_keeps_an_even_grey():
    values = image()
    assert corrupted("out_of_focus", 1e-9, values) == pytest.approx(values, abs=1e-6)
    even = np.full((9, 9, 1), 0.3, np.float32)
    for name in ("out_of_focus", "motion"):
        assert corrupted(name, 5, even) == pytest.approx(even, abs=1e-6)


def test_out_of_focus_averages_over_a_disk():
    values = image()
    distance = np.hypot(*np.indices((7, 7)) - 3)
    disk = np.where(distance <= 1.8, 1, np.where(distance >= 2.8, 0, 2.8 - distance))
    expected = mixed(values, disk, "edge")
    assert corrupted("out_of_focus", 2.3, values) == pytest.approx(expected, abs=1e-6)


def test_motion_averages_along_rows_alone():
    values = image(1)
    expected = mixed(values, np.ones((1, 5)), "edge")
    assert corrupted("motion", 4.0, values) == pytest.approx(expected, abs=1e-6)


def test_a_turn_of_right_angles_moves_whole_pixels_and_four_of_them_none():
    values = image(3, 16, 16)
    for quarter in (1, 2, 3):
        expected = np.rot90(values, quarter)
        assert corrupted("rotated", 90.0 * quarter, values) == pytest.approx(expected, abs=1e-6)
    assert corrupted("rotated", 360, image()) == pytest.approx(image(), abs=1e-6)
    assert corrupted("rotated", -90, values) == pytest.approx(
        corrupted("rotated", 270, values), abs=1e-6
    )


def test_a_turn_is_torchvisions_away_from_the_edges():
    values = image(3, 32, 32)
    pixels = torch.from_numpy(values).movedim(2, 0)
    rows, columns = np.indices((32, 32)) - 15.5
    inside = np.hypot(rows, columns) < 14
    for degrees in (13.0, -77.0):
        theirs = vision.rotate(pixels, degrees, vision.InterpolationMode.BILINEAR)
        expected = theirs.movedim(0, 2).numpy()[inside]
        assert corrupted("rotated", degrees, values)[inside] == pytest.approx(expected, abs=1e-4)


def test_shifts_move_whole_pixels_and_repeat_the_edge():
    values = image(1, 10, 10)
    right = corrupted("shifted_right", 20, values)
    assert (right[:, 2:] == values[:, :-2]).all()
    assert (right[:, :2] == values[:, :1]).all()
    assert (corrupted("shifted_down", -30, values)[:-3] == values[3:]).all()
    assert (corrupted("shifted_right", 100, values) == values[:, :1]).all()


def test_twice_the_size_shows_the_middle_half():
    values = image(3, 16, 16)
    expected = np.asarray(
        Image.fromarray(np.rint(values * 255).astype(np.uint8)).resize((32, 32), 2), np.float32
    )
    assert corrupted("scaled", 2, values) == pytest.approx(expected[8:24, 8:24] / 255, abs=1e-6)
    small = corrupted("scaled", 0.5, values)
    assert (small[0] == small[4]).all()  # the edge is repeated outwards


@pytest.mark.parametrize(("height", "width"), [(20, 20), (20, 8), (8, 20)])
def test_a_crop_keeps_the_same_share_of_height_and_width_and_blanks_the_rest(height, width):
    values = image(3, height, width)
    rows = slice(height // 4, height - height // 4)
    columns = slice(width // 4, width - width // 4)
    inside = np.zeros((height, width), bool)
    inside[rows, columns] = True
    result = corrupted("cropped", 0.5, values)
    assert (result[inside] == values[inside]).all()
    mean = np.broadcast_to(values.mean((0, 1)), (height, width, 3))
    assert result[~inside] == pytest.approx(mean[~inside], abs=1e-6)
    assert np.ptp(corrupted("cropped", 0, values), (0, 1)) == pytest.approx(0)


def test_strokes_grow_to_the_brightest_and_shrink_to_the_darkest_of_their_neighbours():
    values = image()
    for px in (1, 3):
        around = neighbourhoods(values, px, px, "edge")
        assert (corrupted("thickened", px, values) == around.max((-2, -1))).all()
        assert (corrupted("thickened", -px, values) == around.min((-2, -1))).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pillows(channels):
    values = image(channels)
    levels = np.rint(values * 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(levels[..., 0] if channels == 1 else levels).save(stream, "JPEG", quality=30)
    expected = np.asarray(Image.open(stream), np.float32).reshape(values.shape) / 255
    assert corrupted("jpeg", 30, values) == pytest.approx(expected, abs=1e-6)


def test_pixelation_makes_even_blocks_of_their_mean():
    values = image(1, 16, 16)
    result = corrupted("pixelated", 0.25, values)
    blocks = values.reshape(4, 4, 4, 4, 1).mean((1, 3))
    assert result == pytest.approx(blocks.repeat(4, 0).repeat(4, 1), abs=1 / 255)


def test_severities_of_imagenet_c_are_the_published_constants():
    """hendrycks/robustness, make_imagenet_c.py."""
    assert SEVERITIES == {
        "imagenet_c_blur": (1, 2, 3, 4, 6),
        "imagenet_c_defocus": (3, 4, 6, 8, 10),
        "imagenet_c_contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
        "imagenet_c_pixelate": (0.6, 0.5, 0.4, 0.3, 0.25),
        "imagenet_c_jpeg": (25, 18, 15, 10, 7),
        "imagenet_c_brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
        "imagenet_c_noise": (0.08, 0.12, 0.18, 0.26, 0.38),
        "imagenet_c_shot": (60, 25, 12, 5, 3),
        "imagenet_c_impulse": (0.03, 0.06, 0.09, 0.17, 0.27),
        "imagenet_c_speckle": (0.15, 0.2, 0.35, 0.45, 0.6),
    }


def test_each_severity_does_what_its_constant_says():
    values = image(3, 40, 40)
    for place in range(5):
        sigma = SEVERITIES["imagenet_c_blur"][place]
        blurred = mixed(values, bell(sigma, 4 * sigma), "edge")
        assert corrupted("imagenet_c_blur", place + 1, values) == pytest.approx(blurred, abs=1e-6)
        for name, plain in (("contrast", "faded"), ("brightness", "brightness")):
            by_severity = corrupted(f"imagenet_c_{name}", place + 1, values)
            constant = SEVERITIES[f"imagenet_c_{name}"][place]
            assert (by_severity == corrupted(plain, constant, values)).all()
        for name, plain in (("pixelate", "pixelated"), ("jpeg", "jpeg")):
            by_severity = corrupted(f"imagenet_c_{name}", place + 1, values)
            constant = SEVERITIES[f"imagenet_c_{name}"][place]
            assert (by_severity == corrupted(plain, constant, values)).all()
    grey = np.full((100, 100, 3), 0.5, np.float32)
    assert corrupted("imagenet_c_noise", 1, grey).std() == pytest.approx(0.08, rel=0.02)
    assert corrupted("imagenet_c_speckle", 1, grey).std() == pytest.approx(0.5 * 0.15, rel=0.02)
    assert (corrupted("imagenet_c_impulse", 2, grey) != 0.5).mean() == pytest.approx(0.06, rel=0.1)
    counts = corrupted("imagenet_c_shot", 1, grey).astype(float) * 60
    assert counts == pytest.approx(counts.round(), abs=1e-4)
    assert counts.var() == pytest.approx(30, rel=0.05)  # a Poisson number's variance is its mean


def test_defocus_has_the_weights_of_the_benchmark_also_where_they_do_not_sum_to_one():
    values = image(1, 24, 22)
    for severity in range(1, 6):
        result = corrupted("imagenet_c_defocus", severity, values)
        assert result == pytest.approx(slow_imagenet_c.defocus(values, severity), abs=1e-6)
    sums = [slow_imagenet_c.defocus_kernel(*shape).sum() for shape in slow_imagenet_c.DEFOCUS]
    assert sums[:3] == pytest.approx([1, 1, 1])
    white = corrupted("imagenet_c_defocus", 4, np.full((9, 9, 1), 0.5, np.float32))
    assert white == pytest.approx(0.5 * sums[3], abs=1e-6)
    assert abs(sums[3] - 1) > 1e-3


def test_a_severity_between_two_is_the_nearest_and_never_the_worst():
    values = image()
    assert (corrupted("imagenet_c_noise", 0.4, values) == values).all()
    for between, nearest in ((0.6, 1), (2.4, 2), (4.9, 5)):
        expected = corrupted("imagenet_c_noise", nearest, values)
        assert (corrupted("imagenet_c_noise", between, values) == expected).all()


def test_two_corruptions_are_applied_one_after_the_other():
    values = image()
    both = corrupt(values, [("blur", 1.0), ("contrast", 25)], 0)
    assert (both == corrupted("contrast", 25, corrupted("blur", 1.0, values))).all()


def test_steps_go_from_end_to_end_and_hold_the_identity():
    assert find("contrast").values(3, None, None) == (0, 25, 50)
    assert find("rotated").values(2, -30, 45) == (-30, 0, 45)
    assert find("faded").values(2, 0.2, 0.8) == (0.2, 0.8)
    assert find("value_range").values(3, 0.01, 100) == (0.01, 1, 100)
    assert find("thickened").values(101, None, None) == (-3, -2, -1, 0, 1, 2, 3)
    assert find("jpeg").values(4, None, None) == (100, 67, 34, 1)
    assert find("scaled").values(5, None, None) == pytest.approx((0.25, 0.5, 1, 2, 4), rel=1e-4)


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (-1, 5), (0, 1e9), (float("nan"), 1)])
def test_ends_outside_the_limits_are_refused(start, stop):
    with pytest.raises(OptionError):
        find("contrast").values(5, start, stop)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3)])
def test_images_of_a_pixel_or_two_do_not_fail(size):
    values = np.full((*size, 3), 0.25, np.float32)
    for name, corruption in corruptions().items():
        for value in corruption.values(5, None, None):
            assert corrupted(name, value, values).shape == values.shape


def test_every_corruption_has_a_title_a_unit_and_a_sentence():
    assert len({one.title for one in corruptions().values()}) == len(names())
    for one in corruptions().values():
        assert one.unit
        assert one.phrase.count("{}") == 1
        assert one.summary.endswith(".")
        assert one.limits[0] <= min(one.default_range) < max(one.default_range) <= one.limits[1]
