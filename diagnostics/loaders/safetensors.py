"""Read .safetensors."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from diagnostics.errors import ModelError
from diagnostics.loaders.weights import MOST_TENSORS, Weights, unwrapped

HEADER_MIB = 10


def read(path: Path) -> Weights:
    """Return the tensors of a safetensors file, in the order in which they lie in it.

    Raises:
        ModelError: When the header is too large or the file is damaged.
    """
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > HEADER_MIB * 2**20:
            raise ModelError(
                f"The header has {length / 2**20:.0f} MiB; at most {HEADER_MIB} MiB are read."
            )
        header = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    if len(header) > MOST_TENSORS:
        raise ModelError(f"The file has {len(header)} tensors; at most {MOST_TENSORS} are read.")
    try:
        tensors = load_file(path)
        order = sorted(tensors, key=lambda name: header[name]["data_offsets"])
    except (SafetensorError, KeyError, TypeError) as error:
        raise ModelError(f"The safetensors file is damaged: {str(error)[:100]}.") from None
    if any(tensor.numel() == 0 for tensor in tensors.values()):
        raise ModelError("The file holds a tensor without values; it is damaged or no classifier.")
    return unwrapped({name: tensors[name] for name in order})
