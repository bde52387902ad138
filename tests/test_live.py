"""The app on a network that lives in another process."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import diagnostics
from diagnostics.data.samples import folders, image_files
from diagnostics.errors import ImageError, ModelError, OptionError, WorkerCrashedError
from diagnostics.execution.executor import Executor
from diagnostics.live import _image_file, _stated
from diagnostics.loaders.open import open_live
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import INSPECT, File, ModelSource, Request
from diagnostics.schema.spec import read
from diagnostics.worker import Live, WorkerRunner
from diagnostics.worker.live import Listener
from tests.networks_for_tests import FunctionalResidual

IMAGE = image_files()["letter-x-fuzzy"]
SETTINGS = Preprocessing(fit="stretch", height=16, width=16, mean=(0.5,) * 3, std=(0.2,) * 3)


@pytest.fixture
def listening(tmp_path):
    network = FunctionalResidual(classes=4)
    source = ModelSource(File(str(tmp_path / "model"), "f" * 64, "Mine"))
    model = open_live(source, network, SETTINGS)
    listener = Listener(tmp_path / "model", Executor(lambda wanted, images: model))
    yield source, network, listener
    listener.close()


def test_it_answers_as_the_network_itself(listening, tmp_path):
    source, network, _ = listening
    runner = WorkerRunner(zygote=Live(tmp_path / "model"))
    result = runner.run(Request(INSPECT, source, (IMAGE,)))
    spec = read(result.scores["model"])
    assert (spec.name, spec.format, spec.preprocessing) == ("Mine", "module", SETTINGS)
    fed = torch.from_numpy(result.arrays["0/input"])[None] if "0/input" in result.arrays else None
    tops = result.scores["images"][0]["top"]
    assert len(tops) == 4
    if fed is not None:
        logits = network(fed)[0]
        assert [round(one["logit"], 4) for one in tops] == sorted(
            (round(float(one), 4) for one in logits), reverse=True
        )
    runner.close()


def test_two_sessions_are_answered_and_one_that_hangs_up_harms_nobody(listening, tmp_path):
    source, _, _ = listening
    runners = [WorkerRunner(zygote=Live(tmp_path / "model")) for _ in range(2)]
    asked = Request(INSPECT, source, (IMAGE,))
    first = runners[0].run(asked)
    runners[0].close()
    again = runners[1].run(asked)
    assert first.scores["images"][0]["top"] == again.scores["images"][0]["top"]
    runners[1].close()


def test_when_the_process_is_gone_the_page_says_so(listening, tmp_path):
    source, _, listener = listening
    listener.close()
    runner = WorkerRunner(zygote=Live(tmp_path / "model"))
    with pytest.raises(WorkerCrashedError, match="call show again"):
        runner.run(Request(INSPECT, source, (IMAGE,)))


def test_what_a_person_says_of_outputs_and_names_goes_with_the_network(tmp_path):
    (tmp_path / "names.json").write_text('{"1": 0, "10": 1, "2": 2}')
    stated = _stated(tmp_path / "names.json", "independent-logits")
    assert (stated.class_names, stated.output) == (("1", "10", "2"), "independent logits")
    network = FunctionalResidual(classes=3)
    spec = open_live(replace(stated, file=File("", "f" * 64, "Mine")), network, SETTINGS).spec
    assert (spec.class_names, spec.output) == (("1", "10", "2"), "independent logits")
    assert any("read as name, index" in check.message for check in spec.checks)
    with pytest.raises(OptionError, match="output must be one of"):
        _stated(None, "chances")


@pytest.mark.slow
def test_show_serves_a_copy_and_leaves_the_network_as_it_was():
    network = FunctionalResidual(classes=3).train()
    shown = diagnostics.show(
        network,
        [IMAGE.path, np.zeros((8, 8), np.uint8), Image.new("RGB", (4, 4))],
        classes=["a", "b", "c"],
        preprocessing=SETTINGS,
        folder=folders()["in_distribution"].path,
        block=False,
        browser=False,
    )
    with urllib.request.urlopen(shown.address) as reply:
        assert reply.status == 200
    begin = json.loads((Path(shown._folder.name) / "begin.json").read_text())
    assert begin["source"]["class_names"] == ["a", "b", "c"]
    assert [one["name"] for one in begin["images"]][1:] == ["image-1.png", "image-2.png"]
    names = {role: one and one["name"] for role, one in begin["folders"].items()}
    known = folders()["in_distribution"].name
    assert names == {"in_distribution": known, "out_of_distribution": None}
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    shown.close()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(shown.address)


def test_images_in_memory_are_written_as_they_are(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    file = _image_file(values, tmp_path / "a.png")
    assert np.array_equal(np.asarray(Image.open(file.path)), values)
    grey = _image_file(values[..., :1] / 255, tmp_path / "b.png")
    assert np.array_equal(np.asarray(Image.open(grey.path)), values[..., 0])


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(5),
        np.zeros((2, 3, 4, 4)),
        np.zeros((4, 4, 7)),
        np.full((4, 4), 1.5),
        np.zeros((0, 4)),
    ],
)
def test_what_is_no_image_is_named(tmp_path, values):
    with pytest.raises(ImageError):
        _image_file(values, tmp_path / "a.png")


def test_what_is_no_classifier_is_named():
    with pytest.raises(ModelError, match="does not run on images"):
        diagnostics.show(nn.Linear(2, 3), browser=False)
    with pytest.raises(ModelError, match=r"4, \d+, \d+"):
        diagnostics.show(nn.Conv2d(3, 4, 3), browser=False)
