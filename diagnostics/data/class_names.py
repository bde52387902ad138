"""Class names: lists that people give as a file or as folders of images."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from diagnostics.errors import ClassesError

LARGEST_MIB, MOST = 1, 100_000
MAX_DIGITS = 9  # of an index
HEADINGS = {"index", "id", "class", "name", "label", "class_name", "class_id"}


def at(path: Path) -> tuple[str, ...]:
    """Return the names that lie at a path: a list, or a folder with one folder for each class.

    Raises:
        ClassesError: When there are none.
    """
    try:
        if path.is_dir():
            return of_folders(f"{child.name}/" for child in path.iterdir() if child.is_dir())
        with path.open("rb") as stream:
            return read(stream.read(LARGEST_MIB * 2**20 + 1), path.name)
    except OSError as error:
        raise ClassesError(f"{path.name} cannot be read: {error.strerror}.") from None


def of_folders(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the folders that files lie in, in the order in which trainers sort them.

    Args:
        paths: Of files, "cats/1.png", or of folders, "cats/".

    Raises:
        ClassesError: When there are fewer than two.
    """
    found = {
        PurePosixPath(path).name if path.endswith("/") else PurePosixPath(path).parent.name
        for path in paths
    }
    names = tuple(sorted(found - {""}))
    if len(names) < 2:
        raise ClassesError(
            f"Class names from folders need a folder for each class; found {len(names)}."
        )
    return names


def read(content: bytes, name: str) -> tuple[str, ...]:
    """Read a list of class names.

    Accepts a name a line; a JSON list, {index: name}, {name: index} or {index: [id, name]}; CSV
    rows of index and name.

    Raises:
        ClassesError: When the content is no such list.
    """
    if len(content) > LARGEST_MIB * 2**20:
        raise ClassesError(f"{name} is larger than {LARGEST_MIB} MiB; a list of names is expected.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ClassesError(f"{name} is no text in UTF-8; a list of names is expected.") from None
    stripped = text.strip()
    names = _json(stripped, name) if stripped[:1] in ("[", "{") else _lines(stripped)
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        raise ClassesError(f"{name} holds half characters; save it again as UTF-8.") from None
    if not names or len(names) > MOST:
        raise ClassesError(f"{name} holds {len(names)} names; 1 to {MOST:,} are expected.")
    return names


def _json(text: str, name: str) -> tuple[str, ...]:
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise ClassesError(f"{name} is no valid JSON; a list of names is expected.") from None
    if isinstance(content, dict):
        content = _by_index(content, name)
    return tuple(
        str(item[-1]) if isinstance(item, list) and item else str(item) for item in content
    )


def _by_index(content: dict[str, Any], name: str) -> list[Any]:
    try:
        if all(map(_is_index, content)):
            return [value for _, value in sorted(content.items(), key=lambda item: int(item[0]))]
        return [key for key, _ in sorted(content.items(), key=lambda item: int(item[1]))]
    except (TypeError, ValueError, OverflowError):
        raise ClassesError(f"{name} must map indices to names, or names to indices.") from None


def _lines(text: str) -> tuple[str, ...]:
    try:
        table = csv.reader(io.StringIO(text, newline=None))
        rows = [row for row in table if any(map(str.strip, row))]
    except csv.Error:
        rows = []  # no table, so a name a line
    if rows and rows[0][0].strip().lower() in HEADINGS and len(rows[0]) > 1:
        rows = rows[1:]
    if rows and all(len(row) > 1 and _is_index(row[0].strip()) for row in rows):
        return tuple(row[1].strip() for row in sorted(rows, key=lambda row: int(row[0])))
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
