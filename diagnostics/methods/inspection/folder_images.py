"""Fetch single images of a folder."""

from __future__ import annotations

import json

import numpy as np

from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method
from diagnostics.schema.results.inspection import FolderImagesAnswer

MAX_IMAGES = 8


@method("Images of a folder", source="The folder itself")
def folder_images(context: Context, *, names: str = "[]") -> Outcome[FolderImagesAnswer]:
    """The files of single images of the folder, as they lie in it.

    Args:
        context: Gives the folder.
        names: Their paths below the folder, as a JSON list of at most 8.

    Returns:
        The names; each file's bytes in the arrays "image/0", "image/1" and so on.

    Raises:
        InputError: When the folder has no such image.
    """
    samples = {sample.name: sample for sample in context.in_distribution()}
    try:
        chosen = [str(name) for name in json.loads(names)][:MAX_IMAGES]
        files = [samples[name].read() for name in chosen]
    except (ValueError, TypeError, KeyError):
        raise InputError("The folder has no such image; it may have been changed.") from None
    arrays = {f"image/{index}": np.frombuffer(file, np.uint8) for index, file in enumerate(files)}
    return Outcome(FolderImagesAnswer(names=chosen), arrays)
