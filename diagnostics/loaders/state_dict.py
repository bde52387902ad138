"""Read what `torch.save(model.state_dict(), …)` wrote, and checkpoints that hold one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch

from diagnostics.errors import ModelError
from diagnostics.loaders.weights import MOST_TENSORS, Weights, unwrapped


def read(path: Path) -> Weights:
    """Return the tensors of a file that torch saved.

    The file is opened with `weights_only=True`, always, and never again with less.

    Raises:
        ModelError: When the file cannot be read so, or holds no state_dict.
    """
    if zipfile.is_zipfile(path):
        _check_members(path)
    try:
        with torch.sparse.check_sparse_tensor_invariants():  # type: ignore[no-untyped-call]
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(
            f"torch cannot read this file as plain weights ({_first_line(error)}). Save the "
            "weights alone: torch.save(model.state_dict(), 'weights.pt')."
        ) from None
    return unwrapped(content)


def _check_members(path: Path) -> None:
    """Refuse archives whose members are compressed or more than they should be."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if len(members) > MOST_TENSORS:
        raise ModelError(f"The file has {len(members)} members; at most {MOST_TENSORS} are read.")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ModelError("The file's members are compressed, which torch never does; refused.")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise ModelError("The file's members overlap, which torch never does; refused.")


def _first_line(error: Exception) -> str:
    line = (str(error).splitlines() or [""])[0].strip().rstrip(".")
    return line[:100] or type(error).__name__
