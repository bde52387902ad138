"""What people brought, kept for a while after their page is gone, so that a reload finds it.

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
class Changed:
    """Preprocessing that a person changed, and of which model."""

    model: ModelSource
    preprocessing: Preprocessing


Thing: TypeAlias = File | ModelSource | Changed


@dataclass
class _Entry:
    thing: Thing
    holders: set[int] = field(default_factory=set)


_folders: set[Path] = set()  # whose files are ours to delete
_secret = secrets.token_bytes(32)
_lock = threading.Lock()
_entries: dict[str, _Entry] = {}
_released: set[int] = set()  # holders that are gone, and may not hold anything again


def uploads(parent: Path) -> Path:
    """Return the folder where uploads lie until nobody holds them; only we may read it."""
    folder = parent / "uploads"
    folder.mkdir(mode=0o700, exist_ok=True)
    _folders.add(folder)
    return folder


def retain(thing: Thing, holder: int) -> str:
    """Keep a file or a model as long as its holder lives, and return its id."""
    text = json.dumps(asdict(thing), sort_keys=True)
    identity = hmac.new(_secret, text.encode(), hashlib.sha256).hexdigest()[:ID_LENGTH]
    with _lock:
        entry = _entries.setdefault(identity, _Entry(thing))
        if holder not in _released:
            entry.holders.add(holder)
    return identity


def find(identity: str, holder: int) -> Thing | None:
    """Return what an id stands for, held from now on; None when nobody holds it any more."""
    with _lock:
        entry = _entries.get(identity)
        if entry is not None and holder not in _released:
            entry.holders.add(holder)
    return entry.thing if entry else None


def held_bytes(holder: int) -> int:
    """Return how many bytes of our folders a holder keeps."""
    with _lock:
        paths = {_path(one.thing) for one in _entries.values() if holder in one.holders}
    ours = (path for path in paths if path.parent in _folders)
    return sum(path.stat().st_size for path in ours if path.exists())


def release(file: File, holder: int) -> None:
    """Let go of a file and of what was made from it; delete it if nobody else needs it."""
    path = Path(file.path)
    with _lock:
        same = [entry for entry in _entries.values() if _path(entry.thing) == path]
        for entry in same:
            entry.holders.discard(holder)
        for entry in same:
            _forget_if_free(entry.thing)


def release_all(holder: int) -> None:
    """Let go of everything that a holder held; it is deleted after a while unless held again."""
    with _lock:
        _released.add(holder)
        for entry in _entries.values():
            entry.holders.discard(holder)
    timer = threading.Timer(GRACE_SECONDS, sweep)
    timer.daemon = True
    timer.start()


def sweep() -> None:
    """Forget what nobody holds, and delete its files."""
    with _lock:
        for thing in [entry.thing for entry in _entries.values() if not entry.holders]:
            _forget_if_free(thing)


def _forget_if_free(thing: Thing) -> None:
    """Forget one thing unless somebody holds it; delete its file unless another thing needs it."""
    for identity in [name for name, entry in _entries.items() if entry.thing == thing]:
        if not _entries[identity].holders:
            del _entries[identity]
    path = _path(thing)
    needed = any(_path(entry.thing) == path for entry in _entries.values())
    if path.parent in _folders and not needed:
        path.unlink(missing_ok=True)


def _path(thing: Thing) -> Path:
    source = thing.model if isinstance(thing, Changed) else thing
    return Path((source.file if isinstance(source, ModelSource) else source).path)
