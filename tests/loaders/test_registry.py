"""A loader is one file, found by itself; a file is opened by the one loader that it matches."""

from __future__ import annotations

import sys

import pytest
import torch

import diagnostics.loaders
from diagnostics.errors import ModelError
from diagnostics.loaders import registry
from diagnostics.loaders.open import open_model
from diagnostics.loaders.registry import loaders, recognise
from diagnostics.models.sample_networks import LettersConv
from diagnostics.schema.request import File, ModelSource
from tests.loaders import hostile

MY_FORMAT = '''
"""Read a format of my own: a magic number, and a state_dict of torch behind it."""

import io
from pathlib import Path

import torch

from diagnostics.loaders.preview import Preview
from diagnostics.loaders.registry import loader
from diagnostics.loaders.weights import Weights, unwrapped


def matches(file: Preview) -> bool:
    """Say whether a file begins with the magic number."""
    return file.head.startswith(b"MINE")


@loader("mine", matches, files="my files")
def read(path: Path) -> Weights:
    """Return the tensors."""
    return unwrapped(torch.load(io.BytesIO(path.read_bytes()[4:]), weights_only=True))
'''


@pytest.fixture
def registered(monkeypatch):
    """The registry, which forgets afterwards what a test registered."""
    loaders()
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    return monkeypatch


@pytest.fixture
def dropped(registered, tmp_path):
    """The file of a new loader lies in the package."""
    folder = tmp_path / "loaders"
    folder.mkdir()
    (folder / "my_format.py").write_text(MY_FORMAT)
    registered.setattr(
        diagnostics.loaders, "__path__", [*diagnostics.loaders.__path__, str(folder)]
    )
    registry._discover.cache_clear()
    yield
    sys.modules.pop("diagnostics.loaders.my_format", None)
    registry._discover.cache_clear()


def test_one_new_file_makes_files_of_its_format_open(dropped, tmp_path):
    torch.manual_seed(0)
    network = LettersConv().eval()
    path = tmp_path / "weights.mine"
    torch.save(network.state_dict(), path)
    path.write_bytes(b"MINE" + path.read_bytes())
    assert recognise(path).format == "mine"
    model = open_model(ModelSource(File(str(path), "0" * 64, path.name)), ())
    assert model.spec.format == "mine"
    assert model.spec.architecture == "oversure/letters_conv"
    images = torch.rand(2, 1, 28, 28)
    assert torch.allclose(model.network(images), network(images), atol=1e-6)
    text = tmp_path / "notes.txt"
    text.write_text("nothing")
    with pytest.raises(ModelError, match=r"Keras, ONNX.*my files"):
        recognise(text)


def test_a_file_that_two_loaders_claim_is_refused_whatever_their_order(registered, tmp_path):
    path = tmp_path / "weights.pt"
    torch.save({"weight": torch.ones(2)}, path)
    assert recognise(path).format == "state_dict"
    for name in ("a first format", "the last format"):
        registry.loader(name, lambda file: file.head.startswith(b"PK"))(lambda path: None)
        with pytest.raises(ModelError, match="readers differ on which; refused"):
            recognise(path)
        del registry._REGISTRY[name]


def test_two_formats_of_one_name_are_an_error(registered):
    with pytest.raises(ValueError, match="Two loaders read 'ONNX'"):
        registry.loader("ONNX", lambda file: False)(lambda path: None)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"a/data.pkl": b"\x80\x02}.", "a/code/b.py": b""}, "TorchScript and as state_dict"),
        ({"a/data.pkl": b"\x80\x02}.", "a/models/model.json": b""}, "pt2 and as state_dict"),
        (
            {"config.json": b"{}", "model.weights.h5": b"", "model.safetensors": b""},
            "Hugging Face and as Keras",
        ),
    ],
    ids=["code", "graph", "two descriptions"],
)
def test_archives_of_two_formats_in_one_are_refused(tmp_path, members, words):
    path = tmp_path / "both.zip"
    path.write_bytes(hostile.zipped(members))
    with pytest.raises(ModelError, match=words):
        recognise(path)
