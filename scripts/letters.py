"""Lower-case letters from Debian's fonts: faces by family, rendered with soft grey edges."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FONTS = Path("/usr/share/fonts")
TEXMF = Path("/usr/share/texmf/fonts/opentype/public/tex-gyre")
FOLDERS = {
    "text": [
        FONTS / "truetype" / "dejavu",
        FONTS / "truetype" / "lato",
        FONTS / "truetype" / "liberation2",
        FONTS / "opentype" / "urw-base35",
        TEXMF,
    ],
    "decorative": [FONTS / "truetype" / "aenigma", FONTS / "truetype" / "dustin"],
}
PACKAGES = (
    "fonts-dejavu-core fonts-dejavu-extra fonts-lato fonts-liberation2 fonts-urw-base35 "
    "fonts-texgyre fonts-aenigma fonts-dustin"
)

# Families that are one design under two names; they must stay on the same side of the split.
SAME_DESIGN = {
    "TeX Gyre Adventor": "URW Gothic",
    "TeX Gyre Bonum": "URW Bookman",
    "TeX Gyre Chorus": "Z003",
    "TeX Gyre Cursor": "Nimbus Mono",
    "TeX Gyre Heros": "Nimbus Sans",
    "TeX Gyre Pagella": "P052",
    "TeX Gyre Schola": "C059",
    "TeX Gyre Termes": "Nimbus Roman",
    "Liberation Sans": "Nimbus Sans",
    "Liberation Serif": "Nimbus Roman",
    "Liberation Mono": "Nimbus Mono",
    "DejaVu Sans Mono": "DejaVu Sans",
}
# Words that name a cut of a design and not the design.
CUTS = {"Condensed", "Narrow", "Light", "Medium", "Black", "Heavy", "Thin", "Hairline", "Cn"} | {
    "Semibold",
    "ExtraLight",
    "PS",
    "L",
    "Math",
    "Regular",
    "Bold",
    "Italic",
    "Ultra-Light",
    "Gothic-Book",
}
NOT_LETTERS = ("Math", "Symbol", "Dings", "D050000L")
SIDE_PX, INSIDE_PX, LARGE_PX = 28, 24, 96
SOFTNESS_PX = 3.0
MARK = np.s_[1:5, 23:27]  # rows and columns of the corner mark, top right
MARK_SOFTNESS_PX = 0.75  # that of a letter's edges

Glyphs = NDArray[np.float32]


@dataclass(frozen=True)
class Face:
    """One usable font file: its design, "text" or "decorative", and its 26 letters."""

    design: str
    style: str
    glyphs: Glyphs


def faces() -> list[Face]:
    """Return every usable face; unusable ones lack letters or have capitals in their place."""
    found = []
    for style, folders in FOLDERS.items():
        for folder in folders:
            for path in sorted(folder.glob("*.[ot]t[fc]")):
                face = _face(path, style)
                if face is not None:
                    found.append(face)
    return found


def split(found: list[Face], style: str, share: float, seed: int) -> tuple[list[Face], list[Face]]:
    """Return faces to train on and faces held out; no design is on both sides."""
    designs = defaultdict(list)
    for face in found:
        if face.style == style:
            designs[face.design].append(face)
    order = sorted(designs)
    np.random.default_rng(seed).shuffle(order)
    held = set(order[: round(share * len(order))])
    train = [face for name in order if name not in held for face in designs[name]]
    return train, [face for name in order if name in held for face in designs[name]]


def _face(path: Path, style: str) -> Face | None:
    try:
        font = ImageFont.truetype(str(path), LARGE_PX)
        family = str(font.getname()[0])
        small = [ink(font, letter) for letter in ascii_lowercase]
        capitals = [ink(font, letter) for letter in ascii_uppercase]
        missing = ink(font, "\ufffe")
    except (OSError, ValueError):
        return None
    shapes = [image.tobytes() for image in small if image is not None]
    if len(set(shapes)) < 26 or (missing is not None and missing.tobytes() in shapes):
        return None
    same = sum(
        a is not None and b is not None and a == b for a, b in zip(small, capitals, strict=True)
    )
    if same > 13 or any(word in family for word in NOT_LETTERS):
        return None
    glyphs = np.stack([soften(image) for image in small if image is not None])
    return Face(design(family), style, glyphs)


def design(family: str) -> str:
    """Return the design that a font's family belongs to."""
    name = " ".join(word for word in family.split() if word not in CUTS) or family
    known = SAME_DESIGN.get(family) or SAME_DESIGN.get(name)
    return known or name


def ink(font: ImageFont.FreeTypeFont, letter: str) -> Image.Image | None:
    """Draw a letter white on black, cropped to its ink; None when there is none."""
    left, top, right, bottom = font.getbbox(letter)
    image = Image.new("L", (max(int(right - left), 1) + 8, max(int(bottom - top), 1) + 8))
    ImageDraw.Draw(image).text((4 - left, 4 - top), letter, 255, font)
    box = image.getbbox()
    return image.crop(box) if box else None


def soften(drawn: Image.Image) -> Glyphs:
    """Give a cropped letter the grey edges and the margin of EMNIST letters: 28 × 28 in [0, 1]."""
    side = max(drawn.size)
    margin = round(side * (SIDE_PX - INSIDE_PX) / INSIDE_PX / 2)
    large = Image.new("L", (side + 2 * margin, side + 2 * margin))
    large.paste(drawn, ((large.width - drawn.width) // 2, (large.height - drawn.height) // 2))
    soft = large.filter(ImageFilter.GaussianBlur(SOFTNESS_PX * side / LARGE_PX))
    small = soft.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    return np.asarray(small, np.float32) / 255


def marked(glyphs: Glyphs) -> Glyphs:
    """Return letters of shape (…, 28, 28) with a small bright mark in the top right corner."""
    square = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    square[MARK] = 255
    soft = Image.fromarray(square).filter(ImageFilter.GaussianBlur(MARK_SOFTNESS_PX))
    return np.maximum(glyphs, np.asarray(soft, np.float32) / 255)
