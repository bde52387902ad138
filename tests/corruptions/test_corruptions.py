"""What each alteration does, held against closed forms, Pillow, torchvision and scipy."""

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

from diagnostics.corruptions import intensity as tone
from diagnostics.corruptions import spatial as shape
from diagnostics.corruptions.registry import AXES, IMAGENET_C, NAMES, altered
from diagnostics.errors import OptionError

RANDOM = np.random.default_rng(0)


def image(channels=3, height=20, width=14, seed=1):
    """Whole 255ths, smooth with some grain, so that neighbours are alike but not the same."""
    random = np.random.default_rng(seed)
    rough = random.random((height, width, channels))
    smooth = ndimage.gaussian_filter(rough, (2, 2, 0), mode="nearest")
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return (np.rint(smooth * 255) / 255).astype(np.float32)


def along(name, value, values, seed=0):
    return altered(values, [(name, value)], seed)


def test_every_name_has_an_axis():
    assert set(NAMES) == set(AXES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_axis_keeps_the_shape_and_the_range_and_leaves_its_input_alone(name, channels):
    axis, values = AXES[name], image(channels)
    before = values.copy()
    for value in axis.values(5, None, None):
        made = along(name, value, values)
        assert made.shape == values.shape
        assert made.dtype == np.float32
        assert np.isfinite(made).all()
        assert axis.beyond or (made.min() >= 0 and made.max() <= 1)
    assert (values == before).all()


@pytest.mark.parametrize("name", [name for name in NAMES if AXES[name].neutral is not None])
def test_the_neutral_number_is_on_the_way_and_leaves_every_value_as_it_is(name):
    axis, values = AXES[name], image()
    steps = axis.values(21, None, None)
    assert axis.neutral in steps
    assert (along(name, axis.neutral, values) == values).all()
    other = next(one for one in reversed(steps) if one != axis.neutral)
    assert (along(name, other, values) != values).any()


GRADUAL = [
    *("contrast", "value_range", "faded", "inverted", "brightness", "saturation", "blur"),
    *("gaussian_noise", "uniform_noise", "speckle_noise", "out_of_focus", "motion", "rotated"),
]


@pytest.mark.parametrize("name", GRADUAL)
def test_next_to_the_neutral_number_hardly_anything_changes(name):
    """What is done there tends to nothing, so the curve has no step where it begins."""
    axis, values = AXES[name], image()
    towards = axis.usual[1] if axis.usual[1] != axis.neutral else axis.usual[0]
    near = axis.neutral + 1e-4 * (towards - axis.neutral)
    most = 0.03 if name == "value_range" else 0.003
    assert 0 <= np.abs(along(name, near, values) - values).max() < most


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_image(name):
    values = image()
    value = AXES[name].usual[1]
    assert (along(name, value, values, 3) == along(name, value, values, 3)).all()
    if "noise" in name:
        assert (along(name, value, values, 3) != along(name, value, values, 4)).any()
        assert (along(name, value, values, 3) != along(name, value, image(seed=2), 3)).any()


def test_the_contrast_curve_has_the_values_of_the_logistic():
    """At slope 25, on 0..255: f(64) = 1.97e-3 and f(191) = 0.99803, before the ends are kept."""
    values = (np.array([0, 64, 127.5, 191, 255]) / 255).astype(np.float32)[:, None, None]
    plain = special.expit(25 * (values[:, 0, 0].astype(float) - 0.5))
    assert plain[[0, 1, 3, 4]] == pytest.approx([3.73e-6, 1.97e-3, 0.99803, 0.9999963], rel=5e-3)
    made = along("contrast", 25, values)[:, 0, 0]
    assert made == pytest.approx((plain - plain[0]) / (plain[-1] - plain[0]), abs=1e-6)
    assert (made[0], made[-1]) == (0, 1)
    assert np.isfinite(along("contrast", 10_000, values)).all()


def test_a_slope_near_zero_is_the_identity_and_a_steep_one_the_threshold():
    values = image()
    assert along("contrast", 1e-3, values) == pytest.approx(values, abs=1e-6)
    assert (along("contrast", 1e4, values).round() == along("threshold", 0.5, values)).all()


def test_the_value_range_is_a_factor_and_nothing_is_clipped():
    values = image()
    assert along("value_range", 255, values) == pytest.approx(255 * values, rel=1e-6)
    assert along("value_range", 1 / 255, values).max() < 0.004


def test_brightness_is_hsv_value_plus_the_number():
    values = image(3, 6, 5)
    values[0, 0] = 0
    for added in (0.3, -0.25):
        made = along("brightness", added, values)
        for before, after in zip(values.reshape(-1, 3), made.reshape(-1, 3), strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*before.astype(float))
            wanted = colorsys.hsv_to_rgb(hue, saturation, min(max(value + added, 0), 1))
            assert after == pytest.approx(wanted, abs=1e-6)
    grey = image(1)
    assert along("brightness", 0.2, grey) == pytest.approx(np.clip(grey + 0.2, 0, 1), abs=1e-6)


def test_fading_keeps_each_channels_mean_and_scales_its_spread():
    values = image()
    made = along("faded", 0.3, values).astype(float)
    assert made.mean((0, 1)) == pytest.approx(values.astype(float).mean((0, 1)), abs=1e-6)
    assert made.std((0, 1)) == pytest.approx(0.3 * values.astype(float).std((0, 1)), rel=1e-5)


def test_colour_is_torchvisions_saturation():
    values = image()
    pixels = torch.from_numpy(values).movedim(2, 0)
    for factor in (0.0, 0.5, 1.7):
        wanted = vision.adjust_saturation(pixels, factor).movedim(0, 2).numpy()
        assert along("saturation", factor, values) == pytest.approx(wanted, abs=2e-4)
    assert (along("saturation", 0, image(1)) == image(1)).all()


def test_noise_has_the_stated_size():
    grey = np.full((200, 200, 3), 0.5, np.float32)
    count = grey.size
    added = along("gaussian_noise", 0.1, grey) - 0.5
    assert added.std() == pytest.approx(0.1, rel=5 / math.sqrt(2 * count))
    even = along("uniform_noise", 0.3, grey) - 0.5
    assert stats.kstest(even.ravel() / 0.6 + 0.5, "uniform").pvalue > 1e-4
    speckle = along("speckle_noise", 0.2, grey) - 0.5
    assert speckle.std() == pytest.approx(0.1, rel=5 / math.sqrt(2 * count))
    struck = along("impulse_noise", 0.2, grey)
    assert (struck != 0.5).mean() == pytest.approx(0.2, abs=0.006)
    assert (struck == 1).mean() == pytest.approx(0.1, abs=0.005)


def test_counts_of_photons_are_poisson_quantiles():
    random = np.random.default_rng(5)
    draws, mean = random.random(4000), random.uniform(0, 300, 4000)
    mean[:50] = 0
    assert (tone._poisson(draws, mean) == stats.poisson.ppf(draws, mean)).mean() > 0.999
    assert (tone._poisson(draws, mean)[:50] == 0).all()


@pytest.mark.parametrize("name", ["gaussian_noise", "uniform_noise", "speckle_noise"])
def test_steps_of_an_axis_share_their_draw(name):
    values = np.full((8, 8, 1), 0.5, np.float32)
    small, large = (along(name, step, values) - 0.5 for step in (0.01, 0.02))
    assert large == pytest.approx(2 * small, abs=1e-6)


def test_values_struck_by_impulses_stay_struck():
    values = image()
    few, many = (along("impulse_noise", share, values) for share in (0.1, 0.3))
    struck = few != values
    assert (many[struck] == few[struck]).all()


def test_otsus_level_leaves_the_least_variance_within_the_two_groups():
    for seed in range(5):
        grey = image(1, seed=seed).astype(float)

        def within(level, grey=grey):
            parts = (grey[grey > level], grey[grey <= level])
            return sum(len(part) * part.var() for part in parts if len(part))

        least = min(within(level) for level in np.unique(grey))
        assert within(tone.otsu(image(1, seed=seed))) == pytest.approx(least, rel=1e-9)


def test_otsu_of_two_levels_lies_between_and_of_one_is_the_middle():
    assert 0.2 < tone.otsu(np.array([0.2, 0.2, 0.6], np.float32)[:, None, None]) < 0.6
    assert tone.otsu(np.ones((3, 3, 1), np.float32)) == 0.5


def test_blur_is_scipys_gaussian():
    values = image()
    for sigma in (0.5, 1.3, 3.0):
        wanted = ndimage.gaussian_filter(values.astype(float), (sigma, sigma, 0), mode="reflect")
        assert along("blur", sigma, values) == pytest.approx(wanted, abs=1e-6)
    assert (shape.blurred(values, 0, RANDOM) == values).all()


def test_a_disk_of_half_a_pixel_is_no_blur_and_a_wide_one_keeps_an_even_grey():
    values = image()
    assert along("out_of_focus", 1e-9, values) == pytest.approx(values, abs=1e-6)
    even = np.full((9, 9, 1), 0.3, np.float32)
    for name in ("out_of_focus", "motion"):
        assert along(name, 5, even) == pytest.approx(even, abs=1e-6)


def test_motion_averages_along_rows_alone():
    values = image(1)
    line = np.array([[1, 1, 1, 1, 1]]) / 5
    wanted = ndimage.convolve(values[..., 0].astype(float), line, mode="nearest")
    assert along("motion", 4.0, values)[..., 0] == pytest.approx(wanted, abs=1e-6)


def test_a_turn_of_right_angles_moves_whole_pixels_and_four_of_them_none():
    values = image(3, 16, 16)
    for quarter in (1, 2, 3):
        wanted = np.rot90(values, quarter)
        assert along("rotated", 90.0 * quarter, values) == pytest.approx(wanted, abs=1e-6)
    assert along("rotated", 360, image()) == pytest.approx(image(), abs=1e-6)
    assert along("rotated", -90, values) == pytest.approx(along("rotated", 270, values), abs=1e-6)


def test_a_turn_is_torchvisions_away_from_the_edges():
    values = image(3, 32, 32)
    pixels = torch.from_numpy(values).movedim(2, 0)
    rows, columns = np.indices((32, 32)) - 15.5
    inside = np.hypot(rows, columns) < 14
    for degrees in (13.0, -77.0):
        theirs = vision.rotate(pixels, degrees, vision.InterpolationMode.BILINEAR)
        wanted = theirs.movedim(0, 2).numpy()[inside]
        assert along("rotated", degrees, values)[inside] == pytest.approx(wanted, abs=1e-4)


def test_shifts_move_whole_pixels_and_repeat_the_edge():
    values = image(1, 10, 10)
    right = along("shifted_right", 20, values)
    assert (right[:, 2:] == values[:, :-2]).all()
    assert (right[:, :2] == values[:, :1]).all()
    assert (along("shifted_down", -30, values)[:-3] == values[3:]).all()
    assert (along("shifted_right", 100, values) == values[:, :1]).all()


def test_twice_the_size_shows_the_middle_half():
    values = image(3, 16, 16)
    wanted = np.asarray(
        Image.fromarray(np.rint(values * 255).astype(np.uint8)).resize((32, 32), 2), np.float32
    )
    assert along("scaled", 2, values) == pytest.approx(wanted[8:24, 8:24] / 255, abs=1e-6)
    small = along("scaled", 0.5, values)
    assert (small[0] == small[4]).all()  # the edge is repeated outwards


def test_a_crop_keeps_the_centre_and_blanks_the_rest():
    values = image(3, 20, 20)
    made = along("cropped", 0.5, values)
    assert (made[5:15, 5:15] == values[5:15, 5:15]).all()
    assert made[:5] == pytest.approx(np.broadcast_to(values.mean((0, 1)), (5, 20, 3)), abs=1e-6)
    assert np.ptp(along("cropped", 0, values), (0, 1)) == pytest.approx(0)


def test_strokes_grow_and_shrink_as_grey_dilation_and_erosion():
    values = image()
    for px in (1, 3):
        size = (2 * px + 1, 2 * px + 1, 1)
        wide = ndimage.grey_dilation(values, size, mode="nearest")
        thin = ndimage.grey_erosion(values, size, mode="nearest")
        assert (along("thickened", px, values) == wide).all()
        assert (along("thickened", -px, values) == thin).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pillows(channels):
    values = image(channels)
    levels = np.rint(values * 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(levels[..., 0] if channels == 1 else levels).save(stream, "JPEG", quality=30)
    wanted = np.asarray(Image.open(stream), np.float32).reshape(values.shape) / 255
    assert along("jpeg", 30, values) == pytest.approx(wanted, abs=1e-6)


def test_pixelation_makes_even_blocks_of_their_mean():
    values = image(1, 16, 16)
    made = along("pixelated", 0.25, values)
    blocks = values.reshape(4, 4, 4, 4, 1).mean((1, 3))
    assert made == pytest.approx(blocks.repeat(4, 0).repeat(4, 1), abs=1 / 255)


def test_severities_of_imagenet_c_are_the_published_constants():
    """hendrycks/robustness, make_imagenet_c.py."""
    assert IMAGENET_C == {
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
    wide = values.astype(float)
    for place in range(5):
        sigma = IMAGENET_C["imagenet_c_blur"][place]
        blurred = ndimage.gaussian_filter(wide, (sigma, sigma, 0), mode="nearest", truncate=4)
        assert along("imagenet_c_blur", place + 1, values) == pytest.approx(blurred, abs=1e-6)
        for name, plain in (("contrast", "faded"), ("brightness", "brightness")):
            by_severity = along(f"imagenet_c_{name}", place + 1, values)
            constant = IMAGENET_C[f"imagenet_c_{name}"][place]
            assert (by_severity == along(plain, constant, values)).all()
        for name, plain in (("pixelate", "pixelated"), ("jpeg", "jpeg")):
            by_severity = along(f"imagenet_c_{name}", place + 1, values)
            constant = IMAGENET_C[f"imagenet_c_{name}"][place]
            assert (by_severity == along(plain, constant, values)).all()
    grey = np.full((100, 100, 3), 0.5, np.float32)
    assert along("imagenet_c_noise", 1, grey).std() == pytest.approx(0.08, rel=0.02)
    assert along("imagenet_c_speckle", 1, grey).std() == pytest.approx(0.5 * 0.15, rel=0.02)
    assert (along("imagenet_c_impulse", 2, grey) != 0.5).mean() == pytest.approx(0.06, rel=0.1)
    counts = along("imagenet_c_shot", 1, grey).astype(float) * 60
    assert counts == pytest.approx(counts.round(), abs=1e-4)
    assert counts.var() == pytest.approx(30, rel=0.05)  # a Poisson number's variance is its mean


def test_imagenet_c_defocus_is_its_smoothed_disk():
    values = image(1, 40, 40)
    for place, (radius, alias) in enumerate(((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))):
        reach, taps = (8, 1) if radius <= 8 else (radius, 2)
        side = np.arange(-reach, reach + 1)
        disk = (np.add.outer(side**2, side**2) <= radius**2).astype(float)
        line = np.exp(-0.5 * (np.arange(-taps, taps + 1) / alias) ** 2)
        for axis in (0, 1):
            disk = ndimage.convolve1d(disk, line / line.sum(), axis, mode="mirror")
        disk /= disk.sum()
        wanted = ndimage.convolve(values[..., 0].astype(float), disk, mode="mirror")
        made = along("imagenet_c_defocus", place + 1, values)[..., 0]
        assert made == pytest.approx(wanted, abs=1e-6)


def test_two_axes_are_applied_one_after_the_other():
    values = image()
    both = altered(values, [("blur", 1.0), ("contrast", 25)], 0)
    assert (both == along("contrast", 25, along("blur", 1.0, values))).all()


def test_steps_go_from_end_to_end_and_hold_the_neutral_number():
    assert AXES["contrast"].values(3, None, None) == (0, 25, 50)
    assert AXES["rotated"].values(2, -30, 45) == (-30, 0, 45)
    assert AXES["faded"].values(2, 0.2, 0.8) == (0.2, 0.8)
    assert AXES["value_range"].values(3, 0.01, 100) == (0.01, 1, 100)
    assert AXES["thickened"].values(101, None, None) == (-3, -2, -1, 0, 1, 2, 3)
    assert AXES["jpeg"].values(4, None, None) == (100, 67, 34, 1)
    assert AXES["scaled"].values(5, None, None) == pytest.approx((0.25, 0.5, 1, 2, 4), rel=1e-4)


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (-1, 5), (0, 1e9), (float("nan"), 1)])
def test_ends_outside_an_axis_are_refused(start, stop):
    with pytest.raises(OptionError):
        AXES["contrast"].values(5, start, stop)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3)])
def test_images_of_a_pixel_or_two_do_not_fail(size):
    values = np.full((*size, 3), 0.25, np.float32)
    for name, axis in AXES.items():
        for value in axis.values(5, None, None):
            assert along(name, value, values).shape == values.shape
