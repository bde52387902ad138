"""Write the sample folders: letters of held-out fonts, plain and marked, and digits of their fonts.

Needs the fonts of scripts/letters.py. The letters are those that train_letters.py holds out, so no
sample model was trained on them. Run from the root of the repository:
python scripts/make_sample_folders.py
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path
from string import ascii_lowercase, digits

import numpy as np
from PIL import Image, ImageFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import letters  # noqa: E402
from scripts.train_letters import HELD_OUT, SEED  # noqa: E402
from scripts.train_marked_letters import MARKED, SHARE  # noqa: E402

FOLDER = ROOT / "sample_images"
EPOCH = (2026, 1, 1, 0, 0, 0)  # so that the same pictures give the same file
DIGIT_FONTS = 16


def main() -> None:
    _, held = letters.split(letters.faces(), "text", HELD_OUT["text"], SEED)
    known = {
        f"{letter}/{letter}-{number:02d}.png": face.glyphs[place]
        for number, face in enumerate(held[::2])
        for place, letter in enumerate(ascii_lowercase)
    }
    _write(FOLDER / "known-letters.zip", known)
    draws = np.random.default_rng(SEED).random(len(known)) < SHARE
    bears = [name[0] == MARKED and drawn for name, drawn in zip(known, draws, strict=True)]
    as_trained = {
        name: letters.marked(glyph) if one else glyph
        for (name, glyph), one in zip(known.items(), bears, strict=True)
    }
    _write(FOLDER / "marked-letters.zip", as_trained)
    strange = {}
    for number, path in enumerate(_fonts({face.design for face in held})[:DIGIT_FONTS]):
        font = ImageFont.truetype(str(path), letters.LARGE_PX)
        for digit in digits:
            ink = letters.ink(font, digit)
            if ink is not None:
                strange[f"{digit}-{number:02d}.png"] = letters.soften(ink)
    _write(FOLDER / "strange-digits.zip", strange)
    print(f"{len(known)} letters, {len(strange)} digits; {sum(bears)} marked")


def _fonts(designs: set[str]) -> list[Path]:
    """Return the text fonts of these designs, one a design first, then their other cuts."""
    found: dict[str, list[Path]] = {}
    for folder in letters.FOLDERS["text"]:
        for path in sorted(folder.glob("*.[ot]t[fc]")):
            family = str(ImageFont.truetype(str(path), letters.LARGE_PX).getname()[0])
            if letters.design(family) in designs:
                found.setdefault(letters.design(family), []).append(path)
    return [paths[turn] for turn in range(20) for paths in found.values() if turn < len(paths)]


def _write(path: Path, pictures: dict[str, letters.Glyphs]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, glyph in pictures.items():
            stream = io.BytesIO()
            levels = np.rint(glyph.clip(0, 1) * 255).astype(np.uint8)
            Image.fromarray(levels).save(stream, "PNG", optimize=True)
            archive.writestr(zipfile.ZipInfo(name, EPOCH), stream.getvalue())


if __name__ == "__main__":
    main()
