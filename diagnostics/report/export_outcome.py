"""What a method found that looks at images together: as lines, and its arrays as files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics import text
from diagnostics.data.image import encode_png
from diagnostics.report.pictures import stem

Scores = Mapping[str, Any]

DEEP = 2  # how far lines go into what an answer holds
HIDDEN = ("model", "notes")


def lines(scores: Scores) -> list[str]:
    """Return what was found, a line for each number or sentence; longer lists are in the JSON."""
    own = {name: value for name, value in scores.items() if name not in HIDDEN}
    return [*_lines(own, 0), *(f"note: {note}" for note in scores.get("notes", []))]


def write(arrays: Mapping[str, NDArray[Any]], folder: Path) -> list[str]:
    """Write arrays as .npy, and those that are pictures also as .png; return the files' names.

    Args:
        arrays: Named; uint8 with one, three or four channels last is a picture, with one axis more
            several.
        folder: Made if it does not exist; files of the same names are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, values in arrays.items():
        file = stem(name.replace("/", "-"))
        np.save(folder / f"{file}.npy", values, allow_pickle=False)
        written.append(f"{file}.npy")
        for place, picture in enumerate(_pictures(values)):
            number = f"-{place:03d}" if values.ndim == 4 else ""
            (folder / f"{file}{number}.png").write_bytes(encode_png(picture))
            written.append(f"{file}{number}.png")
    return written


def _lines(found: Scores, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, value in found.items():
        title = name.replace("_", " ")
        if isinstance(value, Mapping):
            if depth < DEEP:
                yield f"{indent}{title}:"
                yield from _lines(value, depth + 1)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            if depth < DEEP:
                for place, one in enumerate(value):
                    yield f"{indent}{one.get('file') or one.get('title') or f'{title} {place + 1}'}"
                    own = {key: own for key, own in one.items() if key not in ("file", "title")}
                    yield from _lines(own, depth + 1)
        elif not isinstance(value, list):
            yield f"{indent}{title}: {_said(value)}"


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return text.number(value)
    return "can't tell" if value is None else str(value)


def _pictures(values: NDArray[Any]) -> Iterator[NDArray[np.uint8]]:
    """Yield the pictures that an array holds; none where it holds numbers."""
    if values.dtype != np.uint8 or values.ndim not in (2, 3, 4):
        return
    if values.ndim == 2 or (values.ndim == 3 and values.shape[-1] in (1, 3, 4)):
        yield values[..., 0] if values.ndim == 3 and values.shape[-1] == 1 else values
    elif values.ndim == 4 and values.shape[-1] in (1, 3, 4):
        yield from values[..., 0] if values.shape[-1] == 1 else values
