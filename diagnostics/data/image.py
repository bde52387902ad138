"""Decode images safely and explicitly: every conversion is stated, and so is what is clipped."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from diagnostics.errors import ImageError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
FORMAT_NAMES = "PNG, JPEG, WebP, BMP, TIFF and GIF"
MEGAPIXELS = 64
OTHER_FILES = {  # by their first four bytes
    b"%PDF": "a PDF",
    b"<svg": "an SVG drawing",
    b"<?xm": "an SVG drawing or another XML file",
    b"<!DO": "a web page",
    b"<htm": "a web page",
}
ISO_BRANDS = {b"heic": "a HEIC photo", b"heix": "a HEIC photo", b"avif": "an AVIF image"}


STRIP_VALUES = 2**21  # worked on at a time, so that a large image is not in memory twice
ORIENTATION, BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT = 0x0112, 258, 262, 339  # tags of TIFF
DEEP = ";16"  # in how Pillow calls colours of 16 bits, which it reads as 8
UNSIGNED, SIGNED = 1, 2  # sample formats
WHITE_IS_ZERO = 0  # a photometric interpretation
TURNS: dict[Any, Callable[[NDArray[Any]], NDArray[Any]]] = {  # by EXIF orientation
    2: lambda rows: rows[:, ::-1],
    3: lambda rows: rows[::-1, ::-1],
    4: lambda rows: rows[::-1],
    5: lambda rows: rows.swapaxes(0, 1),
    6: lambda rows: rows[::-1].swapaxes(0, 1),
    7: lambda rows: rows[::-1, ::-1].swapaxes(0, 1),
    8: lambda rows: rows[:, ::-1].swapaxes(0, 1),
}

Values: TypeAlias = NDArray[np.float32]
Levels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class Decoded:
    """An image as the pipeline takes it in.

    Args:
        array: Shape (h, w, 1) or (h, w, 3): levels of 0 to 255, or float32 in [0, 1] where the
            file has more than 8 bits. Levels take a quarter of the memory.
        notes: What was converted, a sentence each.
    """

    array: Values | Levels
    notes: tuple[str, ...] = ()

    @property
    def values(self) -> Values:
        """Shape (h, w, 1) or (h, w, 3), float32 in [0, 1]."""
        return as_values(self.array)


def decode(content: bytes, name: str = "The image") -> Decoded:
    """Decode an image's bytes.

    EXIF orientation is applied where it is one. Transparent parts are laid over white. Palettes,
    CMYK, YCbCr and LAB become RGB. Greys deeper than 8 bit are divided by the largest value of
    their type, the same for every image; floats are taken as 0..1. What lies outside is clipped,
    and said. Of many frames the first is used. Colour profiles are not applied.

    Args:
        content: The file's bytes.
        name: Name that sentences begin with.

    Raises:
        ImageError: When the bytes are no readable image, or one too large.
    """
    if not content:
        raise ImageError(f"{name} is empty (0 bytes).")
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        _check_size(image.size, name)
        return _convert(image, name)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(
            f"{name} is {_other_file(content)}; images are read from {FORMAT_NAMES}."
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name, int(re.findall(r"\d+", str(error))[0])) from None
    except MemoryError:
        raise ImageError(f"{name} needs more memory than there is.") from None
    except Exception:
        raise ImageError(
            f"{name} is damaged or cut off and cannot be decoded; save it again and retry."
        ) from None


def as_values(array: Values | Levels) -> Values:
    """Return levels of 0 to 255 as float32 in [0, 1], and values as they are."""
    if array.dtype != np.uint8:
        return array  # type: ignore[return-value]
    values: Values = array.astype(np.float32)
    values /= np.float32(255)
    return values


def strips(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield an image's rows, some at a time."""
    for rows in _row_slices(*array.shape[:2]):
        yield array[rows]


def level_counts(levels: NDArray[Any]) -> NDArray[np.int64]:
    """Return how often each channel has each level: shape (c, 256)."""
    counts = np.zeros((levels.shape[2], 256), np.int64)
    for strip in strips(levels):
        for channel, row in enumerate(counts):
            row += np.bincount(strip[..., channel].ravel(), minlength=256)
    return counts


def unreadable(name: str, error: OSError) -> ImageError:
    """Return what to say of an image whose file could not be read."""
    if isinstance(error, FileNotFoundError):
        return ImageError(f"{name} is no longer there; add it again.")
    if isinstance(error, IsADirectoryError):
        return ImageError(f"{name} is a folder; give the images in it.")
    return ImageError(f"{name} cannot be read: {error.strerror or 'the disk failed'}.")


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return lossless PNG bytes of 8-bit pixels, shape (h, w) or (h, w, 3)."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(
        stream, "PNG", compress_level=2
    )  # as small as 4, much faster
    return stream.getvalue()


def eight_bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return values in [0, 1] as the nearest of 256 levels, those outside clipped."""
    levels: NDArray[np.uint8] = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return levels


def thumbnail(array: Values | Levels, max_px: int) -> Values:
    """Return an image no side of which is longer than `max_px`, by averaging blocks of pixels.

    Args:
        array: Shape (h, w, c), levels of 0 to 255 or any float32; what fills no block at the lower
            and right edge is cut off.
        max_px: At least 1.

    Returns:
        The values themselves where they are small enough.
    """
    height, width, channels = array.shape
    block = -(-max(height, width) // max_px)
    if block == 1:
        return as_values(array)
    down, across = min(block, height), min(block, width)
    covered = array[: height // down * down, : width // across * across]
    blocks = covered.reshape(height // down, down, width // across, across, channels)
    averages: Values = blocks.mean((1, 3), dtype=np.float32)
    if array.dtype == np.uint8:
        averages /= np.float32(255)
    return averages


def _check_size(size: tuple[int, int], name: str) -> None:
    if size[0] * size[1] > MEGAPIXELS * 1e6:
        raise _too_large(name, size[0] * size[1])
    if 0 in size:
        raise ImageError(f"{name} has no pixels ({size[0]} × {size[1]}).")


def _too_large(name: str, pixels: int) -> ImageError:
    return ImageError(
        f"{name}: {pixels / 1e6:.0f} megapixels exceed the limit of {MEGAPIXELS}; shrink it first."
    )


def _other_file(content: bytes) -> str:
    kind = OTHER_FILES.get(content[:4]) or ISO_BRANDS.get(content[8:12])
    return kind or "no image that can be recognised"


def _convert(image: ImageFile.ImageFile, name: str) -> Decoded:
    notes = []
    frames = _frame_count(image)
    if frames != 1:
        notes.append(f"Only the first of {frames or 'several'} frames is used.")
    profile = image.info.get("icc_profile")
    is_deep = any(DEEP in str(tile[3]) for tile in image.tile)
    of_tiff = _tags(image).get(ORIENTATION)  # which Pillow itself turns upright
    image.load()
    orientation = _exif_orientation(image) if of_tiff is None else of_tiff
    turn = TURNS.get(orientation)
    if turn is not None:
        notes.append(f"Turned upright by its EXIF orientation {orientation}.")
    if profile:
        notes.append("Has a colour profile; colours are taken as they are.")
    array: NDArray[Any]
    grey = _grey_type(image)
    if grey is not None:
        array, conversions = _scaled_grey(image, *grey, name)
    else:
        array, conversions = _levels(image)
        conversions += ["The upper 8 of 16 bits of each channel are used."] if is_deep else []
    image.close()  # gives its memory back
    if turn is not None and of_tiff is None:
        array = np.ascontiguousarray(turn(array))
    return Decoded(array, (*notes, *conversions))


def _tags(image: Image.Image) -> dict[int, Any]:
    """Return the tags of a TIFF image; none for other formats."""
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    return tags


def _exif_orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(ORIENTATION)
    except Exception:  # a damaged EXIF block says nothing of how the image lies
        return None


def _frame_count(image: Image.Image) -> int:
    """Count frames without walking through a GIF of thousands: 0 means several."""
    if image.format == "GIF":
        first = image.tell()
        try:
            image.seek(1)
        except EOFError:
            return 1
        image.seek(first)
        return 0
    return int(getattr(image, "n_frames", 1))


def _grey_type(image: Image.Image) -> tuple[np.dtype[Any], int] | None:
    """Return what greys deeper than 8 bit are stored as, and which value is white.

    Returns:
        None where the image has levels of 0 to 255. White is the type's largest value, 1 of floats.
    """
    if image.mode == "F":
        return np.dtype(np.float32), 1
    tags = _tags(image)
    is_signed = tags.get(SAMPLE_FORMAT, (UNSIGNED,))[0] == SIGNED
    if image.mode == "L" and is_signed:
        return np.dtype(np.int8), 127
    if not image.mode.startswith("I"):
        return None
    bits = tags.get(BITS_PER_SAMPLE, (16,))[0]
    if is_signed:
        return np.dtype(np.int32), 2 ** (bits - 1) - 1  # as Pillow holds 16 bits, too
    return np.dtype(np.uint32 if bits == 32 else np.uint16), 2**bits - 1


def _scaled_grey(
    image: Image.Image, kind: np.dtype[Any], white: int, name: str
) -> tuple[Values, list[str]]:
    """Return greys deeper than 8 bit in [0, 1], by a rule that no image changes."""
    values = np.empty((image.height, image.width, 1), np.float32)
    low, high, outside, broken = np.inf, -np.inf, 0, 0
    for rows in _row_slices(image.height, image.width):
        raw = _rows(image, rows)
        raw = raw.view(kind) if raw.itemsize == kind.itemsize and raw.dtype.isnative else raw
        broken += int((~np.isfinite(raw)).sum())
        low, high = min(low, float(raw.min())), max(high, float(raw.max()))
        outside += int(((raw < 0) | (raw > white)).sum())
        values[rows, :, 0] = (raw / np.float64(white)).clip(0, 1)
    if broken:
        raise ImageError(f"{name} has {broken} values that are not finite numbers.")
    notes = [_grey_note(kind, white, low, high)]
    if outside:
        fix = "save them in 0..1" if kind.kind == "f" else "save them from 0 up"
        notes.append(f"{outside:,} of {values.size:,} values lie outside and are clipped; {fix}.")
    if _tags(image).get(PHOTOMETRIC) == WHITE_IS_ZERO:
        values = 1 - values
        notes.append("The file counts from white to black, so it was inverted.")
    return values, notes


def _grey_note(kind: np.dtype[Any], white: int, low: float, high: float) -> str:
    if kind.kind == "f":
        if low >= 0 and high <= 1:
            return "Float values in 0..1 taken as they are."
        return f"Float values are taken as 0..1; here they lie between {low:g} and {high:g}."
    bits = white.bit_length() + (kind.kind == "i")
    signed = "signed " if kind.kind == "i" else ""
    note = f"Values of {signed}{bits} bits divided by {white}; here they lie between {low:.0f} and "
    if high < white / 255:
        return f"{note}{high:.0f}, so the image is all but black; save it in a range of its own."
    return f"{note}{high:.0f}."


def _levels(image: Image.Image) -> tuple[Levels, list[str]]:
    """Return levels of 0 to 255, grey or RGB, strip by strip."""
    is_grey = image.mode in ("1", "L", "LA", "La")
    has_alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    levels = np.empty((image.height, image.width, 1 if is_grey else 3), np.uint8)
    is_transparent = False
    for rows in _row_slices(image.height, image.width):
        strip = image.crop((0, rows.start, image.width, rows.stop))
        if has_alpha:
            strip = strip.convert("RGBA")
            if strip.getchannel("A").getextrema()[0] != 255:
                is_transparent = True
                white = Image.new("RGBA", strip.size, "white")
                strip = Image.alpha_composite(white, strip)
        strip = strip.convert("L" if is_grey else "RGB")
        levels[rows] = np.asarray(strip).reshape(*levels[rows].shape)
    notes = ["Transparent parts are laid over white."] if is_transparent else []
    if image.mode in ("P", "PA"):
        notes.append("Palette colours turned to RGB.")
    elif image.mode not in ("1", "L", "LA", "La", "RGB", "RGBA", "RGBa"):
        notes.append(f"{image.mode} turned to RGB.")
    return levels, notes


def _rows(image: Image.Image, rows: slice) -> NDArray[Any]:
    return np.asarray(image.crop((0, rows.start, image.width, rows.stop)))


def _row_slices(height: int, width: int) -> Iterator[slice]:
    step = max(1, STRIP_VALUES // max(width, 1))
    for start in range(0, height, step):
        yield slice(start, min(start + step, height))
