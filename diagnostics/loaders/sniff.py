"""What kind of file is this? Decided by its content, never by its name, and without opening it."""

from __future__ import annotations

import json
import pickletools
import zipfile
import zlib
from pathlib import Path

from diagnostics.errors import ModelError
from diagnostics.loaders import hugging_face, pickled_module
from diagnostics.loaders.pickled import foreign_names

SAFETENSORS, STATE_DICT, ONNX, KERAS = "safetensors", "state_dict", "ONNX", "Keras"
PT2, TORCHSCRIPT, MODULE, HUGGING_FACE = "pt2", "TorchScript", "module", "Hugging Face"
TORCH_SAVED = 0x1950A86A20F9469CFC6C
LATER = (
    "this version opens .safetensors, state_dicts, ONNX, Keras, .pt2, TorchScript and folders of "
    "Hugging Face"
)
SAVE = "Save the weights alone: torch.save(model.state_dict(), 'weights.pt')."
RECIPE = (
    "Where it was made, save the weights alone:\n"
    "    import torch\n"
    "    model = torch.load('model.pt', weights_only=False)\n"
    "    torch.save(model.state_dict(), 'weights.pt')"
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
    """Return the format of a file or folder: `SAFETENSORS`, `STATE_DICT`, `ONNX`, and so on.

    Raises:
        ModelError: When the file is anything else; the sentence says what it is and what to do.
    """
    if path.is_dir():
        if hugging_face.is_folder([one.name for one in path.iterdir()]):
            return HUGGING_FACE
        raise ModelError(
            "This folder holds no model; expected config.json and model.safetensors, or choose a "
            "file."
        )
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
                return TORCHSCRIPT
            if any(name.endswith("/models/model.json") for name in names):
                return PT2
            if any("/models/" in name or name.endswith("_program.json") for name in names):
                raise ModelError(
                    "This is an exported program as older versions of torch wrote it; load and "
                    "save it again with torch.export.load and torch.export.save."
                )
            if "config.json" in names and any(name.endswith(".h5") for name in names):
                return KERAS
            if hugging_face.is_folder(names):
                return HUGGING_FACE
            if len(pickles) != 1:
                raise ModelError("This is a zip archive; unpack it and choose the weights inside.")
            if archive.getinfo(pickles[0]).file_size > 64 * 2**20:
                raise ModelError("The file's list of tensors exceeds 64 MiB; it is no state_dict.")
            foreign = foreign_names(archive.read(pickles[0]))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError):
        raise ModelError("The file is cut off or damaged; upload it again.") from None
    if foreign and all(pickled_module.known(name) for name in foreign):
        return MODULE
    _refuse(foreign)
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
                _refuse(foreign_names(stream.read(end - position)))
        except ValueError:
            raise ModelError("The file is cut off or damaged; upload it again.") from None
    return STATE_DICT


def _refuse(foreign: set[str]) -> None:
    if foreign:
        strange = sorted(name for name in foreign if not pickled_module.known(name)) or sorted(
            foreign
        )
        listed = ", ".join(name.replace(" ", ".")[:60] for name in strange[:3])
        raise ModelError(
            f"This file holds more than tensors ({json.dumps(listed)[1:-1]}): a whole pickled "
            f"model, which can run code when it is opened. {RECIPE}"
        )
