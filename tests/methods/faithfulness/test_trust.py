"""Whether a map can be trusted: its parts against what is known, and the verdict on known maps."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from diagnostics.cli.main import main
from diagnostics.data import samples
from diagnostics.errors import NotOfferedError, OptionError
from diagnostics.execution.local import LocalRunner
from diagnostics.loaders.open import open_model
from diagnostics.methods import registry
from diagnostics.methods.attribution import Heatmap
from diagnostics.methods.faithfulness._evaluation import correlation
from diagnostics.methods.faithfulness._insertion_deletion import Grid, area, deletion, insertion
from diagnostics.methods.faithfulness._randomization import randomised
from diagnostics.methods.faithfulness._verdict import ALIKE, LEAST_CELLS, STEADY, verdict
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.request import ModelSource, Request
from tests.independent.slow_removal import area as slow_area
from tests.networks_for_tests import FunctionalResidual, classifier, linear

MODEL = ModelSource(samples.model_files()["letters_conv"])
IMAGES = tuple(samples.image_files()[name] for name in ("letter-p-thin", "letter-p-fuzzy"))


def ordered(values):
    grid = Grid.over(torch.empty(1, 1, *values.shape))
    return grid, grid.order(values[None], torch.Generator().manual_seed(0))


@pytest.fixture
def adds():
    """A linear network to whose logit four pixels add 3, 2, 1 and −1."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False))
    network[1].weight.data = torch.tensor([[3.0, 2.0, 1.0, -1.0]])
    return classifier(network.double(), 2, classes=1, dtype=torch.float64)


def test_contributions_go_in_their_order_with_the_known_areas(adds):
    whole, blank = torch.ones(1, 1, 2, 2).double(), torch.zeros(1, 1, 2, 2).double()
    grid, order = ordered(torch.tensor([[3.0, 2.0], [1.0, -1.0]]))
    curves = deletion(adds, whole, blank, 0, torch.cat([order, order.flip(1)]), grid)
    assert curves[0].tolist() == [5, 2, 0, -1, 0]
    assert area(curves[:1], grid, inserts=False).item() == pytest.approx(0.875)
    back = insertion(curves[1:])
    assert back[0].tolist() == [0, 3, 5, 6, 5]
    assert area(back, grid, inserts=True).item() == pytest.approx(4.125)


def test_areas_are_those_of_one_pixel_after_the_other():
    model = classifier(FunctionalResidual(1, 4), 6, 1, dtype=torch.float64)
    torch.manual_seed(0)
    image, heat = torch.rand(1, 1, 6, 6).double(), torch.rand(6, 6).double()
    blank = torch.full_like(image, 0.5)
    grid, order = ordered(heat)
    curves = deletion(model, image, blank, 2, torch.cat([order, order.flip(1)]), grid)

    def score(shown):
        return float(model.logits(torch.from_numpy(shown)[None, None])[0, 2])

    planes = [one[0, 0].numpy() for one in (image, blank)]
    gone = slow_area(score, *planes, heat.numpy(), insert=False)
    back = slow_area(score, *planes, heat.numpy(), insert=True)
    assert area(curves[:1], grid, inserts=False).item() == pytest.approx(gone, abs=1e-9)
    assert area(insertion(curves[1:]), grid, inserts=True).item() == pytest.approx(back, abs=1e-9)


@pytest.mark.parametrize("side", [3, 28, 30, 224])
def test_a_step_takes_two_percent_at_most_where_there_are_so_many_cells(side):
    grid = Grid.over(torch.empty(1, 1, side, side))
    steps = np.diff(grid.counts) / grid.cells
    assert grid.counts[0] == 0
    assert grid.counts[-1] == grid.cells
    assert steps.max() <= max(0.02 + 1 / grid.cells, 1 / grid.cells)
    assert torch.equal(grid.place.unique(), torch.arange(grid.cells))


def test_a_small_map_ranks_the_cells_that_it_covers():
    grid = Grid.over(torch.empty(1, 1, 28, 28))
    heat = torch.zeros(1, 7, 7)
    heat[0, 1, 5] = 1  # covers rows 4 to 7 and columns 20 to 23, cells 2 and 3 by 10 and 11
    order = grid.order(heat, torch.Generator().manual_seed(0))[0]
    assert set(order[:4].tolist()) == {2 * 14 + 10, 2 * 14 + 11, 3 * 14 + 10, 3 * 14 + 11}


def test_the_rank_correlation_is_scipys_with_ties():
    torch.manual_seed(0)
    one, other = torch.randn(1, 9, 9), torch.randn(1, 9, 9).relu()
    expected = spearmanr(one.abs().flatten(), other.flatten()).statistic
    assert correlation(one, other) == pytest.approx(expected)
    assert correlation(one, torch.ones(1, 9, 9)) == 0


@pytest.mark.parametrize("name", ["letters_conv", "letters_dense"])
@pytest.mark.parametrize("part", ["head", "all"])
def test_a_random_copy_leaves_the_model_as_it_is(name, part):
    model = open_model(ModelSource(samples.model_files()[name]), ()).classifier()
    torch.manual_seed(1)
    pixels = torch.rand(2, 1, 28, 28)
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    logits = model.logits(pixels).detach()
    copies = [randomised(model, part, seed, pixels) for seed in (3, 3, 4)]
    for key, value in model.network.state_dict().items():
        assert torch.equal(value, before[key])
    assert torch.equal(model.logits(pixels), logits)
    made = [copy.logits(pixels) for copy in copies]
    assert torch.equal(made[0], made[1])
    assert not torch.allclose(made[0], made[2])
    changed = {
        key
        for key, value in copies[0].network.state_dict().items()
        if not torch.equal(value, before[key])
    }
    assert all(key.startswith(f"{model.spec.head}.") for key in changed) == (part == "head")
    for key, value in copies[0].network.state_dict().items():
        if "running" not in key:
            assert torch.equal(value.flatten().sort().values, before[key].flatten().sort().values)


def test_a_random_copy_measures_its_normalisations_anew():
    model = classifier(FunctionalResidual(classes=4), 8, 3)
    model.network.norm.running_var.fill_(1e-12)  # would make every value huge
    copy = randomised(model, "all", 0, torch.rand(2, 3, 8, 8))
    assert copy.network.norm.running_var.min() > 1e-5
    assert not copy.network.norm.training


class Uncopied(nn.Module):
    """Holds what cannot be copied."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 4)
        self.held = (one for one in range(3))

    def forward(self, values):
        return self.head(values.flatten(1))


def test_what_cannot_be_made_random_says_why():
    pixels = torch.rand(2, 1, 8, 8)
    with pytest.raises(NotOfferedError, match="cannot be copied"):
        randomised(classifier(Uncopied(), 8), "all", 0, pixels)
    model = classifier(linear(64), 8)
    without = TorchClassifier(model.network, replace(model.spec, head=""), model.preprocessing)
    with pytest.raises(NotOfferedError, match="cannot be told"):
        randomised(without, "head", 0, pixels)


def figures(**changes):
    beaten = {"beats_insertion": 1.0, "beats_deletion": 1.0, "random": 12, "flat": False}
    usual = {
        "note": "",
        "cells": 784,
        "weights": {"head": [0.1], "all": [0.0], "why": ""},
        "seeds": [],
        "removal": {"mean": beaten, "blur": beaten},
        "rise": None,
        "sum": None,
        "rounding": 1e-3,
    }
    return {**usual, **changes}


def beaten(*shares, flat=False):
    names = ("beats_insertion", "beats_deletion")
    pairs = (shares[:2], shares[2:])
    return {
        fill: {**dict(zip(names, pair, strict=True)), "random": 12, "flat": flat}
        for fill, pair in zip(("mean", "blur"), pairs, strict=True)
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "trust"),
        ({"note": "The map is blank."}, "can't tell"),
        ({"weights": {"head": [0.1, ALIKE], "all": [0.0], "why": ""}}, "doubt"),
        ({"weights": {"head": [], "all": [0.0], "why": "Not known."}}, "trust"),
        ({"weights": {"head": [], "all": [], "why": "Cannot be copied."}}, "can't tell"),
        ({"cells": LEAST_CELLS - 1}, "can't tell"),
        ({"seeds": [STEADY + 0.1]}, "trust"),
        ({"seeds": [STEADY - 0.1]}, "doubt"),
        ({"rise": 2.0, "sum": 2.09}, "trust"),
        ({"rise": 2.0, "sum": 2.2}, "doubt"),
        ({"rise": 0.0, "sum": 5e-4}, "trust"),
        ({"removal": beaten(1, 0.5, 1, 1)}, "trust"),
        ({"removal": beaten(1, 0.3, 1, 1)}, "can't tell"),
        ({"removal": beaten(1, 1, 0.8, 0.8)}, "can't tell"),
        ({"removal": beaten(0.7, 0.2, 0.4, 0.1)}, "doubt"),
        ({"removal": beaten(0.5, 0.5, 0.5, 0.5, flat=True)}, "can't tell"),
    ],
    ids=str,
)
def test_the_verdict_follows_its_rule(changes, said):
    found = verdict(figures(**changes))
    assert found["verdict"] == said
    assert all(one["said"].endswith(".") for one in found["criteria"])


def asked(method, images=IMAGES, **options):
    options = {"method": method, "copies": 1, **options}
    return LocalRunner().run(Request("faithfulness/trust", MODEL, images, options=options))


@pytest.fixture(scope="module")
def gradient():
    return asked("attribution/gradient")


def test_the_gradient_of_a_trained_model_follows_its_weights(gradient):
    for one in gradient.scores["images"]:
        assert one["verdict"] == "trust"
        assert max(one["weights"]["head"] + one["weights"]["all"]) < ALIKE
        assert one["seeds"] == []
    assert gradient.scores["complete"]
    assert {name.partition("/")[2] for name in gradient.arrays} == {
        *("map", "head", "all"),
        *(f"{fill}/{curve}" for fill in ("mean", "blur") for curve in ("deletion", "insertion")),
        *("mean/random", "blur/random"),
    }
    found = gradient.arrays["0/map"].ravel(), gradient.arrays["0/head"].ravel()
    (head,) = gradient.scores["images"][0]["weights"]["head"]
    assert head == pytest.approx(spearmanr(*found).statistic, abs=1e-6)


def test_the_same_seed_gives_the_same_answer(gradient):
    again = asked("attribution/gradient")
    assert again.scores == gradient.scores


def test_a_map_times_the_image_stays_alike_and_is_doubted():
    (one,) = asked("attribution/input_x_gradient", IMAGES[:1]).scores["images"]
    assert one["verdict"] == "doubt"
    assert one["weights"]["head"][0] > 0.84


def test_a_map_that_ignores_the_weights_is_doubted(monkeypatch):
    def edges(classifier, pixels, target):
        """Where the image changes, whatever the network is."""
        down = pixels.diff(dim=2, append=pixels[:, :, -1:]).abs()
        along = pixels.diff(dim=3, append=pixels[..., -1:]).abs()
        return Heatmap((down + along).sum(1), signed=False)

    edges.__module__ = "diagnostics.methods.attribution.edges"
    registry.methods()
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    registry.method("Edges", kind="map", source="none")(edges)
    for one in asked("attribution/edges").scores["images"]:
        assert one["verdict"] == "doubt"
        assert one["weights"]["head"] == [pytest.approx(1)]
        (weights,) = [said for said in one["criteria"] if said["name"] == "weights"]
        assert weights["status"] == "against"


def test_random_methods_are_asked_with_other_seeds_and_sums_are_checked():
    (one,) = asked("attribution/smooth_grad?samples=3", IMAGES[:1]).scores["images"]
    assert len(one["seeds"]) == 2
    assert one["seeds"][0] != one["seeds"][1]
    (one,) = asked("attribution/deep_lift?baseline=white", IMAGES[:1]).scores["images"]
    assert one["sum"] == pytest.approx(one["rise"], rel=1e-3)


@pytest.mark.parametrize(
    ("method", "error", "said"),
    [
        ("noise/noise", OptionError, "makes no map"),
        ("attribution/attention_rollout", NotOfferedError, "needs attention"),
        ("attribution/gradient?nonsense=1", OptionError, "no option"),
    ],
)
def test_what_cannot_be_asked_is_said(method, error, said):
    with pytest.raises(error, match=said):
        asked(method)


def test_the_margin_over_a_class_is_examined(gradient):
    found = asked("attribution/gradient", against="3")
    assert not np.allclose(found.arrays["0/map"], gradient.arrays["0/map"])
    with pytest.raises(OptionError, match="between 0 and 25"):
        asked("attribution/gradient", against="26")


def test_the_cost_is_what_is_asked():
    runner = LocalRunner()
    options = {"method": "attribution/smooth_grad?samples=3", "copies": 1, "random_maps": 5}
    cost = runner.run(Request("faithfulness/trust_cost", MODEL, options=options)).scores
    assert cost["backward"] == 3 * (1 + 2 + 2)
    assert cost["forward"] == 2 * 51 * (5 + 2)


def test_the_command_writes_maps_as_arrays_and_pictures(tmp_path, capsys):
    path = samples.image_files()["letter-p-thin"].path
    command = ["trust", "gradient", MODEL.file.path, path, "--json", "--copies", "1"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    (one,) = json.loads(capsys.readouterr().out)["images"]
    assert one["verdict"] == "trust"
    written = {file.name for file in tmp_path.iterdir()}
    assert {"trust.json", "0-map.npy", "0-map.png", "0-head.png", "0-all.png"} <= written
    assert main(["trust", "nonsense", MODEL.file.path, path]) == 2
