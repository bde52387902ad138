"""Attacks as a person asks for them: what is told of each image, and whether it is true."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from diagnostics.data import samples
from diagnostics.data.samples import file_at
from diagnostics.errors import InputError, NotOfferedError, OptionError
from diagnostics.execution.executor import Executor
from diagnostics.methods.adversarial._verification import MULTIPLES
from diagnostics.methods.context import Context
from diagnostics.methods.registry import find
from diagnostics.schema.request import ModelSource, Request
from tests.loaders import written
from tests.networks_for_tests import FunctionalResidual, classifier, mlp

LETTERS = ModelSource(samples.model_files()["letters_dense"])
ATTACKS = ["ddn", "deepfool", "lbfgs", "smallest"]
KEYS = {"found", "why", "distance", "png_flips", "tried"}


def attacked(name, model, files, target=None, **options):
    """Return an attack's outcome on files."""
    context = Context(model, files=files, target=target)
    outcome = find(f"adversarial/{name}").function(context, **options)
    outcome.check()
    return outcome


@pytest.fixture
def saved(tmp_path):
    def save(count, side=8, channels=1, seed=0):
        random = np.random.default_rng(seed)
        files = []
        for number in range(count):
            shape = (side, side) if channels == 1 else (side, side, channels)
            path = tmp_path / f"{seed}-{number}.png"
            Image.fromarray(random.integers(40, 216, shape, dtype=np.uint8)).save(path)
            files.append(file_at(path))
        return files

    return save


def model(channels=1, classes=4, seed=0):
    torch.manual_seed(seed)
    return classifier(mlp(64, classes, channels), 8, channels, classes)


def judged_afresh(asked, outcome, norm, target=None):
    """Hold everything told of what was found to what a model says, image by image."""
    found = 0
    for row, entry in enumerate(outcome.scores["images"]):
        told = entry[norm]
        if not told["found"]:
            assert told["distance"] is None
            assert told["why"]
            continue
        found += 1
        original, changed = (
            outcome.arrays[f"{row}/{name}"] for name in ("pixels", f"{norm}/changed")
        )
        picture = outcome.arrays[f"{row}/{norm}/picture"]
        says = [
            int(asked(torch.from_numpy(np.moveaxis(one, 2, 0))[None].float()).argmax())
            for one in (original, changed, picture.astype(np.float32) / np.float32(255))
        ]
        assert says[0] == entry["said"]
        flips = [one != says[0] if target is None else one == target for one in says[1:]]
        assert flips[0]
        assert flips[1] == told["png_flips"]
        assert told["now"][0]["index"] == says[1]
        assert told["png_now"][0]["index"] == says[2]
        assert changed.min() >= 0
        assert changed.max() <= 1
        np.testing.assert_array_equal(picture, np.rint(changed * 255).astype(np.uint8))
        difference = outcome.arrays[f"{row}/{norm}/difference"]
        np.testing.assert_array_equal(difference, changed - original)
        assert told["l2"] == pytest.approx(np.linalg.norm(difference), rel=1e-4)
        assert told["linf"] == pytest.approx(np.abs(difference).max(), rel=1e-4)
        assert told["distance"] == pytest.approx(told[norm], rel=1e-3)
        moved = picture != np.rint(original * 255).astype(np.uint8)
        assert told["changed_pixels"] == moved.any(2).sum()
        tried = [one for one in told["tried"].values() if one is not None]
        assert told["distance"] == min(tried) == told["tried"][told["by"]]
    return found


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("targeted", [False, True])
def test_every_change_that_is_reported_flips_in_a_fresh_pass(saved, channels, targeted):
    asked, files = model(channels), saved(4, channels=channels)
    first = torch.from_numpy(np.asarray(Image.open(files[0].path)) / np.float32(255))
    logits = asked.logits(first.reshape(1, 8, 8, channels).movedim(3, 1))
    target = int(logits[0].argsort(descending=True)[1]) if targeted else None
    outcome = attacked("smallest", asked, files, target, steps=60)
    assert outcome.scores["complete"]
    assert [entry["sha256"] for entry in outcome.scores["images"]] == [one.sha256 for one in files]
    for norm in ("l2", "linf"):
        assert judged_afresh(asked.logits, outcome, norm, target) >= (1 if targeted else 4)


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_tells_the_same_things(saved, name):
    asked, files = model(), saved(2)
    outcome = attacked(name, asked, files)
    for entry in outcome.scores["images"]:
        assert {"file", "sha256", "said", "target", "l2", "linf"} <= entry.keys()
        assert entry["l2"].keys() >= KEYS
        assert entry["linf"].keys() >= KEYS
        if name != "smallest":
            assert entry["linf"]["why"] == "It was not looked for."
    assert judged_afresh(asked.logits, outcome, "l2") == 2
    assert json.dumps(outcome.scores) == json.dumps(attacked(name, asked, files).scores)


def test_the_best_search_is_no_worse_than_any_of_them(saved):
    asked, files = model(), saved(3)
    best = attacked("smallest", asked, files).scores["images"]
    for name in ("deepfool", "ddn"):
        others = attacked(name, asked, files).scores["images"]
        for one, other in zip(best, others, strict=True):
            assert one["l2"]["distance"] <= other["l2"]["distance"] * (1 + 1e-6)


def test_the_line_begins_at_the_image_and_crosses_at_the_change(saved):
    asked, files = model(), saved(1)
    outcome = attacked("smallest", asked, files)
    line, entry = outcome.arrays["0/l2/line"], outcome.scores["images"][0]
    assert line.shape == (len(MULTIPLES), 4)
    assert outcome.scores["multiples"] == list(MULTIPLES)
    said = line.argmax(1)
    at = MULTIPLES.index(1.0)
    assert (said[:at] == entry["said"]).all()
    assert said[at] == entry["l2"]["now"][0]["index"]


def test_an_image_that_is_the_target_already_is_named(saved):
    asked, files = model(), saved(3)
    said = attacked("ddn", asked, files, steps=10).scores["images"][0]["said"]
    outcome = attacked("smallest", asked, files, target=said, steps=20)
    entry = outcome.scores["images"][0]
    assert entry["target"] == entry["said"] == said
    for norm in ("l2", "linf"):
        assert not entry[norm]["found"]
        assert entry[norm]["distance"] is None
        assert f"says class {said} of this image already" in entry[norm]["why"]


def test_a_constant_model_gives_not_found_and_never_zero(saved):
    asked = model()
    with torch.no_grad():
        asked.network[3].weight.zero_()
    outcome = attacked("smallest", asked, saved(2), steps=10)
    for entry in outcome.scores["images"]:
        assert not entry["l2"]["found"]
        assert entry["linf"]["distance"] is None
        assert "gradient is zero" in entry["l2"]["why"]
        assert entry["l2"]["tried"] == {"DeepFool": None, "DDN": None}
    assert not any(name.endswith("changed") for name in outcome.arrays)


def test_a_class_that_no_image_gets_is_not_found(saved):
    asked = model()
    with torch.no_grad():
        asked.network[3].bias[1] = -1e4
    outcome = attacked("smallest", asked, saved(2), target=1, steps=10)
    for entry in outcome.scores["images"]:
        assert not entry["l2"]["found"]
        assert "does not prove" in entry["l2"]["why"]


def test_answers_that_are_no_numbers_are_named_and_the_others_stand(saved):
    class Breaks(nn.Module):
        def __init__(self):
            super().__init__()
            self.rest = mlp()

        def forward(self, values):
            bright = values.flatten(1).mean(1, keepdim=True) > 0.9
            return torch.where(bright, torch.nan, self.rest(values))

    torch.manual_seed(0)
    files = saved(2)
    white = Path(files[1].path)
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(white)
    outcome = attacked("smallest", classifier(Breaks(), 8), [files[0], file_at(white)], steps=20)
    first, second = outcome.scores["images"]
    assert first["l2"]["found"]
    assert second["said"] is None
    assert second["top"] == []
    assert "not finite" in second["linf"]["why"]


def test_one_class_no_image_and_no_such_class_are_refused(saved):
    with pytest.raises(InputError, match="one class"):
        attacked("smallest", classifier(mlp(classes=1), 8, 1, 1), saved(1))
    with pytest.raises(InputError, match="no image"):
        attacked("smallest", model(), [])
    with pytest.raises(OptionError, match="between 0 and 3"):
        attacked("smallest", model(), saved(1), target=9)


def test_an_image_that_cannot_be_read_is_left_out_and_noted(saved, tmp_path):
    (tmp_path / "bad.png").write_text("no image")
    outcome = attacked("ddn", model(), [file_at(tmp_path / "bad.png"), *saved(1)], steps=10)
    assert len(outcome.scores["images"]) == 1
    assert "bad.png" in " ".join(outcome.scores["notes"])


def test_what_was_found_before_a_cancel_is_kept(saved):
    kept = []

    class CancelledError(Exception):
        pass

    def keep(make):
        outcome = make()
        outcome.check()
        kept.append(json.loads(json.dumps(outcome.scores)))
        if len(kept) == 2:
            raise CancelledError

    context = Context(model(), files=saved(2), partial=keep)
    with pytest.raises(CancelledError):
        find("adversarial/smallest").function(context, steps=20)
    first, second = (one["images"][0] for one in kept)
    assert not kept[0]["complete"]
    assert first["l2"]["tried"].keys() == {"DeepFool"}
    assert second["l2"]["distance"] <= first["l2"]["distance"]
    assert second["linf"]["why"] == "It was not looked for."


def test_progress_rises_and_names_the_search(saved, monkeypatch):
    told = []
    context = Context(
        model(), files=saved(2), progress=lambda doing, share: told.append((doing, share))
    )
    find("adversarial/smallest").function(context, steps=20)
    shares = [share for doing, share in told if doing != "Making what the network receives"]
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1
    assert any("DDN, Euclidean distance" in doing for doing, _ in told)


@pytest.fixture(scope="module")
def executor():
    return Executor()


@pytest.mark.slow
def test_the_sample_letters_are_answered_and_the_network_is_left_as_it_was(executor):
    images = tuple(samples.image_files()[name] for name in ("letter-x-thin", "letter-p-thin"))
    request = Request(
        "adversarial/smallest", LETTERS, images, options={"steps": 30, "largest": False}
    )
    answer = executor.execute(request)
    for entry in answer.scores["images"]:
        assert entry["l2"]["found"]
        assert 0 < entry["l2"]["distance"] < 5
        assert answer.scores["classes"][entry["said"]] == entry["top"][0]["class"]
    targeted = Request("adversarial/ddn", LETTERS, images[:1], target=25, options={"steps": 25})
    entry = executor.execute(targeted).scores["images"][0]
    assert entry["l2"]["now"][0]["index"] == 25


def test_a_model_without_gradients_says_why(executor, tmp_path):
    path = written.onnx_of_others(
        FunctionalResidual(classes=4).eval(), (3, 16, 16), tmp_path / "it"
    )
    request = Request("adversarial/smallest", ModelSource(file_at(path)), ())
    with pytest.raises(NotOfferedError, match="Smallest change cannot be had of this model"):
        executor.execute(request)


@pytest.mark.real
@pytest.mark.slow
def test_real_digits_flip_in_a_network_of_our_own_and_as_png(real_file, tmp_path, executor):
    weights = real_file("digit-recognizer-py", "digit_recognizer/models/handwriting_model.pth")
    digits = sorted(real_file("foolbox", "foolbox/data").glob("mnist_*.png"))[:3]
    source = ModelSource(file_at(weights))
    answer = executor.execute(
        Request("adversarial/smallest", source, tuple(map(file_at, digits)), options={"steps": 25})
    )
    network = Digits().eval()
    network.load_state_dict(torch.load(weights, weights_only=True))

    def asked(pixels):
        with torch.no_grad():
            return network((pixels - 0.1307) / 0.3081)

    for norm in ("l2", "linf"):
        assert judged_afresh(asked, answer, norm) == 3
    longest = [entry["l2"]["distance"] for entry in answer.scores["images"]]
    assert 0.2 < np.median(longest) < 3


class Digits(nn.Module):
    """The digits network, written out."""

    def __init__(self):
        super().__init__()
        sizes, layers = (1, 32, 64, 128), []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2)]
        self.conv_layers = nn.Sequential(*layers)
        self.fc_layers = nn.Sequential(nn.Linear(1152, 256), nn.ReLU(), nn.Linear(256, 10))

    def forward(self, values):
        return self.fc_layers(self.conv_layers(values).flatten(1))
