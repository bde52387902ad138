"""Read .safetensors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from diagnostics.errors import ModelError
from diagnostics.loaders.weights import MOST_TENSORS, Weights, unwrapped

HEADER_MIB = 10


def read(path: Path) -> Weights:
    """Return the tensors of a safetensors file; the format sorts them, so their order is lost.

    Raises:
        ModelError: When the header is too large or the file is damaged.
    """
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > HEADER_MIB * 2**20:
            raise ModelError(
                f"The header has {length / 2**20:.0f} MiB; at most {HEADER_MIB} MiB are read."
            )
        header = stream.read(length)
    try:
        count = len(json.loads(header))
        if count > MOST_TENSORS:
            raise ModelError(f"The file has {count} tensors; at most {MOST_TENSORS} are read.")
        tensors = load_file(path)
    except (SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"The safetensors file is damaged: {str(error)[:100]}.") from None
    if any(tensor.numel() == 0 for tensor in tensors.values()):
        raise ModelError("The file holds a tensor without values; it is damaged or no classifier.")
    return replace(unwrapped(tensors), in_order=False)
