"""Class names: from a list that a person gave, or those a network is known for."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from diagnostics.errors import ClassesError
from diagnostics.networks import NETWORKS
from diagnostics.spec import Check

LARGEST_MIB, MOST = 1, 100_000
HEADINGS = {"index", "id", "class", "name", "label", "class_name", "class_id"}


def read_class_names(path: Path, name: str) -> tuple[str, ...]:
    """Read a list of class names.

    Accepts a name a line; a JSON list, {index: name}, {name: index} or {index: [id, name]}; CSV
    rows of index and name.

    Raises:
        ClassesError: When the file is no such list.
    """
    if path.stat().st_size > LARGEST_MIB * 2**20:
        raise ClassesError(f"{name} is larger than {LARGEST_MIB} MiB; a list of names is expected.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ClassesError(f"{name} is no text in UTF-8; a list of names is expected.") from None
    stripped = text.strip()
    names = _json(stripped, name) if stripped[:1] in ("[", "{") else _lines(stripped)
    if not names or len(names) > MOST:
        raise ClassesError(f"{name} holds {len(names)} names; 1 to {MOST:,} are expected.")
    return names


def fitting(given: tuple[str, ...], outputs: int) -> tuple[tuple[str, ...], Check]:
    """Return one name per output; numbers stand where a given list is too short."""
    if len(given) == outputs:
        return given, Check("classes", "passed", f"{outputs} class names for {outputs} outputs.")
    names = (*given[:outputs], *(f"class {index}" for index in range(len(given), outputs)))
    message = (
        f"{len(given)} class names for {outputs} outputs: the names may be shifted; give a list "
        f"of {outputs}."
    )
    return names, Check("classes", "warned", message)


def known_names(architecture: str, outputs: int) -> tuple[tuple[str, ...], Check]:
    """Return the names a network is known for: letters, digits, ImageNet-1k, or numbers."""
    library, _, name = architecture.partition("/")
    if library == "oversure" and len(NETWORKS[name].class_names) == outputs:
        return fitting(NETWORKS[name].class_names, outputs)
    if library != "oversure" and outputs == 1000:
        message = "1000 outputs: ImageNet-1k names in torchvision's order are assumed."
        return imagenet_names(), Check("classes", "passed", message)
    numbers = tuple(f"class {index}" for index in range(outputs))
    message = f"No names are known for {outputs} outputs; give a list of class names."
    return numbers, Check("classes", "warned", message)


def imagenet_names() -> tuple[str, ...]:
    """Return the 1000 ImageNet names in torchvision's order."""
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.DEFAULT.meta["categories"])


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
        if all(key.isdigit() for key in content):
            return [value for _, value in sorted(content.items(), key=lambda item: int(item[0]))]
        return [key for key, _ in sorted(content.items(), key=lambda item: int(item[1]))]
    except (TypeError, ValueError):
        raise ClassesError(f"{name} must map indices to names, or names to indices.") from None


def _lines(text: str) -> tuple[str, ...]:
    rows = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    if rows and rows[0][0].strip().lower() in HEADINGS and len(rows[0]) > 1:
        rows = rows[1:]
    if rows and all(len(row) > 1 and row[0].strip().isdigit() for row in rows):
        return tuple(row[1].strip() for row in sorted(rows, key=lambda row: int(row[0])))
    return tuple(line.strip() for line in text.splitlines() if line.strip())
