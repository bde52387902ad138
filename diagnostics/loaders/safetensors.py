"""Read .safetensors: named tensors behind a header that is JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, load_file
from torch import Tensor

from diagnostics.errors import ModelError
from diagnostics.loaders.preview import Preview
from diagnostics.loaders.registry import loader
from diagnostics.loaders.weights import MAX_TENSORS, Weights, plain, unwrapped

MAX_HEADER_MIB = 10
METADATA = "__metadata__"
DAMAGED = (
    "The safetensors file is damaged: its header does not fit what follows; download or save it "
    "again."
)


def matches(file: Preview) -> bool:
    """Say whether a file begins with the length of its header and the header."""
    length = int.from_bytes(file.head[:8], "little")
    return file.head[8:9] == b"{" and 2 <= length <= file.size - 8


@loader("safetensors", matches, files=".safetensors")
def read(path: Path) -> Weights:
    """Return the tensors of a safetensors file; the format sorts them, so their order is lost.

    Raises:
        ModelError: When the header is too large or the file is damaged.
    """
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        _check(length, stream.read(min(length, MAX_HEADER_MIB * 2**20)), path.stat().st_size)
    return replace(unwrapped(_tensors(lambda: load_file(path))), in_order=False)


def tensors_of(content: bytes) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file's bytes, by the names it gives them.

    Raises:
        ModelError: When the header is too large or the file is damaged.
    """
    length = int.from_bytes(content[:8], "little")
    _check(length, content[8 : 8 + min(length, MAX_HEADER_MIB * 2**20)], len(content))
    return {name: plain(name, tensor) for name, tensor in _tensors(lambda: load(content)).items()}


def _check(length: int, header: bytes, size: int) -> None:
    if length > MAX_HEADER_MIB * 2**20:
        raise ModelError(
            f"The header has {length / 2**20:.0f} MiB; at most {MAX_HEADER_MIB} MiB are read."
        )
    try:
        entries = json.loads(header)
        ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != METADATA]
        needed = 8 + length + max(ends, default=0)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise ModelError(DAMAGED) from None
    if len(entries) > MAX_TENSORS:
        raise ModelError(f"The file has {len(entries)} tensors; at most {MAX_TENSORS} are read.")
    if needed > size:
        raise ModelError(
            f"The safetensors file is cut off: its tensors end at byte {needed:,} and it has "
            f"{size:,}; download or save it again."
        )


def _tensors(load: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    try:
        tensors = load()
    except (SafetensorError, ValueError, TypeError, RecursionError):
        raise ModelError(DAMAGED) from None
    if any(tensor.numel() == 0 for tensor in tensors.values()):
        raise ModelError("The file holds a tensor without values; it is damaged or no classifier.")
    return tensors
