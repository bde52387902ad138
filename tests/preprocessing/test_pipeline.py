import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from torchvision import transforms

from diagnostics.data.image import Decoded, decode, encode_png
from diagnostics.errors import OptionError
from diagnostics.preprocessing import stages
from diagnostics.preprocessing.checks import warnings
from diagnostics.preprocessing.pipeline import Pipeline, histogram, network_input
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.presets import PRESETS
from tests.independent import slow_preprocessing

RANDOM = np.random.default_rng(0)
MODES = {
    "bilinear": transforms.InterpolationMode.BILINEAR,
    "bicubic": transforms.InterpolationMode.BICUBIC,
}


def picture(height, width, channels=3):
    levels = RANDOM.integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Decoded(levels.astype(np.float32) / np.float32(255))


def levels(image):
    return np.rint(image.values * 255).astype(np.uint8)


def grey(**settings):
    defaults = {"fit": "stretch", "height": 28, "width": 28, "mean": (0.0,), "std": (1.0,)}
    return Preprocessing(colour=False, **{**defaults, **settings})


@pytest.mark.parametrize("kernel", list(MODES))
@pytest.mark.parametrize("size", [(300, 451), (451, 300), (100, 90), (256, 256), (231, 517)])
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (232, 224), (40, 64)])
def test_resize_and_crop_are_torchvisions_to_the_bit(kernel, size, resize, crop):
    image = picture(*size)
    settings = Preprocessing(resize_px=resize, height=crop, width=crop, interpolation=kernel)
    theirs = transforms.Compose(
        [
            transforms.Resize(resize, MODES[kernel]),
            transforms.CenterCrop(crop),
            transforms.ToTensor(),
        ]
    )
    expected = theirs(Image.fromarray(levels(image))).numpy()
    assert np.array_equal(Pipeline(settings).run(image), expected)


LEVEL_SETTINGS = {
    "crop": Preprocessing(resize_px=40, height=32, width=32),
    "nearest": Preprocessing(resize_px=40, height=32, width=32, interpolation="nearest"),
    "not antialiased": Preprocessing(resize_px=40, height=32, width=32, antialias=False),
    "letterbox": Preprocessing(fit="letterbox", height=32, width=48),
    "grey": Preprocessing(fit="stretch", height=20, width=30, grey=True),
    "BGR": Preprocessing(fit="stretch", height=20, width=30, bgr=True, value_range=255),
    "one channel": grey(threshold=0.4),
    "blurred": grey(blur=0.7, contrast=3.0),
    "inverted": grey(invert=True),
    "as it is": Preprocessing(fit="none", height=61, width=47),
}


@pytest.mark.parametrize("settings", LEVEL_SETTINGS.values(), ids=LEVEL_SETTINGS.keys())
def test_levels_go_through_as_their_values_do_to_the_bit(settings):
    array = RANDOM.integers(0, 256, (61, 47, 3), dtype=np.uint8)
    kept, spread = Decoded(array), Decoded(array.astype(np.float32) / np.float32(255))
    pipeline = Pipeline(settings)
    assert np.array_equal(pipeline.run(kept), pipeline.run(spread))
    for one, other in zip(pipeline.trace(kept), pipeline.trace(spread), strict=True):
        assert one.values == pytest.approx(other.values, abs=1e-6)
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-6)
        assert one.mean == pytest.approx(other.values.mean((0, 1)), rel=1e-4)
        assert one.std == pytest.approx(other.values.std((0, 1)), rel=1e-4)
        assert np.array_equal(one.histogram[0], other.histogram[0])
        assert one.clipped == other.clipped
    pixels = pipeline.run(kept)
    assert warnings(kept, settings, pixels) == warnings(spread, settings, pixels)


@pytest.mark.real
def test_a_real_photo_goes_through_as_in_torchvision(real_file):
    content = real_file("scikit-image", "skimage/data/chelsea.png").read_bytes()
    settings = Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3)
    theirs = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * 3, (0.25,) * 3),
        ]
    )
    fed = network_input(Pipeline(settings).run(decode(content)), settings)
    expected = theirs(Image.fromarray(levels(decode(content)))).numpy()
    assert fed == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [(9, 5), (30, 44)])
def test_without_antialias_sampling_is_torchs_and_the_slow_ones(size):
    image = picture(17, 23, 1)
    found = stages.resize(image.values, *size, "bilinear", False)
    batch = torch.from_numpy(image.values[None, None, ..., 0])
    torchs = functional.interpolate(batch, size, mode="bilinear", align_corners=False)[0, 0]
    slow = slow_preprocessing.bilinear(image.values[..., 0].tolist(), *size)
    assert found[..., 0] == pytest.approx(torchs.numpy(), abs=1.01 / 255)
    assert found[..., 0] == pytest.approx(np.array(slow), abs=1.01 / 255)


def test_grey_has_pillows_weights():
    image = picture(8, 9)
    found = stages.to_grey(image.values)[..., 0]
    assert np.array_equal(
        np.rint(found * 255), np.asarray(Image.fromarray(levels(image)).convert("L"))
    )


@pytest.mark.parametrize(
    ("level", "value"),
    [(0, 3.73e-6), (64, 1.97e-3), (127.5, 0.5), (191, 0.99803), (255, 0.9999963)],
)
def test_the_letter_experiments_curve_has_its_known_values(level, value):
    found = stages.contrast(np.array([[[level / 255]]], np.float32), 25, keeps_range=False)
    assert float(found[0, 0, 0]) == pytest.approx(value, rel=3e-3)


def test_contrast_keeps_both_ends_and_the_middle_unless_asked_otherwise():
    ends = np.array([[[0.0], [0.5], [1.0]]], np.float32)
    for slope in (1, 5, 25, 1e4):
        assert stages.contrast(ends, slope, True).ravel() == pytest.approx([0, 0.5, 1], abs=1e-6)
    assert stages.contrast(ends, 1, False).ravel()[2] == pytest.approx(1 / (1 + math.exp(-0.5)))


@pytest.mark.parametrize("sigma", [0.5, 1.3])
def test_blur_is_the_slow_gaussian(sigma):
    image = picture(7, 6, 1)
    expected = np.array(slow_preprocessing.blur(image.values[..., 0].tolist(), sigma))
    assert stages.blur(image.values, sigma)[..., 0] == pytest.approx(expected, abs=1e-6)


def test_stages_that_are_off_are_not_there_and_the_others_run_in_order():
    image = picture(28, 28, 1)
    assert [s.name for s in Pipeline(grey()).trace(image)] == ["decode", "grey", "resize"]
    settings = grey(
        invert=True, contrast=5, blur=1, threshold=0.5, value_range=255, mean=(33.0,), std=(78.0,)
    )
    names = [stage.name for stage in Pipeline(settings).trace(image)]
    assert names == [
        "decode",
        "grey",
        "invert",
        "resize",
        "contrast",
        "blur",
        "threshold",
        "value range",
        "mean and std",
    ]


def test_the_trace_ends_with_what_the_network_receives():
    image = picture(40, 30)
    settings = Preprocessing(
        fit="letterbox",
        height=24,
        width=24,
        bgr=True,
        value_range=255,
        mean=(104.0, 117.0, 123.0),
        std=(1.0, 1.0, 1.0),
    )
    last = Pipeline(settings).trace(image)[-1]
    fed = network_input(Pipeline(settings).run(image), settings)
    assert np.array_equal(np.moveaxis(last.values, 2, 0), fed)
    assert last.signed
    assert last.low == fed.min()
    assert last.mean == pytest.approx(fed.mean((1, 2)), rel=1e-5)


def test_letterbox_keeps_the_aspect_ratio_and_fills_with_black():
    image = Decoded(np.ones((20, 40, 3), np.float32))
    pixels = Pipeline(Preprocessing(fit="letterbox", height=32, width=32)).run(image)
    rows = np.flatnonzero(pixels[0].any(axis=1))
    assert (rows[0], rows[-1]) == (8, 23)
    assert pixels[:, 8:24].min() == 1


def test_none_takes_only_the_right_size():
    settings = Preprocessing(fit="none", height=8, width=8)
    assert Pipeline(settings).run(picture(8, 8)).shape == (3, 8, 8)
    with pytest.raises(OptionError, match="9 × 8"):
        Pipeline(settings).run(picture(8, 9))


def test_deep_values_are_not_rounded_to_eight_bit():
    ramp = np.linspace(0, 1, 1000, dtype=np.float32).reshape(20, 50, 1)
    pixels = Pipeline(grey(height=10, width=25)).run(Decoded(ramp))
    off = np.abs(pixels * 255 - np.rint(pixels * 255))
    assert off.max() > 0.3


def test_the_histogram_counts_every_value_once():
    image = picture(12, 11)
    counts, edges = histogram(image.values)
    assert counts.sum(1).tolist() == [132] * 3
    assert (edges[0], edges[-1]) == (0, 1)
    assert histogram(np.full((2, 2, 1), -3.0))[0].sum() == 4


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"std": (0.0, 1.0, 1.0)}, "std must be above zero"),
        ({"mean": (0.5,)}, "3 numbers"),
        ({"height": 0}, "height must be between 1 and 4096"),
        ({"threshold": 1.5}, "threshold"),
        ({"blur": float("nan")}, "blur"),
        ({"fit": "squash"}, "crop, stretch, letterbox, none"),
    ],
)
def test_settings_outside_their_range_are_refused(settings, said):
    with pytest.raises(OptionError, match=said):
        Preprocessing(**settings)


@pytest.mark.parametrize(
    ("image", "settings", "said"),
    [
        (picture(100, 50), Preprocessing(fit="stretch"), "aspect ratio changes by 100%"),
        (picture(100, 1000), Preprocessing(), "cropped away"),
        (picture(28, 28), Preprocessing(), "enlarged 8.0 times"),
        (picture(300, 300, 1), Preprocessing(), "grey image goes into a colour network"),
        (picture(28, 28), grey(), "colours are lost"),
        (Decoded(np.full((224, 224, 3), 0.5, np.float32)), Preprocessing(), "same value, 0.50"),
        (picture(300, 300), Preprocessing(mean=(104.0, 117.0, 123.0)), "other range"),
        (picture(300, 300), Preprocessing(value_range=255, mean=(0.5,) * 3), "other range"),
    ],
)
def test_what_may_spoil_the_answer_is_said(image, settings, said):
    assert any(said in sentence for sentence in warned(image, settings))


def warned(image, settings, **known):
    return warnings(image, settings, Pipeline(settings).run(image), **known)


def test_the_pixels_of_a_trace_are_those_that_are_fed():
    for settings in (Preprocessing(bgr=True, mean=(0.4, 0.5, 0.6)), grey(value_range=255)):
        pipeline = Pipeline(settings)
        image = picture(300, 350)
        assert np.array_equal(pipeline.pixels(pipeline.trace(image)), pipeline.run(image))


def test_a_good_image_raises_no_warning():
    settings = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    assert warned(picture(300, 350), settings) == []


def test_dark_strokes_on_a_bright_ground_are_noticed_until_inverted():
    values = np.ones((28, 28, 1), np.float32)
    values[8:20, 12:16] = 0
    for invert, expected in ((False, 1), (True, 0)):
        found = warned(Decoded(values), grey(invert=invert), dark_background=True)
        assert sum("bright" in sentence for sentence in found) == expected


def test_noise_has_no_background():
    for seed in range(5):
        values = np.random.default_rng(seed).random((28, 28, 1), np.float32)
        found = warned(Decoded(values), grey(), dark_background=True)
        assert not any("bright" in sentence for sentence in found)


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_fits_colour_and_grey(name):
    for settings in (Preprocessing(), grey()):
        applied = PRESETS[name].applied_to(settings)
        assert len(applied.mean) == (3 if settings.colour else 1)
        assert (applied.height, applied.fit) == (settings.height, settings.fit)


def test_the_decoded_stage_is_the_file_pixel_for_pixel():
    original = RANDOM.integers(0, 256, (9, 8, 3), dtype=np.uint8)
    first = Pipeline(Preprocessing()).trace(decode(encode_png(original)))[0]
    assert np.array_equal(np.rint(first.values * 255), original)
