"""Read .safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, load_file
from torch import Tensor

from diagnostics.errors import ModelError
from diagnostics.loaders.weights import MOST_TENSORS, Weights, plain, unwrapped

HEADER_MIB = 10


def read(path: Path) -> Weights:
    """Return the tensors of a safetensors file; the format sorts them, so their order is lost.

    Raises:
        ModelError: When the header is too large or the file is damaged.
    """
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        _check(length, stream.read(min(length, HEADER_MIB * 2**20)))
    return replace(unwrapped(_whole(lambda: load_file(path))), in_order=False)


def tensors_of(content: bytes) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file's bytes, by the names it gives them.

    Raises:
        ModelError: When the header is too large or the file is damaged.
    """
    length = int.from_bytes(content[:8], "little")
    _check(length, content[8 : 8 + min(length, HEADER_MIB * 2**20)])
    return {name: plain(name, one) for name, one in _whole(lambda: load(content)).items()}


def _check(length: int, header: bytes) -> None:
    if length > HEADER_MIB * 2**20:
        raise ModelError(
            f"The header has {length / 2**20:.0f} MiB; at most {HEADER_MIB} MiB are read."
        )
    try:
        count = len(json.loads(header))
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"The safetensors file is damaged: {str(error)[:100]}.") from None
    if count > MOST_TENSORS:
        raise ModelError(f"The file has {count} tensors; at most {MOST_TENSORS} are read.")


def _whole(load: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    try:
        tensors = load()
    except (SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"The safetensors file is damaged: {str(error)[:100]}.") from None
    if any(tensor.numel() == 0 for tensor in tensors.values()):
        raise ModelError("The file holds a tensor without values; it is damaged or no classifier.")
    return tensors
