import io
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_dtype

from diagnostics.data.image import decode, eight_bit, encode_png, thumbnail
from diagnostics.errors import ImageError
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.schema.preprocessing import Preprocessing

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)


def saved(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def values(content):
    return decode(content).values


def test_colour_comes_back_exactly():
    assert (np.rint(values(encode_png(COLOUR)) * 255) == COLOUR).all()
    assert decode(encode_png(COLOUR)).notes == ()


def test_grey_keeps_one_channel():
    grey = COLOUR[..., 0]
    assert (np.rint(values(encode_png(grey))[..., 0] * 255) == grey).all()


def test_sixteen_bits_are_scaled_and_not_clipped():
    deep = np.array([[0, 100, 255, 256, 1000, 30000, 65535]], np.uint16)
    found = decode(saved(Image.fromarray(deep)))
    assert found.values[0, :, 0] == pytest.approx(deep[0] / 65535, abs=1e-7)
    assert "65535" in found.notes[0]


@pytest.mark.parametrize("kind", [np.uint16, np.int16, np.int32])
def test_integers_are_scaled_by_their_type_and_not_by_what_the_image_happens_to_hold(kind):
    """torchvision's own conversion is the second opinion."""
    top = np.iinfo(kind).max
    for greys in ([0, 5, top // 3, top], [top // 8, top // 4]):
        raw = np.array([greys], kind)
        found = decode(tiff(raw))
        expected = to_dtype(torch.from_numpy(raw.astype(kind)), torch.float32, scale=True)
        assert found.values[..., 0] == pytest.approx(expected.numpy(), abs=1e-6)
        assert f"divided by {top}" in found.notes[0]
        assert f"between {min(greys)} and {max(greys)}" in found.notes[0]


def test_unsigned_integers_of_32_bits_do_not_turn_negative():
    raw = np.array([[0, 2**31, 2**32 - 1]], np.uint32)
    found = decode(tiff(raw))
    assert found.values[0, :, 0] == pytest.approx([0, 0.5, 1], abs=1e-6)
    assert "divided by 4294967295" in found.notes[0]


def test_integers_below_zero_are_clipped_and_counted():
    found = decode(tiff(np.array([[-5, -1, 0, 32767]], np.int16)))
    assert found.values[0, :, 0] == pytest.approx([0, 0, 0, 1])
    assert any("2 of 4 values lie outside" in note for note in found.notes)


def test_floats_are_taken_as_they_are_and_what_lies_outside_zero_to_one_is_clipped_and_said():
    for greys in ([0.0, 0.25, 1.0], [0.1, 0.2, 0.3]):
        found = decode(tiff(np.array([greys], np.float32)))
        assert found.values[0, :, 0] == pytest.approx(greys)
        assert found.notes == ("Float values in 0..1 taken as they are.",)
    outside = decode(tiff(np.array([[-2.0, 0.5, 6.0]], np.float32)))
    assert outside.values[0, :, 0] == pytest.approx([0, 0.5, 1])
    assert "between -2 and 6" in outside.notes[0]
    assert "2 of 3 values lie outside and are clipped" in outside.notes[1]


def tiff(raw):
    """Write one channel as an uncompressed TIFF of its own type, tag by tag."""
    height, width = raw.shape
    kind = {"u": 1, "i": 2, "f": 3}[raw.dtype.kind]
    tags = [
        (256, 4, width), (257, 4, height), (258, 3, raw.itemsize * 8), (259, 3, 1), (262, 3, 1),
        (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, raw.nbytes), (339, 3, kind),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, form, 1, value) for tag, form, value in tags)
    data = raw.tobytes()
    head = b"II*\0" + struct.pack("<I", 8 + len(data)) + data
    return head + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_floats_that_are_no_numbers_are_refused():
    bad = Image.fromarray(np.array([[0.0, np.nan]], np.float32))
    with pytest.raises(ImageError, match="1 values that are not finite"):
        decode(saved(bad, "TIFF"))


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (255, 0, 0, 0), (1, 1, 1)),
        ("RGBA", (0, 0, 0, 128), (127 / 255,) * 3),
        ("LA", (0, 0), (1,)),
        ("RGBA", (255, 0, 0, 255), (1, 0, 0)),
    ],
)
def test_transparent_parts_are_laid_over_white(mode, colour, expected):
    found = decode(saved(Image.new(mode, (2, 2), colour)))
    assert found.values[0, 0] == pytest.approx(expected, abs=1 / 255)
    assert any("white" in note for note in found.notes) == (colour[-1] < 255)


def test_a_palette_with_transparency_becomes_colour_over_white():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    found = decode(saved(image, transparency=0))
    assert np.rint(found.values[0] * 255).tolist() == [[255, 255, 255], [0, 0, 255]]


def test_cmyk_becomes_colour_and_says_so():
    found = decode(saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100))
    assert found.values[4, 4] == pytest.approx([1, 0, 0], abs=0.02)
    assert "CMYK turned to RGB." in found.notes


def test_one_bit_becomes_black_and_white():
    assert set(np.unique(values(saved(Image.fromarray(np.eye(4) > 0))))) == {0.0, 1.0}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_upright(orientation):
    upright = Image.fromarray(COLOUR)
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turn[orientation]) if orientation in turn else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode(saved(stored, exif=exif))
    assert (np.rint(found.values * 255) == COLOUR).all()
    assert bool(found.notes) == (orientation != 1)


@pytest.mark.parametrize("orientation", [0, 9, 99, 65535])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_an_orientation_that_is_none_turns_nothing_and_claims_nothing(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode(saved(Image.fromarray(COLOUR), kind, exif=exif))
    assert found.values.shape == COLOUR.shape
    assert found.notes == ()


def test_a_damaged_exif_block_leaves_the_image_as_it_is():
    found = decode(
        saved(Image.fromarray(COLOUR), exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"x" * 20)
    )
    assert (np.rint(found.values * 255) == COLOUR).all()
    assert found.notes == ()


def test_a_tiff_is_turned_upright_once():
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(COLOUR).transpose(Image.Transpose.ROTATE_90)
    found = decode(saved(stored, "TIFF", exif=exif))
    assert (np.rint(found.values * 255) == COLOUR).all()
    assert found.notes == ("Turned upright by its EXIF orientation 6.",)


def test_decoders_in_threads_leave_the_filters_of_warnings_alone(monkeypatch):
    """They belong to the whole process, and threads would restore each other's."""

    def refuse(*_args, **_options):
        raise AssertionError("the filters of the process were changed")

    with monkeypatch.context() as patched:
        patched.setattr(warnings, "catch_warnings", refuse)
        decoded = decode(encode_png(COLOUR))
    assert decoded.values.shape == (5, 7, 3)


def test_an_image_of_eight_bits_stays_eight_bits_and_is_never_in_memory_as_floats():
    levels = RANDOM.integers(0, 256, (2000, 2000, 3), dtype=np.uint8)
    content = encode_png(levels)
    pipeline = Pipeline(Preprocessing())
    tracemalloc.start()
    try:
        decoded = decode(content)
        pipeline.trace(decoded)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert decoded.array.dtype == np.uint8
    assert np.array_equal(decoded.array, levels)
    assert peak < 3 * levels.nbytes


def test_the_first_of_many_frames_is_used_and_said():
    frames = [Image.new("L", (3, 3), level) for level in (10, 200)]
    found = decode(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert found.values.max() == pytest.approx(10 / 255)
    assert "first" in found.notes[0]


def test_a_gif_of_three_thousand_frames_is_not_walked_through(monkeypatch):
    frames = [Image.new("L", (2, 2), index % 256) for index in range(3000)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    sought = []
    seek = Image.Image.seek
    from PIL import GifImagePlugin

    original = GifImagePlugin.GifImageFile.seek
    monkeypatch.setattr(
        GifImagePlugin.GifImageFile,
        "seek",
        lambda self, frame: (sought.append(frame), original(self, frame))[1],
    )
    decode(content)
    assert seek is Image.Image.seek
    assert max(sought) <= 1


def png_header(width, height):
    """A PNG that claims a size and holds next to nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def test_colours_of_sixteen_bits_say_that_eight_are_used():
    raw = np.array([[[65535, 256, 255], [0, 32768, 511]]], ">u2")
    head = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" + raw.tobytes())), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    found = decode(content)
    assert found.array.tolist() == [[[255, 1, 0], [0, 128, 1]]]
    assert found.notes == ("The upper 8 of 16 bits of each channel are used.",)


@pytest.mark.parametrize(
    ("size", "said"), [((30000, 30000), "900 megapixels"), ((13000, 13000), "169 megapixels")]
)
def test_huge_images_are_refused_before_they_are_decoded(size, said):
    with pytest.raises(ImageError, match=f"{said} exceed the limit of 64"):
        decode(png_header(*size))


@pytest.mark.parametrize("size", [(1, 1), (1, 100_000), (100_000, 1)])
def test_extreme_shapes_are_read(size):
    assert values(saved(Image.new("L", size))).shape == (size[1], size[0], 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"<svg xmlns=''/>", "SVG"),
        (b"hello", "no image that can be recognised"),
        (b"\0\0\0\x20ftypheic" + b"\0" * 20, "HEIC"),
        (encode_png(COLOUR)[:60], "damaged or cut off"),
    ],
)
def test_what_is_no_image_is_named_in_one_sentence(content, said):
    with pytest.raises(ImageError, match=said):
        decode(content, "cat.png")


def test_hundreds_of_mutants_raise_nothing_but_image_errors():
    seeds = [saved(Image.fromarray(COLOUR), kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF")]
    failures = 0
    for mutant in range(400):
        content = bytearray(seeds[mutant % len(seeds)])
        for _ in range(3):
            content[RANDOM.integers(len(content))] = RANDOM.integers(256)
        try:
            found = decode(bytes(content[: RANDOM.integers(1, len(content) + 1)]))
            assert np.isfinite(found.values).all()
        except ImageError:
            failures += 1
    assert failures > 100


def test_eight_bit_is_the_nearest_level_and_clips():
    values = np.array([-0.5, 0, 0.4 / 255, 0.6 / 255, 254.4 / 255, 1, 7])
    assert eight_bit(values).tolist() == [0, 0, 0, 1, 254, 255, 255]


@pytest.mark.parametrize(
    ("size", "max_px", "block"),
    [((6, 4), 6, (1, 1)), ((6, 4), 3, (2, 2)), ((7, 5), 3, (3, 3)), ((1, 9), 3, (1, 3))],
)
def test_a_thumbnail_averages_whole_blocks(size, max_px, block):
    values = RANDOM.random((*size, 2)).astype(np.float32)
    small = thumbnail(values, max_px)
    (down, across), (height, width) = block, size
    assert small.shape == (height // down, width // across, 2)
    for row, column in np.ndindex(small.shape[:2]):
        part = values[row * down : (row + 1) * down, column * across : (column + 1) * across]
        assert small[row, column] == pytest.approx(part.mean((0, 1)), rel=1e-5)
