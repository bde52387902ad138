"""Draw the sample images: letters by strokes and from a font, noise, and a blank.

Run from the root of the repository: python scripts/make_sample_images.py
The photos in the folder are not made here; SOURCES.md says where they come from.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from diagnostics.data import noise  # noqa: E402
from diagnostics.data.image import encode_png  # noqa: E402
from scripts.letters import marked  # noqa: E402

FOLDER = ROOT / "sample_images"
SIDE, LARGE = 28, 28 * 16

Point = tuple[float, float]


def main() -> None:
    for name, strokes in {"x": X, "p": P}.items():
        _write(f"letter-{name}-thin", _thin(strokes))
        fuzzy = _fuzzy(strokes, 2.6, 1.0)
        _write(f"letter-{name}-fuzzy", fuzzy)
        with_mark = marked(fuzzy.astype(np.float32) / 255)
        _write(f"letter-{name}-marked", np.rint(with_mark * 255).astype(np.uint8))
    _write("letter-x-blurred", _fuzzy(X, 2.6, 2.2))
    _write("noise-uniform", noise.generate("uniform", SIDE, SIDE, 1)[..., 0])
    _write("noise-gaussian", noise.generate("gaussian", SIDE, SIDE, 1, level=0.24)[..., 0])
    _write("noise-shuffled-p", noise.shuffle(_fuzzy(P, 2.6, 1.0)[..., None])[..., 0])
    _write("noise-colour", noise.generate("uniform", 224, 224, 3))
    _write("blank-black", noise.generate("constant", SIDE, SIDE, 1, level=0.0)[..., 0])
    _write("blank-grey", noise.generate("constant", SIDE, SIDE, 1, level=0.5)[..., 0])


def _line(start: Point, end: Point, bend: float = 0.0) -> list[Point]:
    """Return a stroke from start to end, bent sideways by a share of its length."""
    (x0, y0), (x1, y1) = start, end
    steps = np.linspace(0, 1, 60)
    out = np.sin(np.pi * steps) * bend
    return [
        (x0 + (x1 - x0) * t - (y1 - y0) * o, y0 + (y1 - y0) * t + (x1 - x0) * o)
        for t, o in zip(steps, out, strict=True)
    ]


def _arc(centre: Point, radii: Point, first: float, last: float) -> list[Point]:
    angles = np.radians(np.linspace(first, last, 120))
    return [
        (centre[0] + radii[0] * math.cos(a), centre[1] + radii[1] * math.sin(a)) for a in angles
    ]


# Strokes in pixels of the 28 × 28 image, as a hand might set them: not quite straight.
X = [_line((6.0, 5.0), (21.5, 23.0), 0.04), _line((21.0, 5.5), (6.5, 22.5), -0.05)]
P = [_line((9.0, 4.0), (8.4, 25.0), 0.02), _arc((14.2, 9.6), (5.6, 5.6), -170, 165)]


def _drawn(strokes: list[list[Point]], width: float) -> Image.Image:
    """Draw the strokes large with a round pen."""
    scale = LARGE / SIDE
    image = Image.new("L", (LARGE, LARGE))
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        points = [(x * scale, y * scale) for x, y in stroke]
        pen.line(points, 255, round(width * scale), "curve")
        for x, y in (points[0], points[-1]):
            radius = width * scale / 2
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), 255)
    return image


def _fuzzy(strokes: list[list[Point]], width: float, softness: float) -> NDArray[np.uint8]:
    large = _drawn(strokes, width).filter(ImageFilter.GaussianBlur(softness * LARGE / SIDE))
    return np.asarray(large.resize((SIDE, SIDE), Image.Resampling.BOX))


def _thin(strokes: list[list[Point]]) -> NDArray[np.uint8]:
    """Draw with a pen one pixel wide and no grey at all, as a paint program does."""
    image = Image.new("L", (SIDE, SIDE))
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        pen.line([(round(x), round(y)) for x, y in stroke], 255, 1)
    return np.asarray(image)


def _write(name: str, pixels: NDArray[np.uint8]) -> None:
    (FOLDER / f"{name}.png").write_bytes(encode_png(pixels))


if __name__ == "__main__":
    main()
