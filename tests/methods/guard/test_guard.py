"""Guards: what is shipped answers as what was measured, and what is promised is kept."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from diagnostics.data import samples
from diagnostics.errors import InputError, NotOfferedError
from diagnostics.loaders.open import open_model
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.guard._fitting import (
    SPLIT,
    Collector,
    Rows,
    compared,
    joined,
    lead,
    limited,
)
from diagnostics.methods.guard._logistic import logistic
from diagnostics.methods.registry import find
from diagnostics.metrics.intervals import false_alarm_interval
from diagnostics.models import guard as shipped_module
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.guard import Guard
from diagnostics.schema import recipe
from diagnostics.schema.request import ModelSource
from diagnostics.schema.spec import Need
from tests.networks_for_tests import classifier as made_classifier

KINDS = ("threshold", "extra_class", "discriminator")
ALPHA = 0.1
CLOSE = 1e-5


def opened(source: ModelSource, settings=None) -> TorchClassifier:
    model = open_model(source, ())
    return TorchClassifier(model.network, model.spec, settings or model.spec.preprocessing)


@pytest.fixture(scope="module")
def letters():
    return opened(ModelSource(samples.model_files()["letters_conv"]))


def context(classifier, seed=0, folder="known", strangers=True, **rest):
    folders = samples.folders()
    known = folders[folder] if isinstance(folder, str) else folder
    others = folders["strangers"] if strangers else None
    return Context(classifier, folder=known, ood_folder=others, seed=seed, **rest)


def unpacked(outcome, folder: Path) -> Path:
    content = b"".join(outcome.arrays[f"file/{at}"].tobytes() for at in range(len(outcome.arrays)))
    zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def outcomes(letters, tmp_path_factory):
    """Every kind of guard of the letters model, and the folder that its .zip unpacks to."""
    made = {}
    for kind in KINDS:
        outcome = find(f"guard/{kind}").function(context(letters), alpha=ALPHA)
        made[kind] = outcome.scores, unpacked(outcome, tmp_path_factory.mktemp(kind))
    return made


def fresh(classifier, count=12):
    """Images that no guard was fitted on: of another seed than any of its draws."""
    spec = classifier.spec
    random = np.random.default_rng(77)
    shape = (count, spec.channels, spec.height, spec.width)
    return torch.from_numpy(random.random(shape).astype(np.float32)) ** 3


def through(classifier, folder: Path, pixels):
    """What a guard's module is fed for some pixels."""
    about = shipped_module.load(folder)[1]["guard"]
    layers = [one for one in classifier.spec.layers if one.name in about["layers"]]
    return Collector(Context(classifier), layers).rows(pixels)


ALONE = """
import sys
from pathlib import Path
import torch
folder, given = Path(sys.argv[1]), torch.load(sys.argv[2], weights_only=True)
sys.path.insert(0, str(folder))
import guard
made, about, test = guard.load(folder)
answers = made(given["logits"], given["features"], given["layers"])
torch.save(answers, sys.argv[3])
ours = [name for name in sys.modules if name.partition(".")[0] in ("diagnostics", "safetensors")]
assert not ours, ours
assert Path(guard.__file__).parent == folder, guard.__file__
"""


def run_alone(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with neither our package nor this folder on its path."""
    command = [sys.executable, "-I", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_exported_module_answers_alone_as_the_app_does(kind, outcomes, letters, tmp_path):
    _, folder = outcomes[kind]
    pixels = fresh(letters)
    rows = through(letters, folder, pixels)
    given = {"logits": rows.logits, "features": rows.features, "layers": rows.layers}
    torch.save(given, tmp_path / "given.pt")
    where = [str(folder), str(tmp_path / "given.pt"), str(tmp_path / "answers.pt")]
    done = run_alone(tmp_path, "-c", ALONE, *where)
    assert done.returncode == 0, done.stderr
    alone = torch.load(tmp_path / "answers.pt", weights_only=True).softmax(1)
    classifier = reopened(folder, "guarded.pt2")
    app = classifier.logits(pixels).double().softmax(1)
    assert alone.shape == (len(pixels), 27)
    assert float((alone - app).abs().max()) < CLOSE


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_self_test_passes_and_notices_a_changed_weight(kind, outcomes, tmp_path):
    _, folder = outcomes[kind]
    done = run_alone(folder, "guard.py")
    assert done.returncode == 0, done.stderr
    (tmp_path / "guard.py").write_bytes((folder / "guard.py").read_bytes())
    (tmp_path / "guard.toml").write_bytes((folder / "guard.toml").read_bytes())
    tensors = load_file(folder / "guard.safetensors")
    name = "guard_bias" if kind == "extra_class" else "guard_threshold"
    tensors[name] = tensors[name] + 1.0
    save_file(tensors, tmp_path / "guard.safetensors")
    done = run_alone(tmp_path, "guard.py")
    assert done.returncode == 1
    assert "largest difference" in done.stdout


def reopened(folder: Path, name: str) -> TorchClassifier:
    """Open a whole guarded model with the recipe beside it, as a person does."""
    known = recipe.loads((folder / "recipe.toml").read_text("utf-8"))
    source = known.source(ModelSource(samples.file_at(folder / name)))
    return opened(source, known.preprocessing)


@pytest.mark.parametrize("name", ["guarded.pt2", "guarded.onnx"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_guarded_model_opens_as_any_model_does(kind, name, outcomes, letters):
    scores, folder = outcomes[kind]
    assert scores["problems"] == []
    classifier = reopened(folder, name)
    spec = classifier.spec
    assert spec.class_names == (*letters.spec.class_names, "none of the above")
    pixels = fresh(letters)
    rows = through(letters, folder, pixels)
    guard = shipped_module.load(folder)[0]
    expected = guard(rows.logits, rows.features, rows.layers).softmax(1)
    found = classifier.logits(pixels).double().softmax(1)
    assert float((found - expected).abs().max()) < CLOSE
    if name == "guarded.pt2":
        assert {Need.LAYERS, Need.GRADIENTS} <= spec.offers


@pytest.mark.parametrize("kind", KINDS)
def test_the_classes_keep_their_order_and_none_wins_exactly_where_it_leads(kind, outcomes, letters):
    _, folder = outcomes[kind]
    guard = shipped_module.load(folder)[0]
    pixels = torch.cat([fresh(letters), torch.zeros(1, 1, 28, 28), letter_pixels()])
    rows = through(letters, folder, pixels)
    guarded = guard(rows.logits, rows.features, rows.layers)
    assert torch.equal(guarded[:, :-1].argsort(1), rows.logits.double().argsort(1))
    ahead = torch.from_numpy(lead(guard, rows) > 0)
    assert torch.equal(guarded.argmax(1) == 26, ahead)
    assert 0 < int(ahead.sum()) < len(ahead)


def letter_pixels():
    with zipfile.ZipFile(samples.folders()["in_distribution"].path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".png")][:40:5]
        images = [np.asarray(Image.open(archive.open(name)).convert("L")) for name in names]
    return torch.from_numpy(np.stack(images)[:, None].astype(np.float32) / 255)


def test_guards_tell_what_they_learned_on(outcomes):
    """A threshold is set by known-good images alone, whatever else is at hand."""
    learned = {
        kind: {one["kind"] for one in scores["kinds"] if one["learned"]}
        for kind, (scores, _) in outcomes.items()
    }
    noise = {"uniform", "gaussian", "shuffled"}
    assert learned["threshold"] == set()
    assert learned["extra_class"] == noise | {"strangers"}
    assert learned["discriminator"] == noise | {"strangers", "fooling"}
    for kind, (scores, folder) in outcomes.items():
        assert set(scores["fitted_on"]) == {"known", "threshold"} | learned[kind]
        assert json.loads((folder / "gains-and-costs.json").read_text())["kinds"] == scores["kinds"]


def test_all_guards_are_judged_on_the_same_images(outcomes):
    """The bare model's part does not depend on the guard beside it."""
    first, *others = [scores for scores, _ in outcomes.values()]
    bare = [
        (one["kind"], one["bare_sure"]["n"], one["bare_sure"]["hits"]) for one in first["kinds"]
    ]
    for scores in others:
        assert [
            (one["kind"], one["bare_sure"]["n"], one["bare_sure"]["hits"])
            for one in scores["kinds"]
        ] == bare
        assert scores["bare_accuracy"] == first["bare_accuracy"]


def test_no_image_serves_twice(letters):
    """What fits, what sets the threshold and what judges: no row of one stands in another."""
    material = Collector(context(letters), letters.spec.layers[:1]).collect(*SPLIT)
    known = [material.known, material.limits, material.held]
    sides = [[*material.strange.values()], [*material.strange_held.values()]]
    for parts in (known, [joined(side) for side in sides]):
        rows = [set(map(bytes_of, part.logits)) for part in parts]
        for place, one in enumerate(rows):
            assert all(not one & other for other in rows[place + 1 :])
    counts = [len(part.labels) for part in known]
    assert counts == [255, 84, 84]


def bytes_of(row):
    return row.numpy().tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_false_alarms_stay_within_the_promise(kind, letters, monkeypatch):
    """Over seeds, the mean rate fits a promise that holds on average over draws of the images."""
    monkeypatch.setattr(f"diagnostics.methods.guard.{kind}.outcome", counts_only)
    rejected, judged, seeds = 0, 0, 6
    for seed in range(seeds):
        one = context(letters, seed, strangers=False)
        found = find(f"guard/{kind}").function(one, alpha=ALPHA).scores
        low, high = false_alarm_interval(found["fitted_on"]["threshold"], ALPHA, 0.999)
        rate = found["good_rejected"]
        assert low < rate["high"]
        assert rate["low"] < high
        rejected, judged = rejected + rate["hits"], judged + rate["n"]
    spread = (ALPHA * (1 - ALPHA) * (1 / judged + 1 / (84 * seeds))) ** 0.5
    assert abs(rejected / judged - ALPHA) < 3 * spread


def counts_only(_study, guard, _layers, material, alpha):
    return Outcome(compared(guard, material, alpha))


@pytest.mark.parametrize("n", [9, 20, 84, 333])
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.29])
def test_a_threshold_leaves_as_many_as_the_promise_allows(n, alpha):
    """Of n images the largest l - 1 may exceed it, with l the most for which l / (n + 1) fits."""
    random = np.random.default_rng(n)
    features = torch.from_numpy(random.normal(size=(n, 3)))
    rows = rows_of(torch.zeros(n, 4), features)
    tensors = {
        "guard_temperature": torch.tensor(1.0, dtype=torch.float64),
        "guard_weight": torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64),
        "guard_bias": torch.tensor(0.0, dtype=torch.float64),
    }
    guard = limited(Guard("extra_class", "", tensors), rows, alpha, "guard_bias", -1.0)
    flagged = int((lead(guard, rows) >= 0).sum())
    allowed = max((l for l in range(n + 1) if l / (n + 1) <= alpha), default=0)  # noqa: E741
    assert flagged == max(allowed - 1, 0)


def rows_of(logits, features):
    count = len(logits)
    return Rows(logits, features, torch.zeros(count, 0), torch.full((count,), -1))


@pytest.mark.parametrize("penalty", [1e-4, 1e-1])
def test_logistic_regression_finds_the_same_as_newtons_method(penalty):
    """With offsets and unequal sides, each of which weighs one half."""
    random = np.random.default_rng(3)
    features = random.normal(size=(120, 4))
    strange = (features[:, 0] + random.normal(size=120) > 0.7).astype(float)
    offsets = random.normal(size=120)
    share = strange.mean()
    balance = np.where(strange > 0, 0.5 / share, 0.5 / (1 - share)) / len(strange)
    rows, penalties = np.c_[features, np.ones(120)], np.diag([2 * penalty] * 4 + [0])
    exact = np.zeros(5)
    for _ in range(30):
        odds = 1 / (1 + np.exp(-(rows @ exact + offsets)))
        slope = rows.T @ (balance * (odds - strange)) + penalties @ exact
        curve = (rows * (balance * odds * (1 - odds))[:, None]).T @ rows + penalties
        exact -= np.linalg.solve(curve, slope)
    given = (torch.from_numpy(part) for part in (features, offsets, strange))
    weights, bias = logistic(*given, penalty)
    np.testing.assert_allclose([*weights.tolist(), float(bias)], exact, atol=1e-6)


def test_a_separable_problem_has_a_finite_answer():
    features = torch.tensor([[-1.0], [-2.0], [1.0], [2.0]], dtype=torch.float64)
    strange = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    weights, bias = logistic(features, torch.zeros(4, dtype=torch.float64), strange, 1e-3)
    assert 0 < float(weights[0]) < 100
    assert float(bias) == pytest.approx(0, abs=1e-6)


class Softmaxed(nn.Module):
    """A classifier of 16 px images that gives probabilities."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1)
        self.fc = nn.Linear(6, 4)

    def forward(self, values):
        return (30 * self.fc(self.conv(values).relu().mean((2, 3)))).softmax(1)


class Headless(nn.Module):
    """A classifier whose scores are no layer's: nothing tells its features."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)

    def forward(self, values):
        return self.conv(values).tanh().mean((2, 3)) * 9


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """Return a function that writes a folder of grey images of 16 px, packed."""

    def write(count):
        path = tmp_path_factory.mktemp("images") / f"{count}.zip"
        random = np.random.default_rng(count)
        with zipfile.ZipFile(path, "w") as archive:
            for place in range(count):
                stream = io.BytesIO()
                ramp = np.linspace(0, 200, 16) + random.normal(0, 12, (16, 16))
                Image.fromarray(ramp.clip(0, 255).astype(np.uint8)).save(stream, "png")
                archive.writestr(f"{place}.png", stream.getvalue())
        return samples.file_at(path)

    return write


def small(network):
    torch.manual_seed(0)
    return made_classifier(network(), 16)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_network_that_ends_in_softmax_gets_a_guard(kind, folder_of, tmp_path):
    network = small(Softmaxed)
    one = context(network, folder=folder_of(90), strangers=False)
    outcome = find(f"guard/{kind}").function(one, alpha=ALPHA)
    folder = unpacked(outcome, tmp_path)
    assert outcome.scores["problems"] == []
    assert outcome.scores["accuracy"] is None
    pixels = fresh(network)
    bare = network.network(network.network_input(pixels))
    guarded = reopened(folder, "guarded.pt2").logits(pixels)
    assert float((guarded[:, :-1].softmax(1) - bare).abs().max()) < CLOSE


def test_a_network_whose_features_cannot_be_told_gets_no_extra_class(folder_of):
    network = small(Headless)
    assert Need.FEATURES not in network.spec.offers
    one = context(network, folder=folder_of(90), strangers=False)
    with pytest.raises(NotOfferedError, match="reads features"):
        find("guard/extra_class").function(one)
    for kind in ("threshold", "discriminator"):
        found = find(f"guard/{kind}").function(one).scores
        assert found["good_rejected"]["n"] == 15


def test_too_few_images_are_said(folder_of):
    one = context(small(Softmaxed), folder=folder_of(40), strangers=False)
    with pytest.raises(InputError, match=r"60 readable known-good images at least.*got 40"):
        find("guard/threshold").function(one)


def test_a_score_that_no_guard_can_ship_is_named_beside_those_that_can(letters):
    with pytest.raises(InputError, match=r"no score 'nonsense'.*msp"):
        find("guard/threshold").function(context(letters, strangers=False), score="nonsense")


def test_where_every_answer_is_right_no_temperature_makes_them_surer(letters, tmp_path):
    """The likelihood has no best temperature then, and the search ends at its lowest."""
    with zipfile.ZipFile(samples.folders()["in_distribution"].path) as archive:
        names = [one for one in archive.namelist() if one.endswith(".png")][:120]
        contents = {name: archive.read(name) for name in names}
    pixels = np.stack(
        [np.asarray(Image.open(io.BytesIO(one)).convert("L")) for one in contents.values()]
    )
    said = letters.logits(torch.from_numpy(pixels[:, None].astype(np.float32) / 255)).argmax(1)
    path = tmp_path / "said.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for place, (content, index) in enumerate(zip(contents.values(), said, strict=True)):
            archive.writestr(f"{letters.spec.class_names[index]}/{place}.png", content)
    one = context(letters, folder=samples.file_at(path), strangers=False)
    folder = unpacked(find("guard/threshold").function(one), tmp_path / "guard")
    guard = shipped_module.load(folder)[0]
    assert float(guard.get_buffer("guard_temperature")) == 1.0
