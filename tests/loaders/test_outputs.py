"""In every format, what a network gives is shown as torch's own forward pass means it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics import load
from diagnostics.cli.main import main
from diagnostics.data.samples import file_at
from diagnostics.errors import ModelError, OptionError, RecipeError
from diagnostics.loaders.open import open_live, open_model
from diagnostics.metrics.predictions import probabilities
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.recipe import loads
from diagnostics.schema.request import Factory, File, ModelSource
from diagnostics.schema.spec import Output
from tests.loaders import written

pytestmark = pytest.mark.filterwarnings("ignore")

SIDE = 32
SETTINGS = Preprocessing(
    colour=False, fit="stretch", height=SIDE, width=SIDE, mean=(0.0,), std=(1.0,)
)
PIXELS = torch.rand(5, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


class Ending(nn.Module):
    """Gives logits that all lie in 0..1, or what some last layers make of them."""

    def __init__(self, classes: int, *last: nn.Module) -> None:
        super().__init__()
        self.flat = nn.Flatten()
        self.act = nn.ReLU()
        self.fc = nn.Linear(SIDE * SIDE, classes)
        self.last = nn.Sequential(*last)
        nn.init.normal_(
            self.fc.weight, std=0.0015, generator=torch.Generator().manual_seed(classes)
        )
        with torch.no_grad():
            self.fc.weight -= self.fc.weight.mean(1, keepdim=True)
            self.fc.bias.copy_(torch.linspace(0.40, 0.65, classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(self.fc(self.act(self.flat(images))))


LASTS = {
    "logits": (),
    "sigmoid": (nn.Sigmoid(),),
    "softmax": (nn.Softmax(1),),
    "log-softmax": (nn.LogSoftmax(1),),
    "double softmax": (nn.Softmax(1), nn.Softmax(1)),
}
ONE = ("logits", "sigmoid")  # a softmax over one output says nothing
CASES = [(last, classes) for last in LASTS for classes in (1, 4) if classes > 1 or last in ONE]


def network(last, classes):
    return Ending(classes, *LASTS[last]).eval()


def meant(last, scores):
    """The probabilities that a network means by its scores."""
    scores = scores.double()
    if last == "logits":
        return scores.sigmoid() if scores.shape[1] == 1 else scores.softmax(1)
    return scores.exp() if last == "log-softmax" else scores


def state_dict_and_class(original, path):
    """Weights alone, and a function that builds the network."""
    torch.save(original.state_dict(), path)
    last, classes = original.case
    module = f"own_{last.replace('-', '_').replace(' ', '_')}_{classes}"
    code = (
        f"from tests.loaders.test_outputs import network\ndef build():\n"
        f"    return network({last!r}, {classes})\n"
    )
    (path.parent / f"{module}.py").write_text(code)
    return ModelSource(file_at(path), factory=Factory(f"{module}:build", str(path.parent)))


def keras(original, path):
    from keras import Input, Sequential, layers

    last, classes = original.case
    names = {"logits": [None], "double softmax": ["softmax", "softmax"]}
    first, *others = names.get(last, [last.replace("-", "_")])
    model = Sequential([Input((SIDE, SIDE, 1)), layers.Flatten(), layers.Dense(classes, first)])
    weights = [original.fc.weight.T.detach().numpy(), original.fc.bias.detach().numpy()]
    model.layers[-1].set_weights(weights)
    for activation in others:
        model.add(layers.Activation(activation))
    model.save(path.with_suffix(".keras"))
    return ModelSource(file_at(path.with_suffix(".keras")))


def of_writer(write):
    def source(original, path):
        return ModelSource(file_at(write(original, (1, SIDE, SIDE), path)), programs=True)

    return source


def of_one_image(original, shape, path):
    return written.onnx(original, shape, path, one=True)


def whole(original, path):
    """A module made of nothing but torch's own classes."""
    torch.save(nn.Sequential(original.flat, original.act, original.fc, *original.last), path)
    return ModelSource(file_at(path))


FORMATS = {
    "ONNX": of_writer(written.onnx),
    "ONNX of one image": of_writer(of_one_image),
    "ONNX that only onnxruntime computes": of_writer(written.onnx_of_others),
    "pt2": of_writer(written.pt2),
    "pt2 of two images": of_writer(written.pt2_of_two),
    "TorchScript": of_writer(written.torchscript),
    "TorchScript that branches": of_writer(written.branching),
    "Keras": keras,
    "whole module": whole,
    "own class and weights": state_dict_and_class,
    "live": None,
}
NEEDED = {"ONNX": "onnxruntime", "Keras": "keras"}


def opened(name, last, classes, path):
    original = network(last, classes)
    original.case = (last, classes)
    pytest.importorskip(NEEDED.get(name.split()[0], "torch"))
    if name == "live":
        source = ModelSource(File("", "0" * 64, "live"))
        return original, open_live(source, network(last, classes), SETTINGS)
    source = FORMATS[name](original, path / "model.bin")
    return original, open_model(source, ())


def shown(model):
    """The probabilities that are shown of our pixels."""
    logits = model.classifier(SETTINGS).logits(PIXELS).double().detach().numpy()
    independent = model.spec.output.independent
    return np.array([probabilities(row, independent=independent)[0] for row in logits])


@pytest.mark.parametrize(("last", "classes"), CASES)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "live")) for name in FORMATS]
)
def test_probabilities_are_those_that_the_network_means(name, last, classes, tmp_path):
    original, model = opened(name, last, classes, tmp_path)
    with torch.no_grad():
        scores = original(PIXELS)
    if last == "logits":
        assert ((scores > 0) & (scores < 1)).all(), "the trap: logits that look like probabilities"
    assert shown(model) == pytest.approx(meant(last, scores).numpy(), abs=1e-5)
    (check,) = [check for check in model.spec.checks if check.name == "output"]
    assert "may be" not in check.message
    assert ("softmax of a softmax" in check.message) == (last == "double softmax")


def test_a_logit_in_0_to_1_is_not_shown_as_a_probability_with_its_sign_turned(tmp_path):
    """Logit +0.40 is 59.9 %; read as a probability it was 40 %, whose logit is −0.40."""
    torch.manual_seed(0)
    single = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    nn.init.zeros_(single[1].weight)
    nn.init.constant_(single[1].bias, 0.40)
    settings = replace(SETTINGS, height=8, width=8)
    model = open_live(ModelSource(File("", "0" * 64, "one")), single, settings)
    logit = float(model.classifier().logits(torch.rand(1, 1, 8, 8)))
    assert logit == pytest.approx(0.40, abs=1e-6)
    p, _ = probabilities(np.array([logit]), independent=model.spec.output.independent)
    assert float(p[0]) == pytest.approx(0.5987, abs=1e-4)


def test_several_logits_in_0_to_1_are_not_read_as_independent_probabilities():
    source = ModelSource(File("", "0" * 64, "several"))
    model = open_live(source, network("logits", 4), SETTINGS)
    assert model.spec.output is Output.LOGITS
    assert np.allclose(shown(model).sum(1), 1)


@pytest.mark.parametrize("write", [written.whole, written.torchscript])
def test_files_that_do_not_say_their_size_open_with_the_size_that_was_given(write, tmp_path):
    torch.manual_seed(0)
    original = nn.Sequential(nn.Flatten(), nn.Linear(44 * 60, 3)).eval()
    source = ModelSource(file_at(write(original, (1, 44, 60), tmp_path / "a.bin")), programs=True)
    with pytest.raises(ModelError, match="--height and --width"):
        open_model(source, ())
    spec = open_model(replace(source, height=44, width=60), ()).spec
    assert (spec.height, spec.width, spec.channels) == (44, 60, 1)


@pytest.mark.parametrize("output", list(Output))
def test_what_a_person_says_of_the_outputs_decides(output):
    source = ModelSource(File("", "0" * 64, "said"), output=str(output))
    model = open_live(source, network("sigmoid", 4), SETTINGS)
    assert model.spec.output is output
    (check,) = [check for check in model.spec.checks if check.name == "output"]
    impossible = output in (Output.PROBABILITIES, Output.LOG_PROBABILITIES)
    assert check.status == ("warned" if impossible else "passed")
    assert ("as you said" in check.message) != impossible


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with somebody's module and weights, in which the commands are called."""
    original = network("logits", 4)
    original.case = ("logits", 4)
    source = state_dict_and_class(original, tmp_path / "weights.pth")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return source


def test_the_flag_output_sets_what_leaves_the_network(own, capsys):
    name = own.factory.name
    words = ["load", "weights.pth", "--factory", name, "--output", "independent-logits", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["model"]["output"] == "independent logits"
    with pytest.raises(SystemExit):
        main([*words[:-2], "chances"])
    assert "must be one of logits" in capsys.readouterr().err


def test_the_recipe_sets_what_leaves_the_network(own, tmp_path, capsys):
    recipe = tmp_path / "own.toml"
    recipe.write_text('[model]\noutput = "independent logits"\n', "utf-8")
    words = ["load", "weights.pth", "--factory", own.factory.name, "--recipe", str(recipe)]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["output"] == "independent logits"
    with pytest.raises(RecipeError, match="output must be one of logits"):
        loads('[model]\noutput = "chances"\n')


def test_the_python_door_sets_what_leaves_the_network(own):
    model = load("weights.pth", factory=own.factory.name, output="independent logits")
    assert model.spec.output is Output.SIGMOID_LOGITS
    with pytest.raises(OptionError, match="output must be one of"):
        load("weights.pth", factory=own.factory.name, output="chances")
