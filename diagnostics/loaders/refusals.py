"""What is a file that no loader reads, and what should a person do with it?"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress

from diagnostics.loaders.pickle_names import known
from diagnostics.loaders.preview import Preview

SAVE = "Save the weights alone: torch.save(model.state_dict(), 'weights.pt')."
RECIPE = (
    "Where it was made, save the weights alone:\n"
    "    import torch\n"
    "    model = torch.load('model.pt', weights_only=False)\n"
    "    torch.save(model.state_dict(), 'weights.pt')"
)
OF_TENSORFLOW = (
    "Where TensorFlow is, save it as Keras, model.save('model.keras'), or write it as ONNX: python "
    "-m tf2onnx.convert --saved-model FOLDER --output model.onnx."
)
OF_CORE_ML = (
    "It cannot be turned back; open the network that it was converted from: its weights, or ONNX "
    "that torch.onnx.export writes."
)
SAVED_MODEL_VERSION = 1  # an ONNX file has at least 3 there
PICKLE_HEAD = 64
SHARD = re.compile(r"(pytorch_model|model)-\d+-of-\d+\.(bin|safetensors)")
MAGIC = {
    b"\x1f\x8b": "This is a gzip archive; unpack it and choose the weights inside.",
    b"\x89PNG": "This is a PNG image, no model; add it as an image.",
    b"\xff\xd8\xff": "This is a JPEG image, no model; add it as an image.",
    b"version https://git-lfs": "This is a Git LFS pointer, not the file itself; run git lfs pull.",
    b"<!DOCTYPE": "This is a web page, probably a failed download; download the file again.",
    b"<html": "This is a web page, probably a failed download; download the file again.",
}


def why_not(file: Preview, opened: Sequence[str]) -> str:
    """Say in a sentence what a file is that no loader reads.

    Args:
        file: What can be seen of it.
        opened: What people call the files that loaders read.
    """
    if sentence := _by_members(file.members):
        return sentence
    if file.is_folder:
        return (
            "This folder holds no model; expected config.json and model.safetensors, or choose a "
            "file."
        )
    if not file.head:
        return "The file is empty (0 bytes); upload it again."
    if sentence := _by_head(file.head):
        return sentence
    if file.damaged:
        return "The file is cut off or damaged; upload it again."
    if file.foreign_names:
        return foreign(file.foreign_names)
    if file.head.startswith(b"PK"):
        return _archive(file.members)
    if is_pickle(file.head):
        return _pickle(file.head)
    opens = f"this version opens {', '.join(opened[:-1])} and {opened[-1]}"
    if b"TFL3" in (file.head[:4], file.head[4:8]):
        return f"This is a TensorFlow Lite model; {opens}."
    return f"This is no model file that can be recognised; {opens}. {SAVE}"


def _by_members(members: Sequence[str]) -> str:
    """Say what a folder or an archive is that gives itself away by a member; empty otherwise."""
    names = {name.rstrip("/").split("/")[-1] for name in members}
    if names & {"saved_model.pb", "keras_metadata.pb"}:
        return f"This is a TensorFlow SavedModel. {OF_TENSORFLOW}"
    if "Manifest.json" in names and any(name.endswith((".mlmodel", "Data")) for name in names):
        return f"This is a Core ML package. {OF_CORE_ML}"
    if names & {"saved_model.json", "model.json"} and any(n.endswith(".bin") for n in names):
        return f"This is a TensorFlow.js model. {OF_TENSORFLOW}"
    if any(SHARD.fullmatch(name) for name in names):
        return (
            "The folder holds its weights in several pieces and no config.json; save them in one: "
            "model.save_pretrained(folder, max_shard_size='100GB')."
        )
    return ""


def _by_head(head: bytes) -> str:
    """Say what a file is that gives itself away by how it begins; empty where it does not."""
    if head[257:262] == b"ustar":
        return "This is a tar archive; unpack it and choose the weights inside."
    if head[:1] == b"\x08" and is_message(head, 2):  # protobuf, but no producer's name as in ONNX
        if head[1] == SAVED_MODEL_VERSION:
            return f"This is the graph of a TensorFlow SavedModel. {OF_TENSORFLOW}"
        return f"This is a Core ML model. {OF_CORE_ML}"
    return next((text for magic, text in MAGIC.items() if head.startswith(magic)), "")


def is_message(head: bytes, start: int) -> bool:
    """Say whether a field of protobuf holds another message, and not the text of a name.

    Args:
        head: The first bytes of a file.
        start: Where the field begins: its second, of which ONNX makes its producer's name.
    """
    if head[start : start + 1] != b"\x12":
        return False
    start += 1
    while start < len(head) - 1 and head[start] & 0x80:  # a length of several bytes
        start += 1
    first = head[start + 1 : start + 2]
    return bool(first) and head[start] != 0 and not b" " <= first <= b"~"


def is_pickle(head: bytes) -> bool:
    """Say whether a file begins as a pickle of protocol 2 or later, as joblib packs it or plain."""
    if head[:1] == b"x":  # zlib
        with suppress(zlib.error):
            head = zlib.decompressobj().decompress(head, PICKLE_HEAD)
    return head[:1] == b"\x80" and b"\x02" <= head[1:2] <= b"\x05"


def _pickle(head: bytes) -> str:
    of_joblib = head[:1] == b"x" or b"joblib" in head or b"sklearn" in head
    what = "a file of joblib, as scikit-learn's models are," if of_joblib else "a Python pickle"
    return (
        f"This is {what} that torch did not save, and opening one runs its code; refused. If it "
        f"holds a network of torch, open it where it was made. {SAVE}"
    )


def foreign(names: Iterable[str]) -> str:
    """Say that a file holds objects of classes, "module name", which are not made here."""
    unknown = [name for name in names if not known(name)] or names
    listed = ", ".join(name.replace(" ", ".")[:60] for name in sorted(unknown)[:3])
    return (
        f"This file holds more than tensors ({json.dumps(listed)[1:-1]}): a whole pickled model, "
        f"which can run code when it is opened. {RECIPE}"
    )


def _archive(members: Sequence[str]) -> str:
    if any("/models/" in name or name.endswith("_program.json") for name in members):
        return (
            "This is an exported program as older versions of torch wrote it; load and save it "
            "again with torch.export.load and torch.export.save."
        )
    return "This is a zip archive; unpack it and choose the weights inside."
