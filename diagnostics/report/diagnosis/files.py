"""Verdicts as files: JSON with paths, pictures as PNG, arrays as .npz, and a page."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from diagnostics.report.diagnosis.page import page
from diagnostics.report.diagnosis.pictures import Arrays, picture
from diagnostics.report.pictures import plain
from diagnostics.schema.results.diagnosis import WhyAnswer

NAME = "why"


def write(
    answer: WhyAnswer, arrays: Arrays, folder: Path, facts: Mapping[str, str]
) -> dict[str, str]:
    """Write an answer's pictures, arrays and page; return the pictures' files by their arrays.

    Args:
        answer: What `diagnosis/why` answered.
        arrays: Of the answer.
        folder: Made if it does not exist; files of the same names are replaced.
        facts: What was looked at, name by name, as the page says it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name in arrays:
        if drawn := picture(arrays, name, name):
            written[name] = f"{plain(name)}.png"
            (folder / written[name]).write_bytes(drawn.png)
    np.savez_compressed(folder / f"{NAME}.npz", **arrays)  # type: ignore[arg-type]
    (folder / f"{NAME}.html").write_text(page(answer, arrays, facts), "utf-8")
    return written


def content(
    answer: WhyAnswer, model: Mapping[str, Any], written: Mapping[str, str]
) -> dict[str, Any]:
    """Return an answer as the command line prints it.

    Args:
        answer: What `diagnosis/why` answered.
        model: What names the model; its causes stand beside that.
        written: The pictures' files by their arrays; what was not written is not named.
    """
    images: list[Any] = deepcopy(answer["images"])
    for image in images:
        pictures = [shown for cause in image["causes"] for shown in cause["evidence"]]
        for shown in (*pictures, *image["neighbours"]):
            shown["picture"] = written.get(shown["array"])
            shown["array"] = shown["array"] if shown["picture"] else None
    return {
        "images": images,
        "model": {**model, **answer["diagnosis"]},
        "passes": answer["passes"],
        "remembered": answer["remembered"],
        "closer": answer["closer"],
        "notes": answer["notes"],
    }
