"""Write an inspection's pictures and arrays to a folder."""

from __future__ import annotations

import io
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.report import pictures, render
from diagnostics.report.render import Picture
from diagnostics.schema.request import Result


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


LONGEST = 160  # so long a file's name may be; two layers may differ in the middle only


class _Files:
    """The files of one image, in a folder of its own."""

    def __init__(self, folder: Path, index: int, name: str) -> None:
        self._root, self._index, self._name = folder, index, name
        self._folder = folder / f"{index:03d}-{pictures.stem(name)}"
        self._folder.mkdir(exist_ok=True)

    def write(self, image: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
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
        self, entry: dict[str, Any], position: int, arrays: Mapping[str, NDArray[Any]]
    ) -> None:
        values = arrays[f"{self._index}/{entry['array']}"]
        stem = f"attribution-{position}-{entry['method'].split('/')[1]}"
        scale = render.Scale.of_most(values, signed=entry["signed"])
        entry["picture"] = self._picture(stem, pictures.heatmap(entry, values, self._name, scale))
        entry["array"] = self._path(f"{stem}.npy")
        np.save(self._root / entry["array"], values, allow_pickle=False)

    def _picture(self, stem: str, picture: Picture) -> str:
        path = self._path(f"{pictures.plain(stem, LONGEST)}.png")
        (self._root / path).write_bytes(picture.png)
        return path

    def _path(self, name: str) -> str:
        return str((self._folder / name).relative_to(self._root))
