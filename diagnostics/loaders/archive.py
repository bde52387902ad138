"""Look at a zip archive before anything in it is read: names, sizes, and how it is packed."""

from __future__ import annotations

import zipfile
from pathlib import Path

from diagnostics.errors import ModelError
from diagnostics.loaders.weights import MOST_TENSORS


def checked(file: zipfile.ZipFile, path: Path) -> list[str]:
    """Return the names of an archive's members.

    Args:
        file: The archive.
        path: Where it lies.

    Raises:
        ModelError: When members are packed, overlap, have the same name, or are too many.
    """
    members = file.infolist()
    if len(members) > MOST_TENSORS:
        raise ModelError(f"The file has {len(members)} members; at most {MOST_TENSORS} are read.")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ModelError("The file's members are compressed, which torch never does; refused.")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise ModelError("The file's members overlap, which torch never does; refused.")
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise ModelError("Two of the file's members have the same name; refused.")
    return names
