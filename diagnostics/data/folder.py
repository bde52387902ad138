"""A folder of images: a directory, a .zip or a .tar, read image by image and never unpacked."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from diagnostics.errors import ImageError

ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
MOST_ENTRIES = 200_000
MOST_BYTES = 64 * 2**20
MOST_LIST_BYTES = 16 * 2**20
HIDDEN = {"__MACOSX", "Thumbs.db"}
NAMED = 3  # of the labels that fit no class
ZIPS = (b"PK\3\4", b"PK\5\6")
BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack more than is asked for
DIGITS = 9  # of the number of a class
UNKNOWN = -1  # index of the class of an image without a label, where None cannot stand
ENCRYPTED = 1  # a flag of an entry
BLOCK = 512
UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)

Held = tuple[int, Callable[[], bytes]]  # a file's declared size, and what reads it


@dataclass(frozen=True)
class Entry:
    """One image of a folder: its path below the folder, and the folder it lies in."""

    name: str
    folder: str


@dataclass(frozen=True)
class Labels:
    """Which class each image is said to be of.

    Args:
        indices: One per entry; None where there is no label, or one that fits no class.
        names: Index of the class by the label's text, for those that fit.
        notes: What should be known of it, a sentence each.
    """

    indices: tuple[int | None, ...]
    names: dict[str, int]
    notes: tuple[str, ...]


class Folder:
    """Images that lie together, in natural order.

    Args:
        path: A directory, or an archive, which is told by its content.

    Raises:
        ImageError: When it holds no image, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        kept = {name: held for name, held in _listed(path).items() if not _hidden(name)}
        self._files = kept
        self._list = _label_list([name for name in kept if _ending(name) == ".csv"])
        images = (name for name in kept if _ending(name) in ENDINGS)
        names = sorted(images, key=lambda name: (_natural(name), name))
        if not names:
            raise ImageError(
                f"{path.name} holds no image; PNG, JPEG, WebP, BMP, TIFF, GIF are read."
            )
        self.entries = tuple(Entry(name, PurePosixPath(name).parent.name) for name in names)
        others = len(kept) - len(names) - (self._list is not None)
        self.notes = (f"Files left out because they are no images: {others:,}.",) if others else ()

    def read(self, entry: Entry) -> bytes:
        """Return an image's bytes.

        Raises:
            ImageError: When they cannot be read or are too many.
        """
        return _bounded(self._files[entry.name], entry.name)

    def labels(self, class_names: Sequence[str]) -> Labels:
        """Return which class each image is of: by a list of labels, or by the folders it lies in.

        Args:
            class_names: The model's, in the order of its outputs.

        Raises:
            ImageError: When the list cannot be read.
        """
        notes: list[str] = []
        if self._list is not None:
            held = self._files[self._list]
            said = _label_by_name(_bounded(held, "The list of labels", MOST_LIST_BYTES))
            above = f"{PurePosixPath(self._list).parent}/"
            names = [one.name for one in self.entries]
            ways = [(name, name.removeprefix(above), _base(name)) for name in names]
            listed = [next(filter(None, map(said.get, way)), "") for way in ways]
            if any(listed):
                return _fitted(listed, class_names, notes)
            notes.append(f"{_base(self._list)} labels none of these images; it was left out.")
        folders = [one.folder for one in self.entries]
        if len(set(folders)) < 2 and _match(folders[0], class_names) is None:
            folders = [""] * len(folders)
        return _fitted(folders, class_names, notes)


def fingerprint(path: Path) -> str:
    """Return a hash of everything that is read of a folder or file, names included.

    Raises:
        ImageError: When it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        if not path.is_dir():
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        for name, (_, read) in sorted(_listed(path).items()):
            if not _hidden(name) and _ending(name) in {*ENDINGS, ".csv"}:
                digest.update(name.encode() + b"\0" + hashlib.sha256(read()).digest())
    except OSError as error:
        raise ImageError(f"{path.name} cannot be read: {error.strerror}.") from None
    return digest.hexdigest()


def _listed(path: Path) -> dict[str, Held]:
    """Return every file by its path below the folder; links are not followed."""
    try:
        if path.is_dir():
            found = _on_disk(path)
        else:
            with path.open("rb") as stream:
                found = _zipped(path) if stream.read(4) in ZIPS else _tarred(path)
        first = list(islice(found, MOST_ENTRIES + 1))  # a list without end fills no memory
        if len(first) > MOST_ENTRIES:
            raise ImageError(f"{path.name} holds more than {MOST_ENTRIES:,} files.")
        return {_legible(name): held for name, held in first}
    except UNREADABLE as error:
        raise ImageError(
            f"{path.name} cannot be read; give a folder, a .zip, or a .tar without compression."
        ) from error


def _on_disk(path: Path) -> Iterator[tuple[str, Held]]:
    for one in path.rglob("*"):
        if one.is_file() and not one.is_symlink():
            name = one.relative_to(path).as_posix()
            yield name, (0, partial(_cut, one, 0, MOST_BYTES + 1))


def _zipped(path: Path) -> Iterator[tuple[str, Held]]:
    archive = zipfile.ZipFile(path)  # open as long as its readers
    for info in archive.infolist():
        name = info.filename.replace("\\", "/")
        link = stat.S_ISLNK(info.external_attr >> 16)
        if not name.endswith("/") and not link and _inside(name):
            yield name, (info.file_size, partial(_unpacked, archive, info))


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.flag_bits & ENCRYPTED:
        raise ImageError(f"{info.filename[-60:]} is encrypted; unpack it first.")
    if info.compress_type not in BOUNDED:
        raise NotImplementedError
    with archive.open(info) as stream:
        return stream.read(info.file_size + 1)


def _tarred(path: Path) -> Iterator[tuple[str, Held]]:
    with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        for info in archive:
            if info.size < 0:  # leads back to where it was read before, for ever
                raise tarfile.ReadError
            if info.isreg() and not info.issparse() and _inside(info.name):
                yield info.name, (info.size, partial(_cut, path, info.offset_data, info.size))
        stream.seek(archive.offset)
        if stream.read(BLOCK).strip(b"\0"):  # a damaged header ends the listing without a word
            raise tarfile.ReadError


def _cut(path: Path, begin: int, size: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(begin)
        return stream.read(size)


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and bool(path.name)


def _legible(name: str) -> str:
    """Return a path as text in one spelling, whatever system wrote it."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return normalize("NFC", PurePosixPath(text).as_posix())


def _bounded(held: Held, name: str, most: int = MOST_BYTES) -> bytes:
    size, read = held
    try:
        content = read() if size <= most else b""
    except UNREADABLE as error:
        raise ImageError(f"{name[-60:]} cannot be read.") from error
    if max(size, len(content)) > most:
        raise ImageError(f"{name[-60:]} is larger than {most // 2**20} MiB, the most of one file.")
    return content


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part in HIDDEN for part in PurePosixPath(name).parts)


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _base(name: str) -> str:
    return PurePosixPath(name).name


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort 2 before 10: texts and numbers take turns, of which longer ones are greater."""
    parts = enumerate(re.split(r"([0-9]+)", name.casefold()))
    turns = [(place % 2, part.lstrip("0") if place % 2 else part) for place, part in parts]
    return [(number * len(part), part) for number, part in turns]


def _label_list(lists: Sequence[str]) -> str | None:
    """Return the list named labels.csv, the one that lies highest, or the only list."""
    named = [name for name in lists if _base(name).lower() == "labels.csv"]
    if named:
        return min(named, key=lambda name: (name.count("/"), name))
    return lists[0] if len(lists) == 1 else None


def _label_by_name(content: bytes) -> dict[str, str]:
    """Return the label by the file's name, from two columns, with a heading or without."""
    try:
        text = normalize("NFC", content.decode("utf-8-sig"))
        mark = max(",;\t", key=text.partition("\n")[0].count)
        lines = io.StringIO(text, newline=None)
        rows = [row for row in csv.reader(lines, delimiter=mark) if len(row) > 1]
    except UnicodeDecodeError:
        raise ImageError("The list of labels is no UTF-8 text; save it as CSV in UTF-8.") from None
    except csv.Error as error:
        raise ImageError(f"The list of labels cannot be read: {error}.") from None
    return {row[0].strip().replace("\\", "/").removeprefix("./"): row[1].strip() for row in rows}


def _fitted(texts: Sequence[str], class_names: Sequence[str], notes: list[str]) -> Labels:
    distinct = sorted({text for text in texts if text}, key=_natural)
    names = {text: _match(text, class_names) for text in distinct}
    fits = any(index is not None for index in names.values())
    if not fits and len(distinct) == len(class_names):
        names = {text: place for place, text in enumerate(distinct)}
        notes.append(
            "No label bears a class's name, so they were taken in natural order: "
            f"{distinct[0]!r} is class 0. Give the model its class names to be sure."
        )
    found = {text: index for text, index in names.items() if index is not None}
    indices = tuple(found.get(text) for text in texts)
    missing = sum(index is None for index in indices)
    unfit = [text for text in distinct if text not in found][:NAMED]
    if missing:
        why = f" No class is called {', '.join(map(repr, unfit))}." if unfit else ""
        notes.append(f"{missing} of {len(texts)} images have no label.{why}")
    return Labels(indices, found, tuple(notes))


def _match(text: str, class_names: Sequence[str]) -> int | None:
    """Return the class of that name, however it is written, or of that number."""
    if text in class_names:
        return class_names.index(text)
    plain = _plain(text)
    for index, name in enumerate(class_names):
        if _plain(name) == plain:
            return index
    if text.isascii() and text.isdecimal() and len(text) < DIGITS and int(text) < len(class_names):
        return None if class_names[int(text)].isdecimal() else int(text)
    return None


def _plain(text: str) -> str:
    return " ".join(normalize("NFC", text).casefold().replace("_", " ").replace("-", " ").split())
