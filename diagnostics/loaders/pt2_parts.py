"""The parts of an exported program's archive: its descriptions, and its numbers."""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from diagnostics.errors import ModelError
from diagnostics.models.graph.aten import single

MOST_MIB = 64  # of a description
DENSE = 7  # layout
AGAIN = "save it again: torch.export.save(torch.export.export(model.eval(), (images,)), path)."
DTYPES = {  # by the format's number; half precision is computed in single, as everywhere here
    **{1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64},
    **{6: torch.float16, 7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16},
}


def read_json(file: zipfile.ZipFile, name: str) -> Any:
    """Return the content of a member that is JSON.

    Raises:
        ModelError: When it is too large or damaged.
    """
    if file.getinfo(name).file_size > MOST_MIB * 2**20:
        raise ModelError(f"The program's description exceeds {MOST_MIB} MiB; refused.")
    try:
        return json.loads(file.read(name))
    except (zipfile.BadZipFile, zlib.error):
        raise ModelError("The file is cut off or damaged; save it again.") from None


def read_tensors(
    file: zipfile.ZipFile, folder: str, listed: Mapping[str, Any]
) -> Iterator[tuple[str, Tensor]]:
    """Yield tensors that lie in an archive as plain numbers.

    Raises:
        ModelError: When one is anything else, or claims more than is there.
    """
    for name, one in listed.items():
        if one["use_pickle"] or not str(one["path_name"]).startswith(("weight_", "tensor_")):
            raise ModelError(
                f"The program keeps {name[:60]!r} as a pickle or an object, which may hold code; "
                f"refused. To have it, {AGAIN}"
            )
        yield name, _tensor(name, file.read(folder + one["path_name"]), one["tensor_meta"])


def _tensor(name: str, content: bytes, meta: Mapping[str, Any]) -> Tensor:
    dtype = DTYPES.get(meta["dtype"])
    if dtype is None or meta["layout"] != DENSE:
        raise ModelError(f"The tensor {name[:60]!r} has a type that is not computed.")
    sizes, strides = ([one["as_int"] for one in meta[key]] for key in ("sizes", "strides"))
    offset, count = meta["storage_offset"]["as_int"], len(content) // dtype.itemsize
    reach = offset + sum((size - 1) * step for size, step in zip(sizes, strides, strict=True))
    empty = any(size == 0 for size in sizes)
    if min([*sizes, *strides, offset]) < 0 or (reach >= count and not empty):
        raise ModelError(f"The tensor {name[:60]!r} claims more than the file holds; refused.")
    if math.prod(sizes) > count:
        raise ModelError(f"The tensor {name[:60]!r} repeats its values; refused.")
    if not content:
        return torch.empty(sizes, dtype=single(dtype))
    flat = torch.frombuffer(bytearray(content[: count * dtype.itemsize]), dtype=dtype)
    return flat.as_strided(sizes, strides, offset).to(single(dtype))
