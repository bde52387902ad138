"""What training scripts save: weights and their moving average, beside settings of all kinds."""

from __future__ import annotations

import argparse
import copy
import datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from timm.utils import CheckpointSaver, ModelEmaV3
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from diagnostics.cli import flags
from diagnostics.errors import ModelError, RecipeError
from diagnostics.loaders import pickle_names
from diagnostics.loaders.open import open_model
from diagnostics.loaders.registry import recognise
from diagnostics.notebook import load
from diagnostics.schema import recipe
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import OPEN, File, ModelSource, Request
from diagnostics.worker import wire

NAME = "test_efficientnet"


class Settings:
    """A class of the person's own, which no other machine has."""

    def __init__(self):
        self.rate = 0.1


class Running:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return eval, ("1 + 1",)


@pytest.fixture
def saved(tmp_path):
    def save(content):
        path = tmp_path / "checkpoint.pth"
        torch.save(content, path)
        return path

    return save


def opened(path, **options):
    file = File(str(path), "0" * 64, path.name)
    return open_model(ModelSource(file, **options), ())


def tensors(path):
    return recognise(path).read(path).tensors


@pytest.fixture(scope="module")
def of_timm(tmp_path_factory):
    """A checkpoint as timm's own training script saves it, with its settings and its EMA."""
    torch.manual_seed(0)
    network = timm.create_model(NAME, num_classes=5)
    averaged = ModelEmaV3(network, decay=0.5)
    optimiser = torch.optim.SGD(network.parameters(), 0.5)
    network(torch.randn(2, 3, 64, 64)).square().sum().backward()
    optimiser.step()
    averaged.update(network)
    arguments = argparse.Namespace(model=NAME, lr=0.5, data=Path("/data"), mean=(0.5,))
    folder = tmp_path_factory.mktemp("timm")
    saver = CheckpointSaver(
        network, optimiser, args=arguments, model_ema=averaged, checkpoint_dir=str(folder)
    )
    saver.save_checkpoint(0, 0.5)
    return folder / "last.pth.tar"


def test_a_checkpoint_of_timm_gives_its_moving_average_unless_the_person_chooses_otherwise(of_timm):
    """timm's own reader is the second opinion."""
    from timm.models import load_state_dict

    truth = {
        ema: load_state_dict(str(of_timm), use_ema=bool(ema), weights_only=False)
        for ema in (True, False)
    }
    assert not torch.equal(truth[True]["conv_stem.weight"], truth[False]["conv_stem.weight"])
    images = torch.rand(2, 3, 64, 64)
    for ema in (None, True, False):
        model = opened(of_timm, ema=ema)
        network = timm.create_model(NAME, num_classes=5).eval()
        network.load_state_dict(truth[ema is not False])
        with torch.no_grad():
            assert torch.allclose(model.network(images), network(images), atol=1e-6)
        check = next(check for check in model.spec.checks if check.name == "ema")
        assert ("trained are" in check.message) == (ema is False)
        assert check.status == ("warned" if ema is None else "passed")


def test_the_moving_average_of_torch_is_told_from_its_counter(saved):
    torch.manual_seed(0)
    network = timm.create_model(NAME, num_classes=5)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    average.update_parameters(network)
    path = saved({"model": network.state_dict(), "model_ema": average.state_dict(), "epoch": 3})
    weights = recognise(path).read(path)
    assert set(weights.tensors) == set(weights.averaged.tensors) == set(network.state_dict())


def test_a_file_without_a_moving_average_says_so(saved):
    path = saved({"state_dict": timm.create_model(NAME, num_classes=5).state_dict()})
    with pytest.raises(ModelError, match="no moving average"):
        opened(path, ema=True)
    assert "ema" not in {check.name for check in opened(path, ema=False).spec.checks}


def test_the_choice_reaches_the_worker_the_command_line_the_recipe_and_python(of_timm):
    file = File(str(of_timm), "0" * 64, of_timm.name)
    sources = [ModelSource(file, ema=ema) for ema in (None, True, False)]
    keys = {Request(OPEN, source).key for source in sources}
    assert len(keys) == 3
    for source in sources:
        message = wire.request_message(Request(OPEN, source), "/inbox")
        assert wire.read_request(message).model == source
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    flags.add_model_flags(parser)
    for words, ema in (([], None), (["--ema"], True), (["--no-ema"], False)):
        source, _ = flags.source(parser.parse_args([str(of_timm), *words]))
        assert source.ema is ema
        written = recipe.dumps(recipe.Recipe("", "", "", "", (), Preprocessing(), ema))
        assert recipe.loads(written).ema is ema
        assert recipe.loads(written).source(source).ema is ema
    with pytest.raises(RecipeError, match="ema must be true or false"):
        recipe.loads("[model]\nema = 1\n")
    first = load(of_timm, ema=False).spec.checks[0]
    assert "as they were trained" in first.message


WEIGHTS = {"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.tensor([0.5, -1.0])}
BESIDE = {
    "a namespace": lambda: argparse.Namespace(lr=0.1, path=Path("/data")),
    "a path": lambda: Path("/data/images"),
    "a date": lambda: datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
    "a number of numpy": lambda: np.float64(0.5),
    "an array of numpy": lambda: np.arange(6).reshape(2, 3),
    "a loss": nn.CrossEntropyLoss,
    "settings of a class of one's own": Settings,
    "a partial function": lambda: partial(torch.optim.SGD, lr=0.1),
    "a network": lambda: nn.Linear(2, 2),
}


@pytest.mark.parametrize("kind", BESIDE)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_what_lies_beside_the_tensors_keeps_nobody_from_them(tmp_path, kind, zipped):
    path, beside = tmp_path / "checkpoint.pt", BESIDE[kind]
    content = {"epoch": 3, "extra": beside(), "state_dict": WEIGHTS, "best": beside()}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    if not zipped and isinstance(beside(), nn.Module):  # beside which torch wrote its source code
        with pytest.raises(ModelError, match="more than tensors and settings"):
            tensors(path)
        return
    found = tensors(path)
    assert list(found) == list(WEIGHTS)
    assert all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


def test_a_call_in_a_checkpoint_is_refused_by_its_name(saved):
    path = saved({"state_dict": WEIGHTS, "extra": Running()})
    with pytest.raises(ModelError, match=r"would call builtins\.eval") as caught:
        tensors(path)
    assert "\n" not in caught.value.message


def test_a_whole_network_inside_a_checkpoint_is_no_missing_tensors(saved):
    with pytest.raises(ModelError, match="whole pickled model"):
        tensors(saved({"model": Settings(), "epoch": 3}))


@pytest.mark.parametrize(
    "name",
    [
        "numpy.testing._private.utils runstring",
        "numpy.f2py.diagnose run_command",
        "numpy.lib.npyio NpzFile",
        "numpyro.infer MCMC",
        "numpy load",
        "numpy.core.multiarray fromfile",
    ],
)
def test_names_of_numpy_are_allowed_one_by_one(name):
    """`runstring` runs any text as a program, and once counted as plain."""
    assert name not in pickle_names.DATA
    module, _, attribute = name.partition(" ")
    pickled = b"c" + f"{module}\n{attribute}\n".encode() + b"."
    assert pickle_names.foreign_names(pickled) == {name}
    with pytest.raises(ModelError, match="would call numpy"):
        pickle_names.stand_in(name)()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda w: {"student": w, "epoch": 3},
        lambda w: {"checkpoint": {"state_dict": w}, "epoch": 3},
        lambda w: {"classifier": w, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}},
    ],
)
def test_tensors_one_level_down_under_any_name_are_found(saved, wrap):
    path = saved(wrap(WEIGHTS))
    assert list(tensors(path)) == list(WEIGHTS)
    assert "lie under" in recognise(path).read(path).notes[0]


def test_two_lists_of_tensors_are_named_and_none_is_guessed(saved):
    with pytest.raises(ModelError, match="2 lists of tensors, under 'generator', 'critic'"):
        tensors(saved({"generator": WEIGHTS, "critic": copy.deepcopy(WEIGHTS)}))


def test_a_nested_tensor_is_refused_as_what_it_is(saved):
    with pytest.warns(UserWarning, match="nested"):
        nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    with pytest.raises(ModelError, match="nested"):
        tensors(saved({"weight": nested}))


def test_what_torch_says_to_terminals_is_shown_to_nobody(tmp_path):
    """Its own sentence is coloured, and advises to open the file without protection."""
    path = tmp_path / "weights.pt"
    torch.save({"state_dict": WEIGHTS}, path, pickle_protocol=4)
    with pytest.raises(ModelError) as caught:
        tensors(path)
    message = caught.value.message
    assert message.isprintable()
    assert "weights_only" not in message
    assert "add_safe_globals" not in message
