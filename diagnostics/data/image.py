"""Decode images safely and explicitly: every conversion is stated, nothing is clipped."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

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


@dataclass(frozen=True)
class Decoded:
    """An image as the pipeline takes it in.

    Args:
        values: Shape (h, w, 1) or (h, w, 3), float32 in [0, 1].
        notes: What was converted, a sentence each.
    """

    values: NDArray[np.float32]
    notes: tuple[str, ...] = ()


def decode(content: bytes, name: str = "The image") -> Decoded:
    """Decode an image's bytes.

    EXIF orientation is applied. Transparent parts are laid over white. Palettes, CMYK, YCbCr and
    LAB become RGB; 16-bit, 32-bit and float greys are scaled to [0, 1], never clipped. Of many
    frames the first is used. Colour profiles are not applied.

    Args:
        content: The file's bytes.
        name: Name that sentences begin with.

    Raises:
        ImageError: When the bytes are no readable image, or one too large.
    """
    if not content:
        raise ImageError(f"{name} is empty (0 bytes).")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            _check_size(image.size, name)
            return _convert(image, name)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(
            f"{name} is {_other_file(content)}; images are read from {FORMAT_NAMES}."
        ) from None
    except Image.DecompressionBombError as error:
        raise _too_large(name, int(re.findall(r"\d+", str(error))[0])) from None
    except MemoryError:
        raise ImageError(f"{name} needs more memory than there is.") from None
    except Exception:
        raise ImageError(
            f"{name} is damaged or cut off and cannot be decoded; save it again and retry."
        ) from None


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


def thumbnail(values: NDArray[np.float32], max_px: int) -> NDArray[np.float32]:
    """Return an image no side of which is longer than `max_px`, by averaging blocks of pixels.

    Args:
        values: Shape (h, w, c); what fills no block at the lower and right edge is cut off.
        max_px: At least 1.

    Returns:
        The values themselves where they are small enough.
    """
    height, width, channels = values.shape
    block = -(-max(height, width) // max_px)
    if block == 1:
        return values
    down, across = min(block, height), min(block, width)
    covered = values[: height // down * down, : width // across * across]
    blocks = covered.reshape(height // down, down, width // across, across, channels)
    averages: NDArray[np.float32] = blocks.mean((1, 3), dtype=np.float32)
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


def _convert(image: Image.Image, name: str) -> Decoded:
    notes = []
    frames = _frame_count(image)
    if frames != 1:
        notes.append(f"Only the first of {frames or 'several'} frames is used.")
    orientation = image.getexif().get(0x0112, 1)
    profile = image.info.get("icc_profile")
    image.load()
    if orientation not in (0, 1):
        image = ImageOps.exif_transpose(image)
        notes.append(f"Turned upright by its EXIF orientation {orientation}.")
    if profile:
        notes.append("Has a colour profile; colours are taken as they are.")
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        values, note = _scaled_grey(np.asarray(image), image.mode, name)
        return Decoded(values[..., None], (*notes, note))
    image, conversions = _to_grey_or_rgb(image)
    levels = np.asarray(image)
    levels = levels[..., None] if levels.ndim == 2 else levels
    return Decoded(levels.astype(np.float32) / np.float32(255), (*notes, *conversions))


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


def _scaled_grey(raw: NDArray[Any], mode: str, name: str) -> tuple[NDArray[np.float32], str]:
    """Scale greys deeper than 8 bit to [0, 1]."""
    values = raw.astype(np.float64)
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise ImageError(f"{name} has {bad} values that are not finite numbers.")
    low, high = float(values.min()), float(values.max())
    if mode != "F" and low >= 0 and high <= 65535:
        return (values / 65535).astype(np.float32), "16-bit values divided by 65535."
    if mode == "F" and low >= 0 and high <= 1:
        return values.astype(np.float32), "Float values in 0..1 taken as they are."
    spread = high - low or 1.0
    note = f"Values from {low:g} to {high:g} scaled to 0..1."
    return ((values - low) / spread).astype(np.float32), note


def _to_grey_or_rgb(image: Image.Image) -> tuple[Image.Image, list[str]]:
    notes = []
    palette = image.mode in ("P", "PA")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        grey = image.mode in ("1", "L", "LA", "La")
        rgba = image.convert("RGBA")
        if np.asarray(rgba.getchannel("A")).min() < 255:
            white = Image.new("RGBA", rgba.size, "white")
            image = Image.alpha_composite(white, rgba).convert("L" if grey else "RGB")
            notes.append("Transparent parts are laid over white.")
        else:
            image = rgba.convert("L" if grey else "RGB")
    if palette:
        notes.append("Palette colours turned to RGB.")
    elif image.mode not in ("1", "L", "RGB"):
        notes.append(f"{image.mode} turned to RGB.")
    return image.convert("L" if image.mode in ("1", "L") else "RGB"), notes
