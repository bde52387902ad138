"""Write answers to a folder: JSON with paths, pictures as PNG, arrays as .npy."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.data.image import encode_png
from diagnostics.report import pictures, render
from diagnostics.report.render import Picture
from diagnostics.schema.request import Result
from diagnostics.schema.results.inspection import AttributionEntry, ImageEntry
from diagnostics.text import number

LONGEST = 160  # so long a file's name may be; two layers may differ in the middle only
DEEP = 2  # how far lines go into what an answer holds
HIDDEN = ("model", "notes")


def write(result: Result, folder: Path) -> dict[str, Any]:
    """Write every picture as PNG and every attribution as .npy, and return the scores.

    Args:
        result: Answer to an inspection or to an attribution.
        folder: Made if it does not exist; files of the same names are replaced.

    Returns:
        The scores, with paths below the folder where the answer had names of arrays.
    """
    scores: dict[str, Any] = deepcopy(dict(result.scores))
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(scores.get("images", [])):
        _Files(folder, index, image["file"]).write(image, result.arrays)
    return scores


def arrays(result: Result) -> bytes:
    """Return every map of an answer as one .npz file, named after the images."""
    stream = io.BytesIO()
    named = {}
    for index, image in enumerate(result.scores["images"]):
        for entry in image["attributions"]:
            if entry["array"]:
                name = f"{index:03d}-{pictures.stem(image['file'])}"
                named[name] = result.arrays[f"{index}/{entry['array']}"]
    np.savez_compressed(stream, **named)  # type: ignore[arg-type]
    return stream.getvalue()


def parts(result: Result, name: str) -> bytes:
    """Return a file that an answer carries in parts, "NAME/0", "NAME/1" and so on."""
    count = sum(one.startswith(f"{name}/") for one in result.arrays)
    return b"".join(result.arrays[f"{name}/{place}"].tobytes() for place in range(count))


def without_files(result: Result) -> dict[str, Any]:
    """Return the scores of an answer that is not written to disk: no paths in them."""
    scores: dict[str, Any] = deepcopy(dict(result.scores))
    for image in scores.get("images", []):
        for part in ("preprocessing", "layers", "attributions"):
            for entry in image[part]:
                entry["picture"] = None
                if "array" in entry:
                    entry["array"] = None
    return scores


class _Files:
    """The files of one image, in a folder of its own."""

    def __init__(self, folder: Path, index: int, name: str) -> None:
        self._root, self._index, self._name = folder, index, name
        self._folder = folder / f"{index:03d}-{pictures.stem(name)}"
        self._folder.mkdir(exist_ok=True)

    def write(self, image: ImageEntry, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write one image's files and put their paths into its entry."""
        for position, stage in enumerate(image["preprocessing"]):
            values = arrays[f"{self._index}/{stage['picture']}"]
            picture = pictures.stage(stage, values, self._name)
            stage["picture"] = self._picture(f"stage-{position}-{picture.name}", picture)
        for layer in image["layers"]:
            if layer["picture"]:
                picture = pictures.layer(
                    layer, arrays[f"{self._index}/{layer['picture']}"], self._name
                )
                layer["picture"] = self._picture(f"layer-{layer['name']}", picture)
        for position, entry in enumerate(image["attributions"]):
            if entry["picture"]:
                self._attribution(entry, position, arrays)

    def _attribution(
        self, entry: AttributionEntry, position: int, arrays: Mapping[str, NDArray[Any]]
    ) -> None:
        values = arrays[f"{self._index}/{entry['array']}"]
        stem = f"attribution-{position}-{entry['method'].split('/')[1]}"
        scale = render.Scale.of_most(values, signed=entry["signed"])
        entry["picture"] = self._picture(stem, pictures.heatmap(entry, values, self._name, scale))
        entry["array"] = path = self._path(f"{stem}.npy")
        np.save(self._root / path, values, allow_pickle=False)

    def _picture(self, stem: str, picture: Picture) -> str:
        path = self._path(f"{pictures.plain(stem, LONGEST)}.png")
        (self._root / path).write_bytes(picture.png)
        return path

    def _path(self, name: str) -> str:
        return str((self._folder / name).relative_to(self._root))


def lines(scores: Mapping[str, Any]) -> list[str]:
    """Return what was found, a line for each number or sentence; longer lists are in the JSON."""
    own = {name: value for name, value in scores.items() if name not in HIDDEN}
    return [*_lines(own, 0), *(f"note: {note}" for note in scores.get("notes", []))]


def write_arrays(arrays: Mapping[str, NDArray[Any]], folder: Path) -> list[str]:
    """Write arrays as .npy, and those that are pictures also as .png; return the files' names.

    Args:
        arrays: Named; uint8 with one, three or four channels last is a picture, with one axis more
            several.
        folder: Made if it does not exist; files of the same names are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, values in arrays.items():
        file = pictures.stem(name.replace("/", "-"))
        np.save(folder / f"{file}.npy", values, allow_pickle=False)
        written.append(f"{file}.npy")
        for place, picture in enumerate(_pictures(values)):
            number = f"-{place:03d}" if values.ndim == 4 else ""
            (folder / f"{file}{number}.png").write_bytes(encode_png(picture))
            written.append(f"{file}{number}.png")
    return written


def _lines(found: Mapping[str, Any], depth: int) -> Iterator[str]:
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
        return number(value)
    return "can't tell" if value is None else str(value)


def _pictures(values: NDArray[Any]) -> Iterator[NDArray[np.uint8]]:
    """Yield the pictures that an array holds; none where it holds numbers."""
    if values.dtype != np.uint8 or values.ndim not in (2, 3, 4):
        return
    if values.ndim == 2 or (values.ndim == 3 and values.shape[-1] in (1, 3, 4)):
        yield values[..., 0] if values.ndim == 3 and values.shape[-1] == 1 else values
    elif values.ndim == 4 and values.shape[-1] in (1, 3, 4):
        yield from values[..., 0] if values.shape[-1] == 1 else values
