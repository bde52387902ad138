"""Models that answer together are a model like any other; how far they agree is a closed form."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from diagnostics.data import samples
from diagnostics.errors import ModelError
from diagnostics.execution.local import LocalRunner
from diagnostics.loaders.open import open_model
from diagnostics.metrics.agreement import agreement
from diagnostics.schema.request import INSPECT, OPEN, File, ModelSource, Request
from diagnostics.schema.spec import Need
from diagnostics.worker import WorkerRunner

CONV, DENSE = (ModelSource(samples.model_files()[f"letters_{kind}"]) for kind in ("conv", "dense"))
BOTH = replace(CONV, others=(DENSE,))
X = samples.image_files()["letter-x-fuzzy"]


def test_an_ensemble_answers_with_the_mean_of_its_members_logits():
    pixels = torch.rand(4, 1, 28, 28)
    first, second, both = (open_model(source, ()).classifier() for source in (CONV, DENSE, BOTH))
    mean = (first.logits(pixels) + second.logits(pixels)) / 2
    assert torch.allclose(both.logits(pixels), mean, atol=1e-4)
    pixels = pixels.requires_grad_()
    (gradient,) = torch.autograd.grad(both.logits(pixels)[:, 3].sum(), pixels)
    (expected,) = torch.autograd.grad(
        (first.logits(pixels) + second.logits(pixels))[:, 3].sum() / 2, pixels
    )
    assert torch.allclose(gradient, expected, atol=1e-4)


def test_methods_run_on_it_and_features_of_one_member_are_not_offered():
    answer = LocalRunner().run(
        Request(INSPECT, BOTH, (X,), options={"attributions": ("attribution/grad_cam",)})
    )
    (image,) = answer.scores["images"]
    assert image["top"][0]["class"] == "x"
    (map_,) = image["attributions"]
    assert map_["layer"] == "members.0.pool3"  # not where a member's mean is subtracted
    assert np.isfinite(answer.arrays[f"0/{map_['array']}"]).all()
    assert answer.arrays[f"0/{map_['array']}"].any()
    names = {layer["name"] for layer in image["layers"]}
    assert {"members.0.conv1", "members.1.fc1"} <= names
    assert not {Need.FEATURES, Need.HEAD} & set(answer.scores["model"]["offers"])
    assert answer.scores["model"]["name"] == "letters_conv + letters_dense"


def test_a_worker_opens_all_members_and_nothing_else():
    runner = WorkerRunner()
    try:
        top = runner.run(Request(INSPECT, BOTH, (X,))).scores["images"][0]["top"][0]
        expected = LocalRunner().run(Request(INSPECT, BOTH, (X,))).scores["images"][0]["top"][0]
        assert top["logit"] == pytest.approx(expected["logit"], abs=1e-4)
    finally:
        runner.close()


def test_its_key_is_that_of_its_members_in_their_order():
    key = Request(OPEN, BOTH).key
    assert key != Request(OPEN, CONV).key
    assert key != Request(OPEN, replace(DENSE, others=(CONV,))).key
    elsewhere = replace(DENSE, file=replace(DENSE.file, path="/elsewhere", name="other"))
    assert key == Request(OPEN, replace(CONV, others=(elsewhere,))).key
    assert BOTH.sha256 not in (CONV.sha256, DENSE.sha256)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"class_names": tuple("zyxwvutsrqponmlkjihgfedcba")}, "name their classes differently"),
        ({"output": "independent logits"}, "mean different things by their outputs"),
        ({"class_names": None}, "an ensemble needs models of the same classes"),
    ],
)
def test_members_that_do_not_fit_are_named(tmp_path, change, words):
    second = DENSE
    if "class_names" in change and change["class_names"] is None:
        tensors = load_file(DENSE.file.path)
        last = [name for name, value in tensors.items() if len(value) == 26]
        path = tmp_path / "fewer.safetensors"
        save_file({n: v[:25].clone() if n in last else v for n, v in tensors.items()}, path)
        second = ModelSource(File(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), "few"))
    with pytest.raises(ModelError, match=words):
        open_model(replace(CONV, others=(replace(second, **change),)), ())


def test_independent_outputs_stay_independent():
    first, second = (replace(source, output="independent logits") for source in (CONV, DENSE))
    assert open_model(replace(first, others=(second,)), ()).spec.output == "independent logits"


def test_doubt_is_split_into_the_models_own_and_what_is_between_them():
    sure = [40.0, 0.0, 0.0]
    agreed = agreement(np.array([[sure], [sure]]))
    assert agreed.total == pytest.approx([0], abs=1e-12)
    assert agreed.unanimous.tolist() == [True]
    split = agreement(np.array([[sure], [[0.0, 40.0, 0.0]]]))
    assert split.total == pytest.approx([math.log(2)])
    assert split.expected == pytest.approx([0], abs=1e-12)
    assert split.disagreement == pytest.approx([math.log(2)])
    assert split.unanimous.tolist() == [False]
    doubting = agreement(np.zeros((2, 1, 3)))
    assert doubting.expected == pytest.approx([math.log(3)])
    assert doubting.disagreement == pytest.approx([0], abs=1e-12)


def test_saturated_logits_give_finite_figures():
    spread = agreement(np.array([[[3000.0, 0.0]], [[0.0, 3000.0]]]))
    assert np.isfinite([spread.total, spread.expected, spread.disagreement]).all()
