"""Overall properties of an image that may decide an answer, to be taken away and to be given.

Each is measured as one number or one picture; `take` brings the image to what good images usually
have, `give` brings good images to what the image has.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from diagnostics.models.infill import gaussian_blur

QUALITIES = (5, 10, 20, 40)  # of JPEGs that show their blocks
BLOCK = 8
FINE_PX = 1.0
SOFT = 0.7  # px, that softens an edge without hiding a shape
STEPS = (0.6, 1.0, 1.6, 2.4)  # px of blur that are tried


Take: TypeAlias = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Property:
    """A property of a whole image.

    Args:
        cause: The cause that it is evidence of.
        name: What people call it.
        measure: Returns one number per image, from (n, c, h, w).
        give: Changes images so that they have what one image has: images, that image.
        takes: Ways to change that image to what good images usually have: the image, good images.
        fix: What to do about it.
        same_for_all: Whether `give` does not depend on that image.
    """

    cause: str
    name: str
    measure: Callable[[Tensor], Tensor]
    give: Callable[[Tensor, Tensor], Tensor]
    takes: tuple[Take, ...]
    fix: str
    same_for_all: bool = False


def blurred(pixels: Tensor, sigma: float) -> Tensor:
    """Return images blurred by a Gaussian, borders mirrored; shape (n, c, h, w)."""
    return gaussian_blur(pixels, sigma, max(1, round(3 * sigma)))


def brightness(pixels: Tensor) -> Tensor:
    """Return the mean of all values."""
    return pixels.mean((1, 2, 3))


def contrast(pixels: Tensor) -> Tensor:
    """Return the standard deviation of the grey values."""
    return pixels.mean(1).flatten(1).std(1)


def cast(pixels: Tensor) -> Tensor:
    """Return each channel's mean over the mean of all, shape (n, c)."""
    return pixels.mean((2, 3)) - pixels.mean((1, 2, 3))[:, None]


def fineness(pixels: Tensor) -> Tensor:
    """Return how much of the variance lies in fine detail, 0 to 1."""
    fine = pixels - blurred(pixels, FINE_PX)
    return fine.square().mean((1, 2, 3)) / pixels.var((1, 2, 3)).clamp_min(1e-6)


def noise_floor(pixels: Tensor) -> Tensor:
    """Return the level of fine noise where it is quiet: a low quantile of local deviations."""
    fine = (pixels - blurred(pixels, FINE_PX)).abs().mean(1, keepdim=True)
    local = functional.avg_pool2d(fine, 5, 1, 2)
    return local.flatten(1).quantile(0.2, dim=1)


def greys(pixels: Tensor) -> Tensor:
    """Return which share of an image's values lies clearly between its darkest and brightest."""
    flat = pixels.mean(1).flatten(1)
    low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    place = (flat - low) / (high - low).clamp_min(1e-3)
    inside = (place > 0.1) & (place < 0.9)
    return inside.float().mean(1)


def blockiness(pixels: Tensor) -> Tensor:
    """Return how much more values jump at the borders of 8 px blocks than elsewhere."""
    jumps = (pixels[..., 1:] - pixels[..., :-1]).abs().mean((1, 2))
    at = torch.zeros(jumps.shape[1], dtype=torch.bool)
    at[BLOCK - 1 :: BLOCK] = True
    if not at.any() or at.all():
        return torch.zeros(len(pixels))
    return jumps[:, at].mean(1) / jumps[:, ~at].mean(1).clamp_min(1e-4)


def _brighten(images: Tensor, source: Tensor) -> Tensor:
    return _shifted(images, brightness(source[None]) - brightness(images))


def _shifted(images: Tensor, by: Tensor) -> Tensor:
    """Add to every value, again for what clipping took away."""
    wanted, moved = brightness(images) + by, images
    for _ in range(4):
        step = (wanted - brightness(moved))[:, None, None, None]
        moved = (moved + step).clamp(0, 1)
    return moved


def _median(measured: Tensor) -> Tensor:
    return measured.median(0, keepdim=True).values


def _contrasted(images: Tensor, wanted: Tensor) -> Tensor:
    mean = images.mean((1, 2, 3), keepdim=True)
    factor = (wanted / contrast(images).clamp_min(1e-3))[:, None, None, None]
    return (mean + (images - mean) * factor).clamp(0, 1)


def _tinted(images: Tensor, wanted: Tensor) -> Tensor:
    return (images + (wanted - cast(images))[..., None, None]).clamp(0, 1)


def tone(pixels: Tensor) -> Tensor:
    """Return mean and deviation of each channel, shape (n, 2 c)."""
    return torch.cat([pixels.mean((2, 3)), pixels.flatten(2).std(2)], 1)


def _toned(images: Tensor, wanted: Tensor) -> Tensor:
    mean, std = (part[..., None, None] for part in tone(images).chunk(2, 1))
    new_mean, new_std = (part[..., None, None] for part in wanted.chunk(2, 1))
    return ((images - mean) / std.clamp_min(1e-3) * new_std + new_mean).clamp(0, 1)


def _softened(images: Tensor, wanted: float) -> Tensor:
    """Blur images until their fine detail is as rare as wanted; those that have less stay."""
    found = images.clone()
    for sigma in STEPS:
        still = fineness(found) > wanted * 1.25
        if not still.any():
            break
        found[still] = blurred(images[still], sigma)
    return found


def _sharpened(image: Tensor, good: Tensor) -> Tensor:
    wanted, best = float(fineness(good).median()), image[None]
    for amount in (1.0, 2.0, 4.0, 8.0):
        if float(fineness(best)) >= wanted:
            break
        fine = image[None] - blurred(image[None], 1.5)
        best = (image[None] + amount * fine).clamp(0, 1)
    return best[0]


def _noisy(images: Tensor, source: Tensor) -> Tensor:
    """Add noise of the level of another image."""
    level = float(noise_floor(source[None]))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(images.shape, generator=generator)
    unit = float(noise_floor(noise * 0.05).mean()) / 0.05
    return (images + noise * (level / unit)).clamp(0, 1)


def _denoised(image: Tensor, _good: Tensor) -> Tensor:
    return median3(image[None])[0]


def median3(images: Tensor) -> Tensor:
    """Return images filtered by the median of 3 × 3 px, borders repeated."""
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    windows = padded.unfold(2, 3, 1).unfold(3, 3, 1).flatten(4)
    return windows.median(-1).values


def jpeg(images: Tensor, quality: int) -> Tensor:
    """Return images written as JPEG and read again."""
    found = []
    for one in images:
        values = one.mul(255).round().to(torch.uint8).movedim(0, -1).numpy()
        stream = io.BytesIO()
        picture = Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)
        picture.save(stream, "JPEG", quality=quality)
        again = np.asarray(Image.open(stream), np.float32) / 255
        found.append(torch.from_numpy(again).reshape(values.shape).movedim(-1, 0))
    return torch.stack(found)


def _as_jpeg(images: Tensor, source: Tensor) -> Tensor:
    """Write images as JPEG of the quality that gives the blocks and the detail of another."""
    wanted = torch.stack([blockiness(source[None])[0].log1p(), fineness(source[None])[0]])
    written = [jpeg(images, quality) for quality in QUALITIES]
    distances = [
        float(
            (torch.stack([blockiness(one).log1p().median(), fineness(one).median()]) - wanted)
            .abs()
            .sum()
        )
        for one in written
    ]
    return written[int(np.argmin(distances))]


def _regrained(sigma: float) -> Take:
    """Return what exchanges an image's fine detail with that of a good image."""

    def take(image: Tensor, good: Tensor) -> Tensor:
        other = good[len(good) // 2]
        fine = other - blurred(other[None], sigma)[0]
        return (blurred(image[None], sigma)[0] + fine).clamp(0, 1)

    return take


def _sharpen(images: Tensor, source: Tensor) -> Tensor:
    """Sharpen images until they have as much fine detail as another."""
    return torch.stack([_sharpened(one, source[None]) for one in images])


def _soften(image: Tensor, good: Tensor) -> Tensor:
    return _softened(image[None], float(fineness(good).median()))[0]


def opened(images: Tensor) -> Tensor:
    """Return images without bright detail narrower than 3 px (a grey opening)."""
    eroded = -functional.max_pool2d(-images, 3, 1, 1)
    return functional.max_pool2d(eroded, 3, 1, 1)


def _bright_texture(images: Tensor, source: Tensor) -> Tensor:
    """Give images the narrow bright detail of another in place of their own."""
    detail = _elsewhere(source - opened(source[None])[0])
    return (opened(images) + detail).clamp(0, 1)


def _two_tones(images: Tensor, _source: Tensor) -> Tensor:
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(images > (low + high) / 2, high, low)


def _texture(sigma: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Return what gives images the fine detail of another in place of their own."""

    def give(images: Tensor, source: Tensor) -> Tensor:
        fine = _elsewhere(source - blurred(source[None], sigma)[0])
        return (blurred(images, sigma) + fine).clamp(0, 1)

    return give


def _elsewhere(detail: Tensor) -> Tensor:
    """Move detail by a third of the image, around its borders: a texture has no place."""
    return detail.roll((detail.shape[1] // 3, detail.shape[2] // 3), (1, 2))


def _smoothed(sigma: float) -> Take:
    return lambda image, _good: blurred(image[None], sigma)[0]


VARY = "vary it in training (augmentation), so that it goes with no class more than with another"
EXCHANGE = "train with textures exchanged between classes (stylised images), or with blur"
SOFTEN = "soften and sharpen images in training, or blur slightly before the network"
PROPERTIES = (
    Property(
        "reliance.statistic",
        "brightness",
        brightness,
        _brighten,
        (
            lambda image, good: _shifted(
                image[None], _median(brightness(good)) - brightness(image[None])
            )[0],
        ),
        VARY,
    ),
    Property(
        "reliance.statistic",
        "contrast",
        contrast,
        lambda images, source: _contrasted(images, contrast(source[None])),
        (lambda image, good: _contrasted(image[None], _median(contrast(good)))[0],),
        VARY,
    ),
    Property(
        "reliance.statistic",
        "colour cast",
        lambda pixels: cast(pixels).abs().amax(1),
        lambda images, source: _tinted(images, cast(source[None])),
        (lambda image, good: _tinted(image[None], _median(cast(good)))[0],),
        VARY,
    ),
    Property(
        "reliance.statistic",
        "brightness and contrast together",
        lambda pixels: tone(pixels).mean(1),
        lambda images, source: _toned(images, tone(source[None])),
        (lambda image, good: _toned(image[None], _median(tone(good)))[0],),
        VARY,
    ),
    Property(
        "reliance.statistic",
        "blur",
        lambda pixels: -fineness(pixels),
        lambda images, source: _softened(images, float(fineness(source[None]))),
        (_sharpened, _regrained(1.0)),
        VARY,
    ),
    Property("reliance.statistic", "noise", noise_floor, _noisy, (_denoised,), VARY),
    Property(
        "reliance.statistic",
        "JPEG blocks",
        blockiness,
        _as_jpeg,
        (_smoothed(SOFT), _regrained(1.0), _regrained(2.0)),
        VARY,
    ),
    Property(
        "reliance.edges",
        "hard edges",
        lambda pixels: -greys(pixels),
        _two_tones,
        (_smoothed(SOFT), _smoothed(FINE_PX)),
        SOFTEN,
        same_for_all=True,
    ),
    Property("reliance.edges", "sharpened edges", fineness, _sharpen, (_soften,), SOFTEN),
    Property(
        "reliance.texture", "fine texture", fineness, _texture(1.0), (_smoothed(1.0),), EXCHANGE
    ),
    Property("reliance.texture", "texture", fineness, _texture(2.0), (_smoothed(2.0),), EXCHANGE),
    Property(
        "reliance.texture",
        "bright texture",
        lambda pixels: (pixels - opened(pixels)).mean((1, 2, 3)),
        _bright_texture,
        (lambda image, _good: opened(image[None])[0],),
        EXCHANGE,
    ),
)
