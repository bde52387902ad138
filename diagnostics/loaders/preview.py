"""What can be seen of a file or folder before anything in it is opened or run."""

from __future__ import annotations

import pickletools
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from diagnostics.errors import ModelError
from diagnostics.loaders.pickle_names import foreign_names, holds_mapping

HEAD_BYTES = 4096
PICKLE_MIB = 16  # 20,000 tensors and their optimiser have fewer
TORCH_SAVED = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # begins what torch saved before zip
PICKLES = 3  # of such a file, behind that one


@dataclass(frozen=True)
class Preview:
    """What a loader may decide by, see `registry.loader`.

    Args:
        path: The file or folder.
        is_folder: Whether it is a folder.
        size: Of the file, in bytes.
        head: The first bytes of the file.
        members: Names of what lies in the archive or folder.
        foreign_names: Classes and functions, "module name", that the pickles of a file of torch
            name besides those of plain tensors; None where torch pickled nothing.
        is_checkpoint: Whether torch pickled a dict: a state_dict, or a checkpoint that holds one.
        damaged: Whether the file ends early or contradicts itself.
    """

    path: Path
    is_folder: bool = False
    size: int = 0
    head: bytes = b""
    members: tuple[str, ...] = ()
    foreign_names: frozenset[str] | None = None
    is_checkpoint: bool = False
    damaged: bool = False


def preview(path: Path) -> Preview:
    """Look at a file or folder; nothing in it is unpickled or run.

    Raises:
        ModelError: When a pickle is larger than any list of tensors.
    """
    if path.is_dir():
        return Preview(path, True, members=tuple(member.name for member in path.iterdir()))
    with path.open("rb") as stream:
        file = Preview(path, size=path.stat().st_size, head=stream.read(HEAD_BYTES))
    if file.head.startswith(b"PK"):
        return _archive(file)
    if file.head.startswith(TORCH_SAVED):
        return _pickles(file)
    return file


def _archive(file: Preview) -> Preview:
    names: frozenset[str] | None = None
    is_checkpoint = False
    try:
        with zipfile.ZipFile(file.path) as archive:
            members = archive.namelist()
            pickles = [name for name in members if name.split("/")[-1] == "data.pkl"]
            if len(pickles) == 1:
                if archive.getinfo(pickles[0]).file_size > PICKLE_MIB * 2**20:
                    raise ModelError(
                        f"The file's list of tensors exceeds {PICKLE_MIB} MiB; it is no state_dict."
                    )
                pickled = archive.read(pickles[0])
                names, is_checkpoint = frozenset(foreign_names(pickled)), holds_mapping(pickled)
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        EOFError,
        ValueError,
    ):
        return replace(file, damaged=True)
    return replace(file, members=tuple(members), foreign_names=names, is_checkpoint=is_checkpoint)


def _pickles(file: Preview) -> Preview:
    """Look at the pickles that torch wrote one after the other before it used zip archives."""
    names: set[str] = set()
    pickled = b""
    with file.path.open("rb") as stream:
        try:
            stream.seek(len(TORCH_SAVED))
            for _ in range(PICKLES):
                start = stream.tell()
                for _ in pickletools.genops(stream):
                    pass
                end = stream.tell()
                stream.seek(start)
                pickled = stream.read(end - start)
                names |= foreign_names(pickled)
        except ValueError:
            return replace(file, damaged=True)
    is_checkpoint = holds_mapping(pickled)
    return replace(file, foreign_names=frozenset(names), is_checkpoint=is_checkpoint)
