"""Fetch single images of a folder."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from diagnostics.errors import InputError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method

MOST = 8


@method("Images of a folder", source="The folder itself")
def folder_images(context: Context, *, names: str = "[]") -> Outcome[Any]:
    """The files of single images of the folder, as they lie in it.

    Args:
        context: Gives the folder.
        names: Their paths below the folder, as a JSON list of at most 8.

    Returns:
        The names; each file's bytes in the arrays "image/0", "image/1" and so on.

    Raises:
        InputError: When the folder has no such image.
    """
    known = {one.name: one for one in context.in_distribution()}
    try:
        wanted = [str(name) for name in json.loads(names)][:MOST]
        files = [known[name].read() for name in wanted]
    except (ValueError, TypeError, KeyError):
        raise InputError("The folder has no such image; it may have been changed.") from None
    arrays = {f"image/{place}": np.frombuffer(one, np.uint8) for place, one in enumerate(files)}
    return Outcome({"names": wanted}, arrays)
