"""Whether a map can be trusted: the verdict on maps that are known, and what it costs."""

from __future__ import annotations

import json
from copy import deepcopy

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from diagnostics.cli.main import main
from diagnostics.data import samples
from diagnostics.errors import NotOfferedError, OptionError
from diagnostics.methods import registry
from diagnostics.methods.attribution import Heatmap
from diagnostics.methods.context import Context
from diagnostics.methods.faithfulness._evaluation import correlation
from diagnostics.methods.faithfulness._insertion_deletion import Grid
from diagnostics.methods.faithfulness._last_layer import PROBES
from diagnostics.methods.faithfulness._verdict import ALIKE
from diagnostics.methods.faithfulness.trust import trust
from diagnostics.methods.faithfulness.trust_cost import trust_cost
from diagnostics.schema.results.faithfulness import TrustAnswer, TrustCostAnswer
from tests.letters import letters, letters_context
from tests.results import conforms

FILES = tuple(samples.image_files()[name] for name in ("letter-p-thin", "letter-p-fuzzy"))


def evaluated(method, files=FILES, **options):
    return trust(
        letters_context(files=files), method=method, **{"copies": 1, "random_maps": 4, **options}
    )


def entry(method, **options):
    (found,) = evaluated(method, FILES[:1], **options).scores["images"]
    return found


@pytest.fixture(scope="module")
def gradient():
    return evaluated("attribution/gradient")


def test_the_rank_correlation_is_scipys_with_ties():
    torch.manual_seed(0)
    left, right = torch.randn(1, 9, 9), torch.randn(1, 9, 9).relu()
    expected = spearmanr(left.abs().flatten(), right.flatten()).statistic
    assert correlation(left, right) == pytest.approx(expected)
    assert correlation(left, torch.ones(1, 9, 9)) == 0


def test_the_gradient_of_a_trained_model_follows_its_weights(gradient):
    thin, fuzzy = gradient.scores["images"]
    assert thin["verdict"] == "trust"
    assert fuzzy["verdict"] != "doubt"
    for image in gradient.scores["images"]:
        statuses = {criterion["name"]: criterion["status"] for criterion in image["criteria"]}
        assert statuses["model"] == statuses["randomization"] == "for"
        correlations = image["evaluation"]["randomization"]
        for part in ("head", "upper", "all"):
            assert max(correlations[part]["copies"]) < ALIKE
        assert image["evaluation"]["seed_correlations"] == []
    assert gradient.scores["complete"]
    maps = gradient.arrays["0/map"].ravel(), gradient.arrays["0/head"].ravel()
    (head,) = gradient.scores["images"][0]["evaluation"]["randomization"]["head"]["copies"]
    assert head == pytest.approx(spearmanr(*maps).statistic, abs=1e-6)


def test_arrays_are_the_maps_and_the_curves_behind_the_areas(gradient):
    assert {name.partition("/")[2] for name in gradient.arrays} == {
        "map",
        "head",
        "upper",
        "all",
        "mean/deletion",
        "mean/insertion",
        "mean/null_deletion",
        "mean/null_insertion",
        "blur/deletion",
        "blur/insertion",
        "blur/null_deletion",
        "blur/null_insertion",
    }
    deleted = np.array(Grid.over(torch.empty(1, 1, 28, 28)).deleted) / 196
    for fill, areas in gradient.scores["images"][1]["evaluation"]["insertion_deletion"].items():
        curves = {
            name: gradient.arrays[f"1/{fill}/{name}"]
            for name in ("deletion", "insertion", "null_deletion", "null_insertion")
        }
        inserted = 1 - deleted[::-1]
        assert areas["deletion"] == pytest.approx(np.trapezoid(curves["deletion"], deleted))
        assert areas["insertion"] == pytest.approx(np.trapezoid(curves["insertion"], inserted))
        gains = np.trapezoid(curves["null_insertion"], inserted)
        gains -= np.trapezoid(curves["null_deletion"], deleted)
        nulls = areas["nulls"]
        assert [len(nulls[kind]) for kind in nulls] == [1, 1, 1, 1, 4]
        assert [gain for each in nulls.values() for gain in each] == pytest.approx(
            gains.tolist(), abs=1e-5
        )


def test_the_same_seed_gives_the_same_answer(gradient):
    assert evaluated("attribution/gradient").scores == gradient.scores


def test_a_map_times_the_image_stays_alike_and_is_doubted():
    image = entry("attribution/input_x_gradient")
    assert image["verdict"] == "doubt"
    assert image["evaluation"]["randomization"]["head"]["copies"][0] > 0.84


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
    for image in evaluated("attribution/edges").scores["images"]:
        assert image["verdict"] == "doubt"
        assert image["evaluation"]["randomization"]["head"]["copies"] == [pytest.approx(1)]
        statuses = {criterion["name"]: criterion["status"] for criterion in image["criteria"]}
        assert statuses["randomization"] == "against"


def test_random_methods_are_evaluated_with_other_seeds_and_sums_are_checked():
    first, second = entry("attribution/smooth_grad?samples=3")["evaluation"]["seed_correlations"]
    assert first != second
    image = entry("attribution/deep_lift?baseline=white")
    assert image["evaluation"]["sum"] == pytest.approx(image["evaluation"]["rise"], rel=1e-3)
    assert "completeness" in [criterion["name"] for criterion in image["criteria"]]


@pytest.mark.parametrize(
    ("method", "error", "message"),
    [
        ("noise/noise", OptionError, "makes no map"),
        ("attribution/attention_rollout", NotOfferedError, "needs attention"),
        ("attribution/gradient?nonsense=1", OptionError, "no option"),
        ("attribution/grad_cam?layer=conv22", OptionError, "did you mean conv2"),
    ],
)
def test_a_method_that_makes_no_map_of_the_model_is_refused(method, error, message):
    with pytest.raises(error, match=message):
        evaluated(method)


def test_the_margin_over_a_class_is_evaluated(gradient):
    margin = evaluated("attribution/gradient", against="3")
    assert not np.allclose(margin.arrays["0/map"], gradient.arrays["0/map"])


@pytest.mark.parametrize(
    ("against", "message"), [("26", "between 0 and 25"), ("letter", "must be an index")]
)
def test_a_class_that_does_not_exist_cannot_be_subtracted(against, message):
    with pytest.raises(OptionError, match=message):
        evaluated("attribution/gradient", against=against)


def test_the_cost_is_that_of_the_evaluation():
    """Every pass is counted as it is made, and the progress ends at the estimate exactly."""
    options = {"method": "attribution/smooth_grad?samples=3", "copies": 1, "random_maps": 5}
    cost = trust_cost(letters_context(), together=2, **options).scores
    assert cost["backward"] == 3 * (1 + 2 + 3)
    assert cost["forward"] == PROBES + 2 * 51 * 2 * (1 + 1 + 1 + 2 + 5)
    conforms(TrustCostAnswer, cost)
    shares = []
    context = letters_context(files=FILES, progress=lambda _activity, share: shares.append(share))
    trust(context, **options)
    assert shares[-1] == pytest.approx(1)
    assert shares[-2] < 1


def test_real_answers_are_as_their_types_say(gradient):
    conforms(TrustAnswer, gradient.scores)
    complete = evaluated("attribution/integrated_gradients?steps=4", FILES[:1], random_maps=4)
    conforms(TrustAnswer, complete.scores)
    broken = deepcopy(letters())
    with torch.no_grad():
        list(broken.network.parameters())[-1].fill_(torch.nan)
    answer = trust(Context(broken, files=FILES[:1])).scores
    conforms(TrustAnswer, answer)
    (image,) = answer["images"]
    assert (image["verdict"], image["evaluation"]) == ("can't tell", None)
    assert image["note"] == "The logits are not finite numbers."


def test_the_command_writes_maps_as_arrays_and_pictures(tmp_path, capsys):
    model = samples.model_files()["letters_conv"].path
    command = ["trust", "gradient", model, FILES[0].path, "--json", "--copies", "1"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    (image,) = json.loads(capsys.readouterr().out)["images"]
    assert image["verdict"] == "trust"
    written = {file.name for file in tmp_path.iterdir()}
    assert {"trust.json", "0-map.npy", "0-map.png", "0-head.png", "0-all.png"} <= written
    assert main(["trust", "nonsense", model, FILES[0].path]) == 2
