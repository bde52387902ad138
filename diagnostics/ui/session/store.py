"""What people brought, retained for a while after their page is gone, so that a reload finds it.

An id says nothing of what it stands for and cannot be made from it outside this server: whoever
has a page's address can open the page, nobody else.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeAlias

from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import File, ModelSource

GRACE_SECONDS = 120
ID_LENGTH = 20


@dataclass(frozen=True)
class EditedPreprocessing:
    """Preprocessing that a person edited, and of which model."""

    model: ModelSource
    preprocessing: Preprocessing


Stored: TypeAlias = File | ModelSource | EditedPreprocessing


@dataclass
class _Entry:
    item: Stored
    owners: set[int] = field(default_factory=set)


_folders: set[Path] = set()  # whose files are ours to delete
_folder_name = secrets.token_hex(16)
_secret = secrets.token_bytes(32)
_lock = threading.Lock()
_entries: dict[str, _Entry] = {}
_closed_owners: set[int] = set()  # sessions that have ended, and may not retain anything again


def upload_folder(parent: Path) -> Path:
    """Return the folder where uploads lie until nobody owns them; only we may read it.

    Its name cannot be guessed either: a worker may look whether a file is there whose whole path
    it knows, and uploads are named by their hashes.
    """
    folder = parent / f"uploads-{_folder_name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    _folders.add(folder)
    return folder


def retain(item: Stored, owner: int) -> str:
    """Retain a file or a model as long as its owner lives, and return its id."""
    text = json.dumps(asdict(item), sort_keys=True)
    identity = hmac.new(_secret, text.encode(), hashlib.sha256).hexdigest()[:ID_LENGTH]
    with _lock:
        entry = _entries.setdefault(identity, _Entry(item))
        if owner not in _closed_owners:
            entry.owners.add(owner)
    return identity


def find(identity: str, owner: int) -> Stored | None:
    """Return what an id stands for, retained from now on; None when nobody owns it any more."""
    with _lock:
        entry = _entries.get(identity)
        if entry is not None and owner not in _closed_owners:
            entry.owners.add(owner)
    return entry.item if entry else None


def retained_bytes(owner: int) -> int:
    """Return how many bytes of our folders an owner retains."""
    with _lock:
        paths = {_path(entry.item) for entry in _entries.values() if owner in entry.owners}
    ours = (path for path in paths if path.parent in _folders)
    return sum(path.stat().st_size for path in ours if path.exists())


def release(file: File, owner: int) -> None:
    """Release a file and what was made from it; delete it if nobody else needs it."""
    path = Path(file.path)
    with _lock:
        same = [entry for entry in _entries.values() if _path(entry.item) == path]
        for entry in same:
            entry.owners.discard(owner)
        for entry in same:
            _delete_if_unowned(entry.item)


def release_all(owner: int) -> None:
    """Release all that an owner retains; it is deleted after a while unless somebody finds it."""
    with _lock:
        _closed_owners.add(owner)
        for entry in _entries.values():
            entry.owners.discard(owner)
    timer = threading.Timer(GRACE_SECONDS, delete_unowned)
    timer.daemon = True
    timer.start()


def delete_unowned() -> None:
    """Forget what nobody owns, and delete its files."""
    with _lock:
        for item in [entry.item for entry in _entries.values() if not entry.owners]:
            _delete_if_unowned(item)


def _delete_if_unowned(item: Stored) -> None:
    """Forget an item unless somebody owns it; delete its file unless another item needs it."""
    for identity in [name for name, entry in _entries.items() if entry.item == item]:
        if not _entries[identity].owners:
            del _entries[identity]
    path = _path(item)
    needed = any(_path(entry.item) == path for entry in _entries.values())
    if path.parent in _folders and not needed:
        path.unlink(missing_ok=True)


def _path(item: Stored) -> Path:
    source = item.model if isinstance(item, EditedPreprocessing) else item
    return Path((source.file if isinstance(source, ModelSource) else source).path)
