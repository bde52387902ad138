"""From a request to its answer: whole inspections of small, known networks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diagnostics.data import samples
from diagnostics.data.image import decode, encode_png
from diagnostics.errors import InputError, NotOfferedError, OptionError
from diagnostics.execution.executor import Executor
from diagnostics.execution.inspection import InspectionRequest, explain, inspect
from diagnostics.methods.context import Outcome
from diagnostics.methods.registry import Method
from diagnostics.models.sample_networks import LettersConv
from diagnostics.schema.options import MethodInfo
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import (
    FIELD,
    INSPECT,
    OPEN,
    READ,
    STRONGEST,
    File,
    ModelSource,
    Request,
)
from diagnostics.schema.results.inspection import (
    FieldAnswer,
    InspectAnswer,
    OpenAnswer,
    ReadAnswer,
)
from diagnostics.schema.spec import ModelSpec, describe, read
from tests.networks_for_tests import FunctionalResidual, classifier, linear
from tests.results import conforms

LETTERS = samples.model_files()["letters_conv"]
IMAGES = samples.image_files()


@pytest.fixture(scope="module")
def executor():
    return Executor()


@pytest.fixture
def answer(executor):
    def ask(method=INSPECT, images=("letter-x-fuzzy",), model=None, **rest):
        files = tuple(IMAGES[image] if isinstance(image, str) else image for image in images)
        return executor.execute(Request(method, ModelSource(model or LETTERS), files, **rest))

    return ask


@pytest.fixture
def saved(tmp_path):
    def save(content, name):
        path = tmp_path / name
        path.write_bytes(content) if isinstance(content, bytes) else content.save(path)
        return File(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), name)

    return save


def letters():
    """The sample network, built and fed here without anything of the product's."""
    from safetensors.torch import load_file

    network = LettersConv()
    network.load_state_dict(load_file(LETTERS.path))
    return network.eval()


def network_input(name):
    """What the card says the network wants: grey in [0, 1], minus 0.2374, over 0.3427."""
    grey = np.asarray(Image.open(IMAGES[name].path).convert("L"), dtype=np.float32) / 255
    return torch.from_numpy((grey - 0.2374) / 0.3427)[None, None].float()


def test_the_answer_is_the_networks_own(answer):
    names = ("letter-x-fuzzy", "letter-p-thin", "noise-uniform")
    result = answer(images=names)
    network = letters()
    for index, (name, entry) in enumerate(zip(names, result.scores["images"], strict=True)):
        with torch.no_grad():
            truth = network(network_input(name))[0].double()
        np.testing.assert_allclose(result.arrays[f"{index}/logits"], truth, atol=1e-4)
        chances = truth.softmax(0)
        for score in entry["top"]:
            assert score["probability"] == pytest.approx(float(chances[score["index"]]), abs=1e-4)
            assert score["class"] == "abcdefghijklmnopqrstuvwxyz"[score["index"]]
        assert entry["top"][0]["index"] == int(truth.argmax())


def test_activations_are_those_of_the_network(answer):
    result = answer(options={"layers": ("conv2", "relu2", "fc2")})
    network, outputs = letters(), {}
    for name in ("conv2", "relu2", "fc2"):
        network.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: outputs.__setitem__(name, output.clone())
        )
    with torch.no_grad():
        network(network_input("letter-x-fuzzy"))
    layers = {entry["name"]: entry for entry in result.scores["images"][0]["layers"]}
    for name, truth in ((name, value[0].numpy()) for name, value in outputs.items()):
        entry = layers[name]
        values = result.arrays[f"0/{entry['picture']}"]
        order = entry["channels"] or slice(None)
        np.testing.assert_allclose(values, truth[order], atol=1e-4)
        assert entry["low"] == pytest.approx(truth.min(), abs=1e-4)
        assert entry["high"] == pytest.approx(truth.max(), abs=1e-4)
        assert entry["mean"] == pytest.approx(truth.mean(), abs=1e-4)
        assert entry["std"] == pytest.approx(truth.std(), abs=1e-4)
        assert entry["zeros"] == pytest.approx((truth == 0).mean(), abs=1e-6)
    strengths = [np.abs(outputs["conv2"][0].numpy())[c].mean() for c in layers["conv2"]["channels"]]
    assert strengths == sorted(strengths, reverse=True)


def test_several_images_get_the_answers_they_get_alone(answer):
    names = ("letter-x-fuzzy", "noise-uniform", "blank-black")
    together = answer(images=names)
    for index, name in enumerate(names):
        alone = answer(images=(name,))
        np.testing.assert_allclose(
            together.arrays[f"{index}/logits"], alone.arrays["0/logits"], atol=1e-4
        )
        np.testing.assert_allclose(
            together.arrays[f"{index}/attribution/0"], alone.arrays["0/attribution/0"], atol=1e-4
        )


@pytest.fixture
def calls(monkeypatch):
    """What runs the network, call by call: "inspect" or "explain", about how many images."""
    calls = []

    def counted(function):
        def counting(classifier, pixels, settings):
            calls.append((function.__name__, len(pixels)))
            return function(classifier, pixels, settings)

        return counting

    monkeypatch.setattr("diagnostics.execution.inspection_cache.inspect", counted(inspect))
    monkeypatch.setattr("diagnostics.execution.inspection_cache.explain", counted(explain))
    return calls


def test_many_images_are_asked_a_few_at_a_time(answer, calls, saved):
    values = np.random.default_rng(7).integers(0, 256, (21, 28, 28), dtype=np.uint8)
    files = [saved(encode_png(pixels), f"{index}.png") for index, pixels in enumerate(values)]
    entries = answer(images=files).scores["images"]
    assert calls == [("inspect", 8), ("inspect", 8), ("inspect", 5)]
    assert [entry["file"] for entry in entries] == [file.name for file in files]


def test_one_more_image_costs_no_more_than_itself(calls):
    names = ("letter-x-fuzzy", "noise-uniform", "blank-black")
    files = tuple(IMAGES[name] for name in names)
    executor = Executor()
    first = executor.execute(Request(INSPECT, ModelSource(LETTERS), files[:2]))
    before = json.dumps(first.scores)
    more = executor.execute(Request(INSPECT, ModelSource(LETTERS), files))
    assert calls == [("inspect", 2), ("inspect", 1)]
    assert json.dumps(first.scores) == before
    alone = Executor().execute(Request(INSPECT, ModelSource(LETTERS), files))
    for index, name in enumerate(names):
        entry, truth = (result.scores["images"][index] for result in (more, alone))
        assert entry["file"] == f"{name}.png"
        assert entry["top"][0]["class"] == truth["top"][0]["class"]
        assert [layer["silent"] for layer in entry["layers"]] == [
            layer["silent"] for layer in truth["layers"]
        ]
        np.testing.assert_allclose(
            more.arrays[f"{index}/logits"], alone.arrays[f"{index}/logits"], atol=1e-4
        )


def test_only_what_is_not_known_is_asked(calls):
    executor, known = Executor(), (IMAGES["letter-x-fuzzy"],)
    spec = read(executor.execute(Request(OPEN, ModelSource(LETTERS))).scores["model"])
    inverted = replace(spec.preprocessing, invert=True)
    gradient = {"attributions": ("attribution/gradient?signed=true",)}
    for rest, expected in (
        ({}, ("inspect", 1)),
        ({}, None),
        ({"target": 3}, ("explain", 1)),
        ({"target": 3, "against": 5}, ("explain", 1)),
        ({"options": gradient}, ("explain", 1)),
        ({"target": 3}, None),
        ({"options": {"top": 3}}, ("inspect", 1)),
        ({"preprocessing": inverted}, ("inspect", 1)),
    ):
        calls.clear()
        result = executor.execute(Request(INSPECT, ModelSource(LETTERS), known, **rest))
        assert calls == ([expected] if expected else [])
        alone = Executor().execute(Request(INSPECT, ModelSource(LETTERS), known, **rest))
        assert result.scores == alone.scores
        assert result.arrays.keys() == alone.arrays.keys()
        for name, values in alone.arrays.items():
            np.testing.assert_allclose(result.arrays[name], values, atol=1e-4)


def test_an_answer_may_be_written_to_without_changing_the_next():
    executor = Executor()
    request = Request(INSPECT, ModelSource(LETTERS), (IMAGES["letter-x-fuzzy"],), target=2)
    first, expected = executor.execute(request), Executor().execute(request)
    for values in first.arrays.values():
        values[...] = 0
    first.scores["images"][0]["top"][0]["class"] = "mine"
    first.scores["images"][0]["preprocessing"][0]["mean"][0] = 7
    again = executor.execute(request)
    assert again.scores == expected.scores
    for name, values in expected.arrays.items():
        np.testing.assert_allclose(again.arrays[name], values, atol=1e-4)


def test_images_draw_the_leaders_maps_also_when_only_some_are_remembered(monkeypatch):
    monkeypatch.setattr("diagnostics.execution.executor.MAX_BATCH", 2)
    options = {"layers": ("relu2",), "attributions": (), "shared_maps": True, "maps": 5}
    names = ("letter-x-fuzzy", "letter-p-fuzzy", "noise-uniform", "blank-grey")
    files = tuple(IMAGES[name] for name in names)
    executor = Executor()

    def channels(images):
        request = Request(INSPECT, ModelSource(LETTERS), images, options=options)
        entries = executor.execute(request).scores["images"]
        layers = [layer for image in entries for layer in image["layers"]]
        return [layer["channels"] for layer in layers if layer["name"] == "relu2"]

    (first,) = channels(files[:1])
    assert channels(files) == [first] * 4
    (other,) = channels(files[2:3])
    assert other != first
    assert channels((files[2], files[0])) == [other] * 2


def test_a_file_that_comes_back_is_read_and_an_error_names_its_own_file(executor, tmp_path):
    content = Path(IMAGES["letter-x-fuzzy"].path).read_bytes()
    path = tmp_path / "late.png"
    late = File(str(path), "5" * 64, "late.png")
    request = Request(INSPECT, ModelSource(LETTERS), (late,))
    assert "no longer there" in executor.execute(request).scores["images"][0]["error"]
    path.write_bytes(content)
    assert executor.execute(request).scores["images"][0]["error"] is None
    bad = tmp_path / "bad"
    bad.write_bytes(b"no image")
    for name in ("one.png", "two.png"):
        request = Request(INSPECT, ModelSource(LETTERS), (File(str(bad), "6" * 64, name),))
        assert name in executor.execute(request).scores["images"][0]["error"]


def test_a_bad_image_does_not_spoil_the_others(answer, saved):
    bad = saved(b"no image at all", "bad.png")
    alone = answer(images=("letter-x-fuzzy",)).scores["images"][0]["top"]
    entries = answer(images=(bad, "letter-x-fuzzy", bad)).scores["images"]
    assert [bool(entry["error"]) for entry in entries] == [True, False, True]
    assert entries[0]["top"] == []
    assert entries[1]["top"][0]["class"] == alone[0]["class"]


def test_a_folder_that_is_there_is_not_called_gone(answer, tmp_path):
    folder = File(str(tmp_path), "0" * 64, "holiday")
    gone = File(str(tmp_path / "cat.png"), "1" * 64, "cat.png")
    entries = answer(images=(folder, gone)).scores["images"]
    assert entries[0]["error"] == "holiday is a folder; give the images in it."
    assert entries[1]["error"] == "cat.png is no longer there; add it again."


def test_only_bad_images_are_answered_too(answer, saved):
    entries = answer(images=(saved(b"no", "bad.png"),)).scores["images"]
    assert "bad.png" in entries[0]["error"]
    assert entries[0]["layers"] == entries[0]["attributions"] == []


def test_no_image_is_an_empty_answer(answer):
    assert answer(images=()).scores["images"] == []


def test_a_target_is_explained_and_not_the_top_class(answer):
    entry = answer(target=3).scores["images"][0]
    assert {heatmap["target"] for heatmap in entry["attributions"]} == {3}
    assert answer().scores["images"][0]["attributions"][0]["target"] == entry["top"][0]["index"]


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ({"target": 26}, "between 0 and 25; got 26"),
        ({"options": {"layers": ("conv9",)}}, "no layer 'conv9'"),
        ({"options": {"attributions": ("attribution/guess",)}}, "guess"),
        ({"options": {"attributions": ("attribution/grad_cam?layer=conv9",)}}, "conv9"),
        ({"options": {"attributions": ("attribution/grad_cam?colour=red",)}}, "colour"),
        ({"method": "attribution/guess"}, "guess"),
    ],
    ids=["target", "layer", "method", "method's layer", "method's option", "request"],
)
def test_what_does_not_exist_is_named(answer, rest, words):
    with pytest.raises(OptionError, match=words):
        answer(**rest)


def test_a_single_method_gives_the_map_that_inspect_gives(answer):
    """Each asks the network anew; only what they share is saved."""
    single = answer("attribution/grad_cam", options={"layer": "conv2"})
    both = answer(
        options={"attributions": ("attribution/gradient", "attribution/grad_cam?layer=conv2")}
    )
    np.testing.assert_allclose(
        single.arrays["0/attribution/0"], both.arrays["0/attribution/1"], atol=1e-6
    )


def test_the_strongest_other_class_is_picked_at_the_image_and_stays(answer):
    """DeepLift and integrated gradients compare with a baseline, where another class may lead."""
    names = ("letter-x-fuzzy", "letter-p-thin", "letter-p-fuzzy", "noise-uniform")
    for method, options in (
        ("attribution/deep_lift", {"baseline": "grey"}),
        ("attribution/integrated_gradients", {"steps": 8, "baseline": "white"}),
    ):
        rest = {"method": method, "options": options}
        together = answer(images=names, against=STRONGEST, **rest)
        for index, name in enumerate(names):
            logits = together.arrays[f"{index}/logits"]
            rival = int(np.argsort(logits)[-2])
            (entry,) = together.scores["images"][index]["attributions"]
            assert entry["note"] == ""
            alone = answer(images=(name,), against=rival, **rest)
            np.testing.assert_allclose(
                together.arrays[f"{index}/attribution/0"],
                alone.arrays["0/attribution/0"],
                atol=1e-4,
            )


def test_changed_preprocessing_changes_what_the_network_receives(answer):
    settings = read(answer(OPEN, images=()).scores["model"]).preprocessing
    inverted = Preprocessing(**{**vars(settings), "invert": True})
    stages = answer(preprocessing=inverted).scores["images"][0]["preprocessing"]
    plain = answer().scores["images"][0]["preprocessing"]
    received, usual = (
        [entry for entry in entries if not entry["signed"]][-1] for entries in (stages, plain)
    )
    assert received["mean"][0] == pytest.approx(1 - usual["mean"][0], abs=1e-6)


def test_an_image_is_decoded_once_for_many_questions(monkeypatch):
    decoded = []

    def counting(content, name):
        decoded.append(name)
        return decode(content, name)

    monkeypatch.setattr("diagnostics.execution.executor.decode", counting)
    executor = Executor()
    files = tuple(IMAGES[name] for name in ("letter-x-fuzzy", "noise-uniform"))
    first = executor.execute(Request(INSPECT, ModelSource(LETTERS), files))
    decoded.clear()
    again = executor.execute(Request(INSPECT, ModelSource(LETTERS), files, target=3))
    assert decoded == []
    stages = [image["preprocessing"] for image in first.scores["images"]]
    assert [image["preprocessing"] for image in again.scores["images"]] == stages


def test_the_spec_is_the_same_after_its_journey(answer):
    described = answer(OPEN, images=()).scores["model"]
    spec = read(described)
    assert isinstance(spec, ModelSpec)
    assert describe(spec) == described


def test_equal_requests_have_equal_keys_whatever_the_files_are_called():
    def key(path="/a", name="a.png", **rest):
        return Request(
            INSPECT, ModelSource(File(path, "1", name)), (File(path, "2", name),), **rest
        ).key

    assert key() == key("/b", "b.png")
    different = {
        key(),
        key(target=1),
        key(seed=1),
        key(options={"top": 1}),
        key(preprocessing=Preprocessing()),
        Request(INSPECT, ModelSource(File("/a", "1", "a"), "x"), (File("/a", "2", "a"),)).key,
        Request(INSPECT, ModelSource(File("/a", "1", "a"), None, ("x",))).key,
        Request(INSPECT, ModelSource(File("/a", "9", "a")), (File("/a", "2", "a"),)).key,
        Request(INSPECT, ModelSource(File("/a", "1", "a")), (File("/a", "9", "a"),)).key,
    }
    assert len(different) == 9


def test_progress_counts_the_images_while_they_are_read():
    """Eight huge photos take longer to read than to ask about: the bar stood still meanwhile."""
    reports = []
    files = tuple(list(IMAGES.values())[:8])
    Executor().execute(Request(INSPECT, ModelSource(LETTERS), files), reports.append)
    reading = [report for report in reports if report.activity.startswith("Reading image ")]
    assert [report.activity for report in reading] == [
        f"Reading image {n} of 8" for n in range(1, 9)
    ]
    assert all(later.done > report.done for report, later in pairwise(reading))


def test_what_cannot_be_read_is_said_without_opening_a_model(saved):
    bad = saved(b"no image", "notes.png")
    request = Request(
        READ, ModelSource(File("nowhere", "0" * 64, "none")), (IMAGES["letter-x-thin"], bad)
    )
    scores = Executor().execute(request).scores
    conforms(ReadAnswer, scores)
    assert scores["images"][0]["error"] is None
    assert "notes.png is no image that can be recognised" in scores["images"][1]["error"]


def test_progress_tells_what_is_done_and_never_goes_back(executor):
    reports = []
    request = Request(INSPECT, ModelSource(LETTERS), (IMAGES["letter-x-fuzzy"],))
    Executor().execute(request, reports.append)
    shares = [progress.done for progress in reports]
    assert shares == sorted(shares)
    assert len({progress.activity for progress in reports}) >= 4
    assert all(p.seconds_left >= 0 for p in reports if p.seconds_left is not None)


class Poisoned(torch.nn.Module):
    """Gives no number for a bright image."""

    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(16, 4)

    def forward(self, values):
        logits = self.fc(values.flatten(1))
        return torch.where(values.mean((1, 2, 3))[:, None] > 0.9, logits / 0, logits)


def test_logits_that_are_no_numbers_give_a_sentence_and_no_ranking():
    model = classifier(Poisoned(), 4)
    pixels = torch.stack([torch.full((1, 4, 4), 0.2), torch.ones(1, 4, 4)])
    fine, poisoned = inspect(model, pixels, InspectionRequest())
    assert fine.forward.top
    assert not fine.forward.warnings
    assert poisoned.forward.top == []
    assert "4 of 4 outputs are not finite numbers" in poisoned.forward.warnings[0]
    assert poisoned.attributions.entries[0]["picture"] is None
    assert poisoned.attributions.entries[0]["note"]


def test_a_layer_that_never_ran_is_not_captured():
    model = classifier(FunctionalResidual(classes=4), 8, 3)
    (result,) = inspect(model, torch.rand(1, 3, 8, 8), InspectionRequest(layers=("all",)))
    entries = [layer.entry for layer in result.forward.layers]
    unused = next(entry for entry in entries if entry["name"] == "unused")
    assert unused["layout"] == "not captured"
    assert unused["picture"] is None


def test_a_method_that_the_model_cannot_answer_leaves_a_note_beside_the_others():
    model = classifier(linear(), 4)
    (result,) = inspect(model, torch.rand(1, 1, 4, 4), InspectionRequest())
    gradient, cam = result.attributions.entries
    assert gradient["picture"]
    assert cam["picture"] is None
    assert cam["note"]


def test_a_method_that_the_model_cannot_answer_says_so_alone(answer, saved, tmp_path):
    dense = samples.model_files()["letters_dense"]
    with pytest.raises((NotOfferedError, InputError)):
        answer("attribution/grad_cam", model=dense)


def test_inspecting_leaves_the_network_as_it_was():
    torch.manual_seed(0)
    network = FunctionalResidual(classes=4)
    model = classifier(network, 8, 3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    inspect(model, torch.rand(2, 3, 8, 8), InspectionRequest(layers=("all",)))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not any(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_half_a_second_person_changes_nothing_for_the_first(saved):
    """Two models of two executors do not share what they remember."""
    first, second = Executor(), Executor()
    request = Request(INSPECT, ModelSource(LETTERS), (IMAGES["letter-x-fuzzy"],))
    other = Request(
        INSPECT, ModelSource(samples.model_files()["letters_dense"]), (IMAGES["noise-uniform"],)
    )
    before = first.execute(request).arrays["0/logits"]
    second.execute(other)
    np.testing.assert_array_equal(first.execute(request).arrays["0/logits"], before)


def test_huge_grey_transparent_and_tiny_images_are_answered(answer, saved):
    files = (
        saved(Image.new("L", (3000, 40), 90), "wide.png"),
        saved(Image.new("RGBA", (30, 30), (255, 0, 0, 0)), "clear.png"),
        saved(Image.new("1", (1, 1)), "dot.png"),
        saved(Image.new("I;16", (30, 30), 40000), "deep.png"),
    )
    entries = answer(images=files).scores["images"]
    assert all(entry["top"] for entry in entries)
    assert any("aspect" in warning for warning in entries[0]["warnings"])


def test_all_batches_draw_the_maps_of_the_first_image(monkeypatch):
    monkeypatch.setattr("diagnostics.execution.executor.MAX_BATCH", 2)
    known = samples.image_files()
    files = tuple(known[name] for name in ("letter-x-fuzzy", "letter-p-thin", "noise-uniform"))
    options = {"layers": ("relu2",), "attributions": (), "shared_maps": True, "maps": 5}
    request = Request(INSPECT, ModelSource(LETTERS), files, options=options)
    answer = Executor().execute(request)
    drawn = [
        next(layer for layer in image["layers"] if layer["name"] == "relu2")["channels"]
        for image in answer.scores["images"]
    ]
    assert drawn[0] == drawn[1] == drawn[2]
    assert len(drawn[0]) == 5


def test_a_method_is_given_target_and_seed_and_tells_what_is_there_so_far(executor, monkeypatch):
    calls = []

    def work(context):
        calls.append((context.target, context.seed))
        for step in range(3):
            context.progress("Working", step / 3)
            outcome = Outcome({"step": step, "complete": False}, {"a": np.full(1, step)})
            context.partial(lambda outcome=outcome: outcome)
        return Outcome({"complete": True})

    method = Method(MethodInfo("topic/work", "analysis", "Work", "", ""), work, lambda spec: 1)
    monkeypatch.setattr("diagnostics.execution.executor.find", lambda identity: method)
    reports = []
    request = Request("topic/work", ModelSource(LETTERS), target=4, seed=9)
    result = executor.execute(request, reports.append)
    assert calls == [(4, 9)]
    assert result.scores["complete"] is True
    (early,) = [report.partial for report in reports if report.partial]  # a moment later is no news
    assert early.key == request.key
    assert early.scores["step"] == 0
    assert early.scores["model"]["name"] == LETTERS.name
    assert early.arrays["a"] == 0


def test_answers_are_what_their_types_promise(answer, saved, tmp_path):
    bad = saved(b"no image", "bad.png")
    everything = {"layers": ("all",), "attributions": ("attribution/gradient",)}
    conforms(OpenAnswer, answer(OPEN).scores)
    conforms(InspectAnswer, answer(images=("letter-x-fuzzy", bad), options=everything).scores)
    conforms(InspectAnswer, answer("attribution/grad_cam").scores)
    for row in (0, 27):
        cell = {"layer": "conv1", "row": row, "column": 3}
        conforms(FieldAnswer, answer(FIELD, images=(), options=cell).scores)


def test_what_a_method_measured_of_the_model_outlives_other_questions(executor):
    source, image = ModelSource(LETTERS), IMAGES["letter-x-fuzzy"]
    why = Request("diagnosis/why", source, (image,), folder=samples.known_good(LETTERS))
    first = executor.execute(why).scores
    executor.execute(Request("noise/noise", source, (image,), options={"draws": 16}))
    again = executor.execute(why).scores
    assert first["remembered"] == 0
    assert again["remembered"] > 0
    assert again["passes"] < first["passes"] / 2
    assert again["images"] == first["images"]
