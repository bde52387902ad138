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
from diagnostics.methods.context import Context
from diagnostics.methods.guard._evaluation import calibrate, rejection_margin
from diagnostics.methods.guard._splits import LEARNABLE, LabelledOutputs, SplitBuilder, joined
from diagnostics.methods.guard.extra_class import logistic_regression
from diagnostics.methods.registry import find, methods
from diagnostics.metrics.intervals import false_alarm_interval
from diagnostics.models import guard as exported_module
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.guard import Guard, Outputs
from diagnostics.schema import recipe
from diagnostics.schema.request import ModelSource
from diagnostics.schema.results.guard import GuardAnswer
from diagnostics.schema.spec import Need
from tests.letters import letters as letters_classifier
from tests.letters import open_classifier
from tests.networks_for_tests import classifier as classifier_of
from tests.results import conforms

GUARDS = [method.info.id.partition("/")[2] for method in methods("guard")]
ALPHA = 0.1
CLOSE = 1e-5


@pytest.fixture(scope="module")
def letters():
    return letters_classifier()


def context_of(classifier, seed=0, folder=None, with_ood=True, **rest):
    folders = samples.folders()
    return Context(
        classifier,
        folder=folder or folders["in_distribution"],
        ood_folder=folders["out_of_distribution"] if with_ood else None,
        seed=seed,
        **rest,
    )


def unpacked(outcome, folder: Path) -> Path:
    content = b"".join(outcome.arrays[f"file/{at}"].tobytes() for at in range(len(outcome.arrays)))
    zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def outcomes(letters, tmp_path_factory):
    """The answer of every guard of the letters model, and the folder that its .zip unpacks to."""
    by_name = {}
    for name in GUARDS:
        outcome = find(f"guard/{name}").function(context_of(letters), alpha=ALPHA)
        by_name[name] = outcome.scores, unpacked(outcome, tmp_path_factory.mktemp(name))
    return by_name


@pytest.mark.slow
@pytest.mark.parametrize("name", GUARDS)
def test_a_real_answer_is_of_the_promised_type(name, outcomes):
    conforms(GuardAnswer, outcomes[name][0])


def fresh(classifier, count=12):
    """Images that no guard was fitted on: of another seed than any of its draws."""
    spec = classifier.spec
    random = np.random.default_rng(77)
    shape = (count, spec.channels, spec.height, spec.width)
    return torch.from_numpy(random.random(shape).astype(np.float32)) ** 3


def outputs_of(classifier, folder: Path, pixels):
    """What an exported guard reads of some pixels."""
    about = exported_module.load(folder)[1]["guard"]
    layers = [layer for layer in classifier.spec.layers if layer.name in about["layers"]]
    return SplitBuilder(Context(classifier), layers).outputs(pixels)


ALONE = """
import runpy
import sys
from pathlib import Path
import torch
folder, changed, given, answers = map(Path, sys.argv[1:])
sys.path.insert(0, str(folder))
import guard
loaded, about, test = guard.load(folder)
given = torch.load(given, weights_only=True)
torch.save(loaded(given["logits"], given["features"], given["layers"]), answers)
for tested in (folder, changed):
    try:
        runpy.run_path(str(tested / "guard.py"), run_name="__main__")
    except SystemExit as end:
        print("ended with", end.code)
ours = [name for name in sys.modules if name.partition(".")[0] in ("diagnostics", "safetensors")]
assert not ours, ours
assert Path(guard.__file__).parent == folder, guard.__file__
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", GUARDS)
def test_the_exported_module_alone_answers_as_the_app_and_notices_a_changed_weight(
    name, outcomes, letters, tmp_path
):
    """It runs in a Python with neither our package nor this folder on its path."""
    _, folder = outcomes[name]
    pixels = fresh(letters)
    torch.save(outputs_of(letters, folder, pixels).outputs._asdict(), tmp_path / "given.pt")
    changed = tmp_path / "changed"
    changed.mkdir()
    for file in ("guard.py", "formula.py", "guard.toml"):
        (changed / file).write_bytes((folder / file).read_bytes())
    tensors = load_file(folder / "guard.safetensors")
    tensors["guard_threshold"] += 1.0
    save_file(tensors, changed / "guard.safetensors")
    files = (folder, changed, tmp_path / "given.pt", tmp_path / "answers.pt")
    command = [sys.executable, "-I", "-c", ALONE, *map(str, files)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    tests, codes = done.stdout.split("\n")[0:4:2], done.stdout.split("\n")[1:4:2]
    assert all(line.startswith("largest difference") for line in tests)
    assert codes == ["ended with 0", "ended with 1"]
    alone = torch.load(tmp_path / "answers.pt", weights_only=True).softmax(1)
    app = reopened(folder, "guarded.pt2").logits(pixels).double().softmax(1)
    assert alone.shape == (len(pixels), 27)
    assert float((alone - app).abs().max()) < CLOSE


def reopened(folder: Path, file: str) -> TorchClassifier:
    """Open a whole guarded model with the recipe beside it, as a person does."""
    content = recipe.loads((folder / "recipe.toml").read_text("utf-8"))
    source = content.source(ModelSource(samples.file_at(folder / file)))
    return open_classifier(source, content.preprocessing)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["guarded.pt2", "guarded.onnx"])
@pytest.mark.parametrize("name", GUARDS)
def test_the_whole_guarded_model_opens_as_any_model_does(name, file, outcomes, letters):
    answer, folder = outcomes[name]
    assert answer["problems"] == []
    classifier = reopened(folder, file)
    spec = classifier.spec
    assert spec.class_names == (*letters.spec.class_names, "none of the above")
    pixels = fresh(letters)
    guard = exported_module.load(folder)[0]
    expected = guard(*outputs_of(letters, folder, pixels).outputs).softmax(1)
    found = classifier.logits(pixels).double().softmax(1)
    assert float((found - expected).abs().max()) < CLOSE
    if file == "guarded.pt2":
        assert {Need.LAYERS, Need.GRADIENTS} <= spec.offers


@pytest.mark.slow
@pytest.mark.parametrize("name", GUARDS)
def test_the_classes_keep_their_order_and_none_wins_exactly_where_it_leads(name, outcomes, letters):
    _, folder = outcomes[name]
    guard = exported_module.load(folder)[0]
    pixels = torch.cat([fresh(letters), torch.zeros(1, 1, 28, 28), letter_pixels()])
    images = outputs_of(letters, folder, pixels)
    guarded = guard(*images.outputs)
    assert torch.equal(guarded[:, :-1].argsort(1), images.outputs.logits.double().argsort(1))
    ahead = torch.from_numpy(rejection_margin(guard, images) > 0)
    assert torch.equal(guarded.argmax(1) == 26, ahead)
    assert torch.equal(guard.values(images.outputs) > guard.get_buffer("guard_threshold"), ahead)
    assert 0 < int(ahead.sum()) < len(ahead)


def letter_pixels():
    with zipfile.ZipFile(samples.folders()["in_distribution"].path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".png")][:40:5]
        images = [np.asarray(Image.open(archive.open(name)).convert("L")) for name in names]
    return torch.from_numpy(np.stack(images)[:, None].astype(np.float32) / 255)


@pytest.mark.slow
def test_guards_tell_what_they_learned_on(outcomes):
    """A threshold is set by known-good images alone, whatever else is at hand."""
    learned = {
        name: {rates["kind"] for rates in answer["kinds"] if rates["learned"]}
        for name, (answer, _) in outcomes.items()
    }
    noise = {"uniform", "gaussian", "shuffled"}
    assert learned["threshold"] == set()
    assert learned["extra_class"] == noise | {"out_of_distribution"}
    assert learned["discriminator"] == noise | {"out_of_distribution", "fooling"}
    for name, (answer, folder) in outcomes.items():
        assert set(answer["fitted_on"]["out_of_distribution"]) == learned[name]
        exported = json.loads((folder / "gains-and-costs.json").read_text())
        assert {**exported, "problems": []} == answer


@pytest.mark.slow
def test_all_guards_are_judged_on_the_same_images(outcomes):
    """The bare model's part does not depend on the guard beside it."""
    first, *others = [answer for answer, _ in outcomes.values()]
    bare = [(rates["kind"], rates["bare_confident"]) for rates in first["kinds"]]
    for answer in others:
        assert [(rates["kind"], rates["bare_confident"]) for rates in answer["kinds"]] == bare
        assert answer["bare_accuracy"] == first["bare_accuracy"]


def test_no_image_serves_twice(letters):
    """What fits, what sets the threshold and what judges: no row of one stands in another."""
    splits = SplitBuilder(context_of(letters), letters.spec.layers[:1]).build(LEARNABLE)
    in_distribution = [splits.train, splits.calibration, splits.test]
    sides = [[*splits.ood_train.values()], [*splits.ood_test.values()]]
    for parts in (in_distribution, [joined(side) for side in sides]):
        rows = [set(map(bytes_of, part.outputs.logits)) for part in parts]
        for index, part in enumerate(rows):
            assert all(not part & other for other in rows[index + 1 :])
    counts = [len(part.labels) for part in in_distribution]
    assert counts == [255, 84, 84]


def bytes_of(row):
    return row.numpy().tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", GUARDS)
def test_false_alarms_stay_within_the_promise(name, letters, monkeypatch):
    """Over seeds, the mean rate fits a promise that holds on average over draws of the images.

    The known-good images are all there; of the others, which only fit, there are few.
    """
    monkeypatch.setattr("diagnostics.methods.guard.export", lambda *_: (b"", []))
    for count in ("DRAWS", "FOOLING_IMAGES", "FOOLING_STEPS"):
        monkeypatch.setattr(f"diagnostics.methods.guard._splits.{count}", 8)
    rejected, tested, seeds = 0, 0, 6
    for seed in range(seeds):
        context = context_of(letters, seed, with_ood=False)
        answer = find(f"guard/{name}").function(context, alpha=ALPHA).scores
        low, high = false_alarm_interval(answer["fitted_on"]["calibration"], ALPHA, 0.999)
        rate = answer["rejected"]
        assert low < rate["high"]
        assert rate["low"] < high
        rejected, tested = rejected + rate["hits"], tested + rate["n"]
    spread = (ALPHA * (1 - ALPHA) * (1 / tested + 1 / (84 * seeds))) ** 0.5
    assert abs(rejected / tested - ALPHA) < 3 * spread


@pytest.mark.parametrize("n", [9, 20, 84, 333])
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.29])
def test_a_threshold_leaves_as_many_as_the_promise_allows(n, alpha):
    """Of n images the largest l - 1 may exceed it, with l the most for which l / (n + 1) fits."""
    random = np.random.default_rng(n)
    images = images_of(torch.zeros(n, 4), torch.from_numpy(random.normal(size=(n, 3))))
    guard = Guard(first_feature, {})
    calibrate(guard, images, alpha)
    flagged = int((rejection_margin(guard, images) > 0).sum())
    allowed = max((l for l in range(n + 1) if l / (n + 1) <= alpha), default=0)  # noqa: E741
    assert flagged == max(allowed - 1, 0)


def first_feature(outputs, fitted):
    return outputs.features[:, 0]


def images_of(logits, features):
    count = len(logits)
    return LabelledOutputs(
        Outputs(logits, features, torch.zeros(count, 0)), torch.full((count,), -1)
    )


@pytest.mark.parametrize("penalty", [1e-4, 1e-1])
def test_logistic_regression_finds_the_same_as_newtons_method(penalty):
    """With offsets and unequal sides, each of which weighs one half."""
    random = np.random.default_rng(3)
    features = random.normal(size=(120, 4))
    truth = (features[:, 0] + random.normal(size=120) > 0.7).astype(float)
    offsets = random.normal(size=120)
    share = truth.mean()
    balance = np.where(truth > 0, 0.5 / share, 0.5 / (1 - share)) / len(truth)
    rows, penalties = np.c_[features, np.ones(120)], np.diag([2 * penalty] * 4 + [0])
    exact = np.zeros(5)
    for _ in range(30):
        odds = 1 / (1 + np.exp(-(rows @ exact + offsets)))
        slope = rows.T @ (balance * (odds - truth)) + penalties @ exact
        curve = (rows * (balance * odds * (1 - odds))[:, None]).T @ rows + penalties
        exact -= np.linalg.solve(curve, slope)
    weights, bias = logistic_regression(features, offsets, truth, penalty)
    np.testing.assert_allclose([*weights, bias], exact, atol=1e-7)


def test_a_separable_problem_has_a_finite_answer():
    features, truth = np.array([[-1.0], [-2.0], [1.0], [2.0]]), np.array([0.0, 0.0, 1.0, 1.0])
    weights, bias = logistic_regression(features, np.zeros(4), truth, 1e-3)
    assert 0 < weights[0] < 100
    assert bias == pytest.approx(0, abs=1e-6)


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
    return classifier_of(network(), 16)


@pytest.mark.slow
@pytest.mark.parametrize("name", GUARDS)
def test_a_network_that_ends_in_softmax_gets_a_guard(name, folder_of, tmp_path):
    network = small(Softmaxed)
    context = context_of(network, folder=folder_of(90), with_ood=False)
    outcome = find(f"guard/{name}").function(context, alpha=ALPHA)
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
    context = context_of(network, folder=folder_of(90), with_ood=False)
    with pytest.raises(NotOfferedError, match="reads features"):
        find("guard/extra_class").function(context)
    for name in ("threshold", "discriminator"):
        answer = find(f"guard/{name}").function(context).scores
        assert answer["rejected"]["n"] == 15


def test_too_few_images_are_said(folder_of):
    context = context_of(small(Softmaxed), folder=folder_of(40), with_ood=False)
    with pytest.raises(InputError, match=r"60 readable known-good images at least.*got 40"):
        find("guard/threshold").function(context)


class NotFinite(nn.Module):
    """A classifier that gives NaN for every image with a dark left edge."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(256, 4)

    def forward(self, values):
        dark = values[:, :, :, 0].mean((1, 2)) < 0.2
        return self.fc(values.flatten(1)).masked_fill(dark[:, None], float("nan"))


def test_a_guard_whose_calibration_images_are_all_answered_with_nan_is_refused_in_a_sentence(
    folder_of,
):
    context = context_of(small(NotFinite), folder=folder_of(90), with_ood=False)
    with pytest.raises(InputError, match="finite outputs to fit it, but the model gives NaN"):
        find("guard/threshold").function(context)


def test_a_score_that_no_guard_can_ship_is_named_beside_those_that_can(letters):
    with pytest.raises(InputError, match=r"no score 'nonsense'.*msp"):
        find("guard/threshold").function(context_of(letters, with_ood=False), score="nonsense")


def test_where_every_answer_is_right_no_temperature_makes_them_surer(letters, tmp_path):
    """The likelihood has no best temperature then, and the search ends at its lowest."""
    with zipfile.ZipFile(samples.folders()["in_distribution"].path) as archive:
        names = [one for one in archive.namelist() if one.endswith(".png")][:120]
        contents = {name: archive.read(name) for name in names}
    pixels = np.stack(
        [np.asarray(Image.open(io.BytesIO(one)).convert("L")) for one in contents.values()]
    )
    logits = letters.logits(torch.from_numpy(pixels[:, None].astype(np.float32) / 255))
    path = tmp_path / "predicted.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, (content, index) in enumerate(
            zip(contents.values(), logits.argmax(1), strict=True)
        ):
            archive.writestr(f"{letters.spec.class_names[index]}/{number}.png", content)
    context = context_of(letters, folder=samples.file_at(path), with_ood=False)
    folder = unpacked(find("guard/threshold").function(context), tmp_path / "guard")
    guard = exported_module.load(folder)[0]
    assert float(guard.get_buffer("guard_temperature")) == 1.0
