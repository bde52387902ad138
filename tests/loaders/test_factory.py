"""Networks that a function of the person's own builds."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from diagnostics import load
from diagnostics.cli.main import main
from diagnostics.data import samples
from diagnostics.data.samples import file_at
from diagnostics.errors import ArchitectureError, ModelError
from diagnostics.schema.request import INSPECT, Factory, ModelSource, Request
from diagnostics.worker import WorkerRunner

CODE = """
import torch
from torch import nn

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.last = nn.Linear(4, 5)

    def forward(self, images):
        return self.last(torch.relu(self.first(images)).mean((2, 3)))

class Unusual(nn.Module):
    # For images of 44 x 60 px and no others.
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(44 * 60, 5)

    def forward(self, images):
        return self.last(images.flatten(1))

def other():
    return nn.Linear(3, 3)

def nothing():
    return "no network"

def failing():
    raise KeyError("no such setting")
"""
IMAGE = samples.image_files()["letter-x-fuzzy"]


@pytest.fixture
def factory(tmp_path, monkeypatch):
    """A folder with somebody's module and weights, in which the commands are called."""
    name = f"module_of_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    network = __import__(name).Own().eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    return name, network


def test_a_network_of_ones_own_answers_as_it_does_by_itself(factory, capsys):
    name, network = factory
    arguments = ("inspect", "weights.pth", IMAGE.path, "--factory", f"{name}:Own", "--json")
    assert main([*arguments, "--height", "28", "--width", "28", "--fit", "none"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["model"]["architecture"] == f"{name}:Own"
    assert answer["model"]["input"]["channels"] == 1
    assert len(answer["model"]["classes"]) == 5
    from PIL import Image
    from torchvision.transforms.functional import pil_to_tensor

    pixels = pil_to_tensor(Image.open(IMAGE.path).convert("L"))[None] / 255
    with torch.no_grad():
        logits = network(pixels)[0]
    for score in answer["images"][0]["top"]:
        assert score["logit"] == pytest.approx(float(logits[score["index"]]), abs=1e-4)


def test_it_is_built_in_the_locked_worker_too(factory, tmp_path):
    name, _ = factory
    factory = Factory(f"{name}:Own", str(tmp_path))
    source = ModelSource(file_at(tmp_path / "weights.pth"), factory=factory)
    runner = WorkerRunner()
    result = runner.run(Request(INSPECT, source, (IMAGE,)))
    assert len(result.scores["model"]["classes"]) == 5
    assert not result.scores["images"][0]["error"]
    runner.close()


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("other", "tensors are missing, first weight; 4 are not the network's, first first.weight"),
        ("nothing", "must return a torch.nn.Module; it returned str"),
        ("failing", "KeyError: 'no such setting'"),
        ("absent", "AttributeError"),
    ],
)
def test_what_goes_wrong_is_one_sentence(factory, function, words):
    with pytest.raises(ModelError) as caught:
        load("weights.pth", factory=f"{factory[0]}:{function}")
    assert words in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("written", ["module", "module:", ":function", "os; import x:y", "a.b:c.d"])
def test_a_factory_is_written_in_one_way(factory, written):
    with pytest.raises(ModelError, match=r"package\.module:function"):
        load("weights.pth", factory=written)


def test_tensors_of_another_shape_are_named(factory, tmp_path):
    name, network = factory
    tensors = {**network.state_dict(), "last.bias": torch.zeros(7)}
    torch.save(tensors, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"last.bias is \[7\] in the file and \[5\]"):
        load("other.pth", factory=f"{name}:Own")


def test_an_onnx_file_needs_no_factory(factory, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x03" + bytes(50))
    with pytest.raises(ArchitectureError, match="its own network"):
        load("model.onnx", factory=f"{factory[0]}:Own")


@pytest.fixture
def unusual(factory, tmp_path):
    """The name of a factory whose network takes images of a size that nobody would try."""
    network = sys.modules[factory[0]].Unusual()
    torch.save(network.state_dict(), tmp_path / "unusual.pth")
    return f"{factory[0]}:Unusual"


def size_of(spec):
    return spec["input"]["height"], spec["input"]["width"], spec["input"]["channels"]


def test_a_network_of_unusual_size_opens_with_the_size_that_was_given(unusual, tmp_path, capsys):
    words = ["load", "unusual.pth", "--factory", unusual, "--json"]
    assert main(words) == 2
    assert "--height and --width or a recipe" in capsys.readouterr().err
    assert main([*words, "--height", "44", "--width", "60"]) == 0
    answer = json.loads(capsys.readouterr().out)["model"]
    assert size_of(answer) == (44, 60, 1)
    assert not any(check["name"] == "input" for check in answer["checks"])
    recipe = tmp_path / "unusual.toml"
    settings = "colour = false\nheight = 44\nwidth = 60\nmean = [0.5]\nstd = [0.5]"
    recipe.write_text(f"[preprocessing]\n{settings}\n")
    assert main([*words, "--recipe", str(recipe)]) == 0
    assert size_of(json.loads(capsys.readouterr().out)["model"]) == (44, 60, 1)
    spec = load("unusual.pth", factory=unusual, size=(44, 60)).spec
    assert (spec.height, spec.width) == (44, 60)


def test_the_given_size_reaches_the_locked_worker(unusual, tmp_path):
    source = ModelSource(
        file=file_at(tmp_path / "unusual.pth"),
        factory=Factory(unusual, str(tmp_path)),
        height=44,
        width=60,
    )
    runner = WorkerRunner()
    result = runner.run(Request(INSPECT, source, (IMAGE,)))
    assert size_of(result.scores["model"]) == (44, 60, 1)
    assert not result.scores["images"][0]["error"]
    runner.close()


def test_a_size_that_does_not_run_is_said(factory, capsys):
    words = ["load", "unusual.pth", "--factory", f"{factory[0]}:Own", "--json"]
    network = factory[1]
    torch.save(network.state_dict(), "unusual.pth")
    assert main([*words, "--height", "2", "--width", "2"]) == 0
    checks = json.loads(capsys.readouterr().out)["model"]["checks"]
    assert any("does not run on images of 2 × 2 px" in check["message"] for check in checks)
