"""Look at a zip archive before anything in it is read: names, sizes, and how it is packed."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

from diagnostics.errors import ModelError
from diagnostics.loaders.weights import MAX_TENSORS

END = struct.Struct("<4s4H2LH")  # signature, disks, counts, size and start of the list, comment
LOCATOR = struct.Struct("<4sLQL")
LARGE_END = struct.Struct("<4sQ2H2L4Q")


def checked(file: zipfile.ZipFile, path: Path) -> list[str]:
    """Return the names of an archive's members.

    Args:
        file: The archive.
        path: Where it lies.

    Raises:
        ModelError: When members are packed, overlap, have the same name, or are too many.
    """
    if file.comment or file.start_dir != _stated_start(path):
        raise ModelError("The file is two archives in one, and readers differ on which; refused.")
    members = file.infolist()
    if len(members) > MAX_TENSORS:
        raise ModelError(f"The file has {len(members)} members; at most {MAX_TENSORS} are read.")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ModelError("The file's members are compressed, which torch never does; refused.")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise ModelError("The file's members overlap, which torch never does; refused.")
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise ModelError("Two of the file's members have the same name; refused.")
    return names


def _stated_start(path: Path) -> int:
    """Return where the archive says that its list of members begins; -1 where it does not end."""
    with path.open("rb") as stream:
        stream.seek(-min(path.stat().st_size, END.size + LOCATOR.size), 2)
        tail = stream.read()
        if len(tail) < END.size or tail[-END.size :][:4] != b"PK\5\6":
            return -1
        start = int(END.unpack(tail[-END.size :])[-2])
        if start != 0xFFFFFFFF or len(tail) < END.size + LOCATOR.size:
            return start
        stream.seek(LOCATOR.unpack(tail[: LOCATOR.size])[2])
        large = stream.read(LARGE_END.size)
    return int(LARGE_END.unpack(large)[-1]) if len(large) == LARGE_END.size else -1
