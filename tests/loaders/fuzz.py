"""Mutants of files: a reader may refuse them, in a sentence, and do nothing else.

`python -m tests.loaders.fuzz 10000` tries so many of each format.
"""

from __future__ import annotations

import io
import json
import random
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from diagnostics.errors import ModelError
from diagnostics.loaders import torchscript
from diagnostics.loaders.open import guarded
from diagnostics.loaders.registry import recognise
from tests.loaders import written

FORESEEN = ("opened", "refused", "too large")
STRANGE = (None, True, 0, -1, 2**31, 2**63, 1e308, "", "x", [], {}, [[]], {"as_int": -5})


def originals(folder: Path) -> dict[str, bytes]:
    """Return a small file of each format."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)).eval()
    shape = (3, 8, 8)
    writers = {**written.WRITERS, "legacy": written.legacy}
    del writers["TorchScript"]  # which is not read before it is locked in
    files = {
        name: write(plain, shape, folder / "model").read_bytes() for name, write in writers.items()
    }
    small = timm.create_model("test_efficientnet", num_classes=3).eval()
    files["Hugging Face"] = written.hugging_face(small, shape, folder / "hf.zip").read_bytes()
    import keras

    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    for ending in (".keras", ".h5"):
        model.save(folder / f"model{ending}")
        files[f"Keras {ending}"] = (folder / f"model{ending}").read_bytes()
    return files


def mutant(content: bytes, chance: random.Random) -> bytes:
    """Return a file with something changed: bytes, its length, or what its members say."""
    changes: list[Callable[[bytes, random.Random], bytes]] = [_bytes, _length]
    if content.startswith(b"PK"):
        changes = [_bytes, _length, _member, _member, _json, _json, _json]
    return chance.choice(changes)(content, chance)


def _bytes(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        near = chance.random() < 0.7  # where headers are
        place = chance.randrange(min(len(changed), 2048) if near else len(changed))
        changed[place] = chance.randrange(256)
    return bytes(changed)


def _length(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    if chance.random() < 0.5:
        return content[:place]
    return content[:place] + chance.randbytes(chance.randrange(1, 64)) + content[place:]


def _member(content: bytes, chance: random.Random) -> bytes:
    members = _members(content)
    name = chance.choice(list(members))
    if chance.random() < 0.2:
        del members[name]
    elif members[name]:
        members[name] = chance.choice((_bytes, _length))(members[name], chance)
    return _zipped(members)


def _json(content: bytes, chance: random.Random) -> bytes:
    members = _members(content)
    written_as_json = [name for name in members if name.endswith(".json")]
    if not written_as_json:
        return _member(content, chance)
    name = chance.choice(written_as_json)
    members[name] = json.dumps(_changed(json.loads(members[name]), chance)).encode()
    return _zipped(members)


def _changed(value: Any, chance: random.Random) -> Any:
    """Change one place of a tree."""
    if isinstance(value, dict) and value and chance.random() < 0.93:
        key = chance.choice(list(value))
        if chance.random() < 0.05:
            return {name: child for name, child in value.items() if name != key}
        return {**value, key: _changed(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.93:
        place = chance.randrange(len(value))
        return [*value[:place], _changed(value[place], chance), *value[place + 1 :]]
    return chance.choice(STRANGE)


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def attempt(content: bytes, path: Path) -> str:
    """Return what came of a file: one of `FORESEEN`, or an error that nobody foresaw."""
    path.write_bytes(content)
    try:
        loader = guarded(recognise, path)
        if loader.read is not torchscript.read:
            guarded(loader.read, path)
    except ModelError:
        return "refused"
    except MemoryError:
        return "too large"
    except Exception as error:  # what we look for
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "opened"


def main(count: int) -> int:
    """Try so many mutants of each format; return how many errors nobody foresaw."""
    warnings.simplefilter("ignore")
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, content in originals(folder).items():
            chance = random.Random(0)
            outcomes = Counter(
                attempt(mutant(content, chance), folder / "mutant") for _ in range(count)
            )
            print(kind, dict(outcomes), flush=True)
            bad += sum(n for outcome, n in outcomes.items() if outcome not in FORESEEN)
    return bad


if __name__ == "__main__":
    sys.exit(min(main(int(sys.argv[1])), 1))
