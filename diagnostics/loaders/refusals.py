"""What is a file that no loader reads, and what should a person do with it?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from diagnostics.loaders.pickle_names import known
from diagnostics.loaders.preview import Preview

SAVE = "Save the weights alone: torch.save(model.state_dict(), 'weights.pt')."
RECIPE = (
    "Where it was made, save the weights alone:\n"
    "    import torch\n"
    "    model = torch.load('model.pt', weights_only=False)\n"
    "    torch.save(model.state_dict(), 'weights.pt')"
)
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
        return _foreign(file.foreign_names)
    if file.head.startswith(b"PK"):
        return _archive(file.members)
    if file.head.startswith(b"\x80"):
        return (
            "This is a Python pickle that torch did not save, and opening one runs its code; "
            f"refused. {SAVE}"
        )
    opens = f"this version opens {', '.join(opened[:-1])} and {opened[-1]}"
    if b"TFL3" in (file.head[:4], file.head[4:8]):
        return f"This is a TensorFlow Lite model; {opens}."
    return f"This is no model file that can be recognised; {opens}. {SAVE}"


def _by_head(head: bytes) -> str:
    """Say what a file is that gives itself away by how it begins; empty where it does not."""
    if head[257:262] == b"ustar":
        return "This is a tar archive; unpack it and choose the weights inside."
    return next((text for magic, text in MAGIC.items() if head.startswith(magic)), "")


def _foreign(names: Iterable[str]) -> str:
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
