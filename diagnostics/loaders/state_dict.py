"""Read what `torch.save(model.state_dict(), …)` wrote, and checkpoints that hold one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch

from diagnostics.errors import ModelError
from diagnostics.loaders import archive
from diagnostics.loaders.preview import Preview
from diagnostics.loaders.registry import loader
from diagnostics.loaders.weights import Weights, unwrapped


def matches(file: Preview) -> bool:
    """Say whether torch pickled it, and its pickles name nothing but plain tensors."""
    return file.foreign_names is not None and not file.foreign_names


@loader("state_dict", matches, files="state_dicts")
def read(path: Path) -> Weights:
    """Return the tensors of a file that torch saved.

    The file is opened with `weights_only=True`, always, and never again with less.

    Raises:
        ModelError: When the file cannot be read so, or holds no state_dict.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            archive.checked(file, path)
    try:
        with torch.sparse.check_sparse_tensor_invariants():  # type: ignore[no-untyped-call]
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(
            f"torch cannot read this file as plain weights ({_first_line(error)}). Save the "
            "weights alone: torch.save(model.state_dict(), 'weights.pt')."
        ) from None
    return unwrapped(content)


def _first_line(error: Exception) -> str:
    line = (str(error).splitlines() or [""])[0].strip().rstrip(".")
    return line[:100] or type(error).__name__
