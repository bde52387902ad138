"""What kind of file is this? Decided by its content, never by its name, and without opening it."""

from __future__ import annotations

import json
import pickletools
import zipfile
from pathlib import Path

from diagnostics.errors import ModelError

SAFETENSORS, STATE_DICT, ONNX, KERAS = "safetensors", "state_dict", "ONNX", "Keras"
TORCH_SAVED = 0x1950A86A20F9469CFC6C
LATER = "this version opens .safetensors, state_dicts, ONNX and Keras"
SAVE = "Save the weights alone: torch.save(model.state_dict(), 'weights.pt')."

# What a state_dict needs to be rebuilt; every other global is a class or a function of somebody.
PLAIN = {"collections OrderedDict", "_codecs encode", "torch Size", "torch device"}
PLAIN_PREFIXES = (
    "torch._utils _rebuild_",
    "torch._tensor _rebuild_",
    "torch.storage ",
    "torch.serialization _get_layout",
    "numpy",
)
HDF5 = b"\x89HDF\r\n\x1a\n"
MAGIC = {
    b"TFL3": f"This is a TensorFlow Lite model; {LATER}.",
    b"\x1f\x8b": "This is a gzip archive; unpack it and choose the weights inside.",
    b"\x89PNG": "This is a PNG image, no model; add it as an image.",
    b"\xff\xd8\xff": "This is a JPEG image, no model; add it as an image.",
    b"version https://git-lfs": "This is a Git LFS pointer, not the file itself; run git lfs pull.",
    b"<!DOCTYPE": "This is a web page, probably a failed download; download the file again.",
    b"<html": "This is a web page, probably a failed download; download the file again.",
}


def sniff(path: Path) -> str:
    """Return `SAFETENSORS`, `STATE_DICT`, `ONNX` or `KERAS`.

    Raises:
        ModelError: When the file is anything else; the sentence says what it is and what to do.
    """
    with path.open("rb") as stream:
        head = stream.read(4096)
    if not head:
        raise ModelError("The file is empty (0 bytes); upload it again.")
    for magic, sentence in MAGIC.items():
        if head.startswith(magic) or (magic == b"TFL3" and head[4:8] == magic):
            raise ModelError(sentence)
    if head.startswith(HDF5):
        return KERAS
    if _is_safetensors(path, head):
        return SAFETENSORS
    if head.startswith(b"PK"):
        return _zip(path)
    if head[:1] == b"\x80":
        return _legacy(path)
    if head[257:262] == b"ustar":
        raise ModelError("This is a tar archive; unpack it and choose the weights inside.")
    if _is_onnx(head):
        return ONNX
    raise ModelError(f"This is no model file that can be recognised; {LATER}. {SAVE}")


def _is_safetensors(path: Path, head: bytes) -> bool:
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 2 <= length <= path.stat().st_size - 8


def _is_onnx(head: bytes) -> bool:
    """An ONNX file begins with its version of the format and soon names its producer or graph."""
    return head[:1] == b"\x08" and head[1:2] < b"\x20" and head[2:3] in (b"\x12", b"\x3a", b"\x1a")


def _zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            pickles = [name for name in names if name.split("/")[-1] == "data.pkl"]
            if any("/code/" in name or name.endswith("constants.pkl") for name in names):
                raise ModelError(f"This is a TorchScript program; {LATER}. {SAVE}")
            if any("/models/" in name or name.endswith("_program.json") for name in names):
                raise ModelError(f"This is an exported program (.pt2); {LATER}. {SAVE}")
            if "config.json" in names and any(name.endswith(".h5") for name in names):
                return KERAS
            if len(pickles) != 1:
                raise ModelError("This is a zip archive; unpack it and choose the weights inside.")
            if archive.getinfo(pickles[0]).file_size > 64 * 2**20:
                raise ModelError("The file's list of tensors exceeds 64 MiB; it is no state_dict.")
            _refuse_code(archive.read(pickles[0]))
    except zipfile.BadZipFile:
        raise ModelError("The file is cut off or damaged; upload it again.") from None
    return STATE_DICT


def _legacy(path: Path) -> str:
    """Look at the pickles that torch wrote one after the other before it used zip archives."""
    with path.open("rb") as stream:
        try:
            first = [argument for _, argument, _ in pickletools.genops(stream) if argument]
            if TORCH_SAVED not in first:
                raise ModelError(
                    "This is a Python pickle that torch did not save, and opening one runs its "
                    f"code; refused. {SAVE}"
                )
            for _ in range(3):
                position = stream.tell()
                for _ in pickletools.genops(stream):
                    pass
                end = stream.tell()
                stream.seek(position)
                _refuse_code(stream.read(end - position))
        except ValueError:
            raise ModelError("The file is cut off or damaged; upload it again.") from None
    return STATE_DICT


def _refuse_code(pickled: bytes) -> None:
    """Refuse a pickle that names classes or functions other than those of plain tensors."""
    try:
        named = _globals(pickled)
    except ValueError:
        raise ModelError("The file is cut off or damaged; upload it again.") from None
    foreign = sorted(name for name in named if not _is_plain(name))
    if foreign:
        listed = ", ".join(name.replace(" ", ".")[:60] for name in foreign[:3])
        raise ModelError(
            f"This file holds more than tensors ({json.dumps(listed)[1:-1]}): a whole pickled "
            f"model, which can run code when it is opened. {SAVE}"
        )


def _globals(pickled: bytes) -> set[str]:
    named: set[str] = set()
    strings: list[str] = []
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in ("GLOBAL", "INST"):
            named.add(str(argument))
        elif opcode.name == "STACK_GLOBAL":
            named.add(" ".join(strings[-2:]))
        elif isinstance(argument, str):
            strings.append(argument)
    return named


def _is_plain(name: str) -> bool:
    is_type = name.startswith("torch ") and name.endswith(("Storage", "Tensor"))
    is_dtype = name.startswith("torch ") and name.split(" ")[1].islower()
    plain = name in PLAIN or name.startswith(PLAIN_PREFIXES)
    return plain or is_type or (is_dtype and name.split(" ")[1] in DTYPES)


DTYPES = {"float16", "bfloat16", "float32", "float64", "int8", "uint8", "int32", "int64", "bool"}
