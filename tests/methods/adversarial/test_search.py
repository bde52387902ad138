"""Attacks as a person runs them: what is answered of each image, and whether it is true."""

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
from diagnostics.schema.results.adversarial import AdversarialAnswer
from tests.loaders import written
from tests.networks_for_tests import FunctionalResidual, classifier, mlp
from tests.results import conforms

LETTERS = ModelSource(samples.model_files()["letters_dense"])
ATTACKS = ["ddn", "deepfool", "lbfgs", "smallest"]


def run(name, model, files, target=None, **options):
    """Return an attack's outcome on files, which is what its type promises."""
    context = Context(model, files=files, target=target)
    outcome = find(f"adversarial/{name}").function(context, **options)
    outcome.check()
    conforms(AdversarialAnswer, outcome.scores)
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


def verify(logits, outcome, norm, target=None):
    """Hold every perturbation of an answer to a model; return how many there are.

    Args:
        logits: Computes them from pixels.
        outcome: The answer and its arrays.
        norm: Which perturbations.
        target: That the answer has.
    """
    count = 0
    for index, image in enumerate(outcome.scores["images"]):
        perturbation = image[norm]
        if not perturbation["is_adversarial"]:
            assert perturbation["distance"] is None
            assert perturbation["reason"]
            continue
        count += 1
        original, changed, picture = (
            outcome.arrays[f"{index}/{name}"]
            for name in ("pixels", f"{norm}/changed", f"{norm}/picture")
        )
        labels = [
            int(logits(torch.from_numpy(np.moveaxis(values, 2, 0))[None].float()).argmax())
            for values in (original, changed, picture.astype(np.float32) / np.float32(255))
        ]
        assert labels[0] == image["predicted"]
        flips = [label != labels[0] if target is None else label == target for label in labels[1:]]
        assert flips[0]
        assert flips[1] == perturbation["png_is_adversarial"]
        assert perturbation["top"][0]["index"] == labels[1]
        assert perturbation["png_top"][0]["index"] == labels[2]
        assert changed.min() >= 0
        assert changed.max() <= 1
        np.testing.assert_array_equal(picture, np.rint(changed * 255).astype(np.uint8))
        difference = outcome.arrays[f"{index}/{norm}/difference"]
        np.testing.assert_array_equal(difference, changed - original)
        assert perturbation["l2"] == pytest.approx(np.linalg.norm(difference), rel=1e-4)
        assert perturbation["linf"] == pytest.approx(np.abs(difference).max(), rel=1e-4)
        assert perturbation["distance"] == pytest.approx(perturbation[norm], rel=1e-3)
        differs = picture != np.rint(original * 255).astype(np.uint8)
        assert perturbation["changed_pixels"] == differs.any(2).sum()
        attacks = perturbation["attacks"]
        shortest = min(distance for distance in attacks.values() if distance is not None)
        assert perturbation["distance"] == shortest == attacks[perturbation["attack"]]
    return count


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("targeted", [False, True])
def test_every_change_that_is_answered_flips_in_a_fresh_pass(saved, channels, targeted):
    network, files = model(channels), saved(4, channels=channels)
    first = torch.from_numpy(np.asarray(Image.open(files[0].path)) / np.float32(255))
    logits = network.logits(first.reshape(1, 8, 8, channels).movedim(3, 1))
    target = int(logits[0].argsort(descending=True)[1]) if targeted else None
    outcome = run("smallest", network, files, target, steps=60)
    assert outcome.scores["complete"]
    hashes = [image["sha256"] for image in outcome.scores["images"]]
    assert hashes == [file.sha256 for file in files]
    for norm in ("l2", "linf"):
        assert verify(network.logits, outcome, norm, target) >= (1 if targeted else 4)


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_answers_alike(saved, name):
    network, files = model(), saved(2)
    outcome = run(name, network, files)
    if name != "smallest":
        for image in outcome.scores["images"]:
            assert image["linf"]["reason"] == "It was not looked for."
    assert verify(network.logits, outcome, "l2") == 2
    assert json.dumps(outcome.scores) == json.dumps(run(name, network, files).scores)


def test_the_best_of_several_attacks_is_no_worse_than_any_of_them(saved):
    network, files = model(), saved(3)
    best = run("smallest", network, files).scores["images"]
    for name in ("deepfool", "ddn"):
        others = run(name, network, files).scores["images"]
        for image, other in zip(best, others, strict=True):
            assert image["l2"]["distance"] <= other["l2"]["distance"] * (1 + 1e-6)


class SecondRival(nn.Module):
    """Class 1 is nearest by its logit and by its slope; class 2, once approached, is far nearer."""

    def forward(self, values):
        change = values.flatten(1) - 0.5
        first, second = change[:, :32].sum(1) / 32**0.5, change[:, 32:].sum(1) / 32**0.5
        zero = torch.zeros_like(first)
        steep = 20 * second.clamp_min(0) ** 2 + 0.2 * second - 2
        return torch.stack([zero, first - 1, steep, zero - 9], 1)


def test_a_nearer_class_that_is_not_first_at_the_image_is_found(tmp_path):
    path = tmp_path / "grey.png"
    Image.fromarray(np.full((8, 8), 128, np.uint8)).save(path)
    outcome = run("smallest", classifier(SecondRival(), 8), [file_at(path)], largest=False)
    (image,) = outcome.scores["images"]
    offset = (128 / 255 - 0.5) * 32**0.5
    nearest = (-0.2 + (0.04 + 160) ** 0.5) / 40 - offset
    assert image["l2"]["top"][0]["index"] == 2
    assert 1 <= image["l2"]["distance"] / nearest < 1.05
    assert verify(classifier(SecondRival(), 8).logits, outcome, "l2") == 1


def test_the_smallest_change_that_survives_8_bit_is_a_number_of_its_own(saved):
    network, files = model(), saved(4)
    outcome = run("smallest", network, files)
    for index, image in enumerate(outcome.scores["images"]):
        pixels = outcome.arrays[f"{index}/pixels"]
        for norm, order in (("l2", 2), ("linf", np.inf)):
            found, picture = image[norm]["in_8_bit"], outcome.arrays[f"{index}/{norm}/in_8_bit"]
            values = picture.astype(np.float32) / 255
            change = (values - pixels).ravel()
            assert found["distance"] == pytest.approx(np.linalg.norm(change, order), rel=1e-4)
            assert found["distance"] == found[norm]
            logits = network.logits(torch.from_numpy(np.moveaxis(values, 2, 0))[None])
            assert int(logits.argmax()) == found["top"][0]["index"] != image["predicted"]
            if image[norm]["png_is_adversarial"]:
                rounded = outcome.arrays[f"{index}/{norm}/picture"] / np.float32(255) - pixels
                assert found["distance"] <= 1.02 * np.linalg.norm(rounded.ravel(), order)


def test_logits_along_begin_at_the_image_and_flip_at_the_change(saved):
    outcome = run("smallest", model(), saved(1))
    logits, image = outcome.arrays["0/l2/logits"], outcome.scores["images"][0]
    assert logits.shape == (len(MULTIPLES), 4)
    assert outcome.scores["multiples"] == list(MULTIPLES)
    labels = logits.argmax(1)
    change = MULTIPLES.index(1.0)
    assert (labels[:change] == image["predicted"]).all()
    assert labels[change] == image["l2"]["top"][0]["index"]


def test_an_image_that_is_the_target_already_is_named(saved):
    network, files = model(), saved(3)
    label = run("ddn", network, files, steps=10).scores["images"][0]["predicted"]
    image = run("smallest", network, files, target=label, steps=20).scores["images"][0]
    assert image["target"] == image["predicted"] == label
    for norm in ("l2", "linf"):
        assert not image[norm]["is_adversarial"]
        assert image[norm]["distance"] is None
        assert f"says class {label} of this image already" in image[norm]["reason"]


def test_a_constant_model_gives_not_found_and_never_zero(saved):
    network = model()
    with torch.no_grad():
        network.network[3].weight.zero_()
    outcome = run("smallest", network, saved(2), steps=10)
    for image in outcome.scores["images"]:
        assert not image["l2"]["is_adversarial"]
        assert image["linf"]["distance"] is None
        assert "gradient is zero" in image["l2"]["reason"]
        assert image["l2"]["attacks"] == {"DeepFool": None, "DDN": None}
    assert not any(name.endswith("changed") for name in outcome.arrays)


def test_a_class_that_no_image_gets_is_not_found(saved):
    network = model()
    with torch.no_grad():
        network.network[3].bias[1] = -1e4
    outcome = run("smallest", network, saved(2), target=1, steps=10)
    for image in outcome.scores["images"]:
        assert not image["l2"]["is_adversarial"]
        assert "does not prove" in image["l2"]["reason"]


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
    outcome = run("smallest", classifier(Breaks(), 8), [files[0], file_at(white)], steps=20)
    first, second = outcome.scores["images"]
    assert first["l2"]["is_adversarial"]
    assert second["predicted"] is None
    assert second["top"] == []
    assert "not finite" in second["linf"]["reason"]


def test_one_class_no_image_and_no_such_class_are_refused(saved):
    with pytest.raises(InputError, match="one class"):
        run("smallest", classifier(mlp(classes=1), 8, 1, 1), saved(1))
    with pytest.raises(InputError, match="no image"):
        run("smallest", model(), [])
    with pytest.raises(OptionError, match="between 0 and 3"):
        run("smallest", model(), saved(1), target=9)


def test_an_image_that_cannot_be_read_is_left_out_and_noted(saved, tmp_path):
    (tmp_path / "bad.png").write_text("no image")
    outcome = run("ddn", model(), [file_at(tmp_path / "bad.png"), *saved(1)], steps=10)
    assert len(outcome.scores["images"]) == 1
    assert "bad.png" in " ".join(outcome.scores["notes"])


def test_what_an_attack_found_before_a_cancel_is_handed_on(saved):
    partial = []

    class CancelledError(Exception):
        pass

    def take(make):
        outcome = make()
        outcome.check()
        conforms(AdversarialAnswer, outcome.scores)
        partial.append(json.loads(json.dumps(outcome.scores)))
        if len(partial) == 2:
            raise CancelledError

    context = Context(model(), files=saved(2), partial=take)
    with pytest.raises(CancelledError):
        find("adversarial/smallest").function(context, steps=20)
    first, second = (answer["images"][0] for answer in partial)
    assert not partial[0]["complete"]
    assert first["l2"]["attacks"].keys() == {"DeepFool"}
    assert second["l2"]["distance"] <= first["l2"]["distance"]
    assert second["linf"]["reason"] == "It was not looked for."


def test_progress_rises_and_names_the_attack(saved):
    steps = []
    context = Context(
        model(), files=saved(2), progress=lambda doing, share: steps.append((doing, share))
    )
    find("adversarial/smallest").function(context, steps=20)
    shares = [share for doing, share in steps if doing != "Making what the network receives"]
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1
    assert any("DDN, Euclidean distance" in doing for doing, _ in steps)


@pytest.fixture(scope="module")
def executor():
    return Executor()


@pytest.mark.slow
def test_the_sample_letters_are_answered_and_the_network_is_left_as_it_was(executor):
    images = tuple(samples.image_files()[name] for name in ("letter-x-thin", "letter-p-thin"))
    request = Request(
        "adversarial/smallest", LETTERS, images, options={"steps": 30, "largest": False}
    )
    answer = executor.execute(request).scores
    for image in answer["images"]:
        assert image["l2"]["is_adversarial"]
        assert 0 < image["l2"]["distance"] < 5
        assert answer["classes"][image["predicted"]] == image["top"][0]["class"]
    targeted = Request("adversarial/ddn", LETTERS, images[:1], target=25, options={"steps": 25})
    image = executor.execute(targeted).scores["images"][0]
    assert image["l2"]["top"][0]["index"] == 25


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

    def logits(pixels):
        with torch.no_grad():
            return network((pixels - 0.1307) / 0.3081)

    for norm in ("l2", "linf"):
        assert verify(logits, answer, norm) == 3
    distances = [image["l2"]["distance"] for image in answer.scores["images"]]
    assert 0.2 < np.median(distances) < 3


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
