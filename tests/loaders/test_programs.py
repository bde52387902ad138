"""Exported programs and TorchScript: the answers, layers and gradients of the network itself."""

from __future__ import annotations

import json
import zipfile

import pytest
import torch
from torch import nn
from torch.nn import functional

from diagnostics.data.samples import image_files
from diagnostics.errors import ModelError
from diagnostics.loaders import pt2, torchscript
from diagnostics.loaders.open import open_model
from diagnostics.loaders.registry import recognise
from diagnostics.models.layers import capture
from diagnostics.schema.request import INSPECT, OPEN, File, ModelSource, Request
from diagnostics.schema.spec import Need
from diagnostics.worker import WorkerRunner
from tests.loaders import written
from tests.networks_for_tests import EXPORTED, EXPORTED_PARAMS, QUICK, FunctionalResidual, vit

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WRITERS = {
    "pt2, any number": written.pt2,
    "pt2, one image": lambda *arguments: written.pt2(*arguments, batch=1),
    "pt2, two images": lambda *arguments: written.pt2(*arguments, batch=2),
    "pt2, decomposed": lambda *arguments: written.pt2(*arguments, decomposed=True),
    "traced": written.torchscript,
    "scripted": lambda *arguments: written.torchscript(*arguments, scripted=True),
}


def source(path, programs=True):
    return ModelSource(File(str(path), "0" * 64, path.name), programs=programs)


def network_and_shape(name):
    torch.manual_seed(0)
    make, shape = EXPORTED[name]
    return make().eval(), shape


def checks_of(spec, name):
    return [check for check in spec.checks if check.name == name]


@pytest.mark.parametrize("writer", ["pt2, any number", "pt2, decomposed", "traced", "scripted"])
@pytest.mark.parametrize("name", EXPORTED_PARAMS)
def test_logits_and_gradients_are_those_of_the_network(tmp_path, name, writer):
    answers_as_the_network(tmp_path, name, writer)


@pytest.mark.parametrize("writer", ["pt2, one image", "pt2, two images"])
@pytest.mark.parametrize("name", QUICK)
def test_a_program_of_so_many_images_answers_any_number(tmp_path, name, writer):
    answers_as_the_network(tmp_path, name, writer)


def answers_as_the_network(tmp_path, name, writer):
    network, shape = network_and_shape(name)
    path = WRITERS[writer](network, shape, tmp_path / "model")
    read = pt2.read if "pt2" in writer else torchscript.read
    assert recognise(path).read is read
    opened = read(path).network
    images = torch.rand(3, *shape, requires_grad=True)
    theirs, ours = network(images), opened(images)
    assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()
    expected, found = (
        torch.autograd.grad(scores[:, 1].sum(), images)[0] for scores in (theirs, ours)
    )
    assert (found - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize("writer", ["pt2, any number", "pt2, one image", "pt2, decomposed"])
def test_an_exported_program_has_the_layers_of_its_modules_under_their_names(tmp_path, writer):
    network = FunctionalResidual(classes=4).eval()
    nn.init.normal_(network.norm.running_mean)
    path = WRITERS[writer](network, (3, 16, 16), tmp_path / "model")
    opened = pt2.read(path).network
    images = torch.rand(3, 3, 16, 16)
    with torch.no_grad(), capture(network) as theirs:
        network(images)
    with torch.no_grad(), capture(opened) as ours:
        opened(images)
    for layer in ("stem", "norm", "act", "body", "add", "relu", "mean"):
        assert torch.allclose(ours[layer], theirs[layer], atol=1e-5), layer


@pytest.mark.slow
@pytest.mark.parametrize("writer", WRITERS)
def test_attention_is_offered_wherever_layers_are(tmp_path, writer):
    network = vit().eval()
    model = open_model(source(WRITERS[writer](network, (3, 16, 16), tmp_path / "model")), ())
    layers = {layer.kind for layer in model.spec.layers}
    assert (Need.ATTENTION in model.spec.offers) == ("attention" in layers) == bool(layers)
    assert bool(layers) == (writer not in ("pt2, two images", "scripted"))
    if layers:
        images = torch.rand(2, 3, 16, 16)
        with torch.no_grad(), capture(network) as theirs:
            network(images)
        with torch.no_grad(), capture(model.network) as ours:
            model.network(images)
        expected, found = (
            [
                one
                for name, one in activations.items()
                if ".attention" in f".{name}" and one.ndim == 4
            ]
            for activations in (theirs, ours)
        )
        assert len(found) == len(expected) > 0
        for one, other in zip(found, expected, strict=True):
            assert torch.allclose(one, other, atol=1e-6)


class Branches(nn.Module):
    """What it computes depends on the image."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 4)

    def forward(self, images):
        means = images.mean((2, 3))
        if bool(means.sum() > 0):
            return self.fc(means)
        return self.fc(-means)


def test_a_program_that_branches_answers_itself_and_says_why_layers_are_missing(tmp_path):
    network = Branches().eval()
    path = written.torchscript(network, (3, 8, 8), tmp_path / "model", scripted=True)
    model = open_model(source(path), ())
    assert model.spec.offers == {Need.GRADIENTS}
    assert "its layers cannot be shown" in checks_of(model.spec, "layers")[0].message
    for sign in (1, -1):
        images = sign * torch.rand(2, 3, 8, 8)
        assert torch.allclose(model.network(images), network(images), atol=1e-6)
    assert model.spec.parameters == 16


def test_it_is_said_that_tracing_loses_branches(tmp_path):
    path = written.torchscript(FunctionalResidual().eval(), (3, 16, 16), tmp_path / "model")
    model = open_model(source(path), ())
    assert "branches" in checks_of(model.spec, "program")[0].message


def test_a_program_for_two_images_at_a_time_says_that_layers_are_missing(tmp_path):
    network = FunctionalResidual().eval()
    path = written.pt2(network, (3, 16, 16), tmp_path / "model", batch=2)
    model = open_model(source(path), ())
    assert model.spec.offers == {Need.GRADIENTS}
    assert "2 images" in checks_of(model.spec, "batch")[0].message
    assert (
        model.spec.parameters
        == sum(one.numel() for name, one in network.named_parameters() if "unused" not in name)
        + 2 * 8
    )  # running statistics are constants of the graph


def test_a_program_that_was_exported_while_training_answers_as_if_it_did_not(tmp_path):
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(784, 3)
    ).train()
    network(torch.rand(4, 3, 16, 16))
    path = written.pt2(network, (3, 16, 16), tmp_path / "model")
    network.eval()
    model = open_model(source(path), ())
    images = torch.rand(3, 3, 16, 16)
    assert torch.allclose(model.network(images), network(images), atol=1e-5)
    assert checks_of(model.spec, "mode")


class InPlace(nn.Module):
    """Changes values in place, also some that it looks at through others."""

    def __init__(self, through_view):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)
        self.through_view = through_view

    def forward(self, images):
        values = self.conv(images)
        if self.through_view:
            functional.relu_(values.flatten(2))
        else:
            functional.relu_(values)
            values += 0.5
        return self.fc(values.mean((2, 3)))


def test_values_that_are_changed_in_place_are_changed_for_everybody(tmp_path):
    network = InPlace(False).eval()
    for write, read in ((written.pt2, pt2.read), (written.torchscript, torchscript.read)):
        opened = read(write(network, (3, 8, 8), tmp_path / "model")).network
        images = torch.rand(2, 3, 8, 8)
        with capture(opened) as layers:
            found = opened(images)
        assert torch.allclose(found, network(images), atol=1e-6)
        assert layers["conv"].min() < 0  # what the convolution gave, before it was changed


def test_values_that_are_changed_through_another_are_refused_or_the_program_answers(tmp_path):
    network = InPlace(True).eval()
    with pytest.raises(ModelError, match="run_decompositions"):
        pt2.read(written.pt2(network, (3, 8, 8), tmp_path / "model"))
    opened = pt2.read(written.pt2(network, (3, 8, 8), tmp_path / "model", decomposed=True)).network
    images = torch.rand(2, 3, 8, 8)
    assert torch.allclose(opened(images), network(images), atol=1e-6)
    path = written.torchscript(network, (3, 8, 8), tmp_path / "model")
    model = open_model(source(path), ())
    assert torch.allclose(model.network(images), network(images), atol=1e-6)
    assert Need.LAYERS not in model.spec.offers


class Filled(nn.Module):
    """Fills a tensor of zeros, part by part."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(192, 3), nn.Linear(192, 3)

    def forward(self, images):
        found = torch.zeros(1, 6)
        found[:, :3] = self.one(images.flatten(1))[:1]
        return found + torch.cat([self.other(images.flatten(1))] * 2, 1)


class Later(nn.Module):
    """Changes a constant after it was used."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(192, 4)

    def forward(self, images):
        constant = torch.zeros(4)
        before = self.fc(images.flatten(1)) + constant
        constant.add_(1.0)
        return before * 3 + constant


class OutOfSight(nn.Module):
    """Changes values by an operation that gives nothing."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(192, 4)

    def forward(self, images):
        values = self.fc(images.flatten(1)) * 1
        torch._foreach_add_([values], 5.0)
        return values


@pytest.mark.parametrize("writer", ["pt2, any number", "pt2, one image"])
@pytest.mark.parametrize("make", [Filled, Later, OutOfSight])
@pytest.mark.slow
def test_what_changes_values_in_other_ways_is_refused_and_never_wrong(tmp_path, make, writer):
    path = WRITERS[writer](make().eval(), (3, 8, 8), tmp_path / "model")
    with pytest.raises(ModelError, match=r"in place|out of sight"):
        pt2.read(path)


def test_filled_tensors_are_computed_once_they_are_decomposed(tmp_path):
    network = Filled().eval()
    path = written.pt2(network, (3, 8, 8), tmp_path / "model", batch=1, decomposed=True)
    opened = pt2.read(path).network
    images = torch.rand(3, 3, 8, 8, requires_grad=True)
    found = opened(images)
    expected = torch.cat([network(image[None]) for image in images])
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.autograd.grad(found.sum(), images)[0].abs().sum() > 0


class Clamped(nn.Module):
    """Clamps by a number that depends on the whole image."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 6, 3), nn.Linear(6, 4)

    def forward(self, images):
        values = self.conv(images).mean((2, 3), keepdim=True)
        return self.fc(values.clamp(min=values.mean()).mean((2, 3)))


def test_a_graph_for_one_image_does_not_mix_images(tmp_path):
    network = Clamped().eval()
    opened = pt2.read(written.pt2(network, (3, 8, 8), tmp_path / "model", batch=1)).network
    images = torch.randn(4, 3, 8, 8)
    expected = torch.cat([network(image[None]) for image in images])
    assert torch.allclose(opened(images), expected, atol=1e-6)


class Mixes(nn.Module):
    """Looks at the whole batch."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(192, 4)

    def forward(self, images):
        values = self.fc(images.flatten(1))
        return values - values.mean(0, keepdim=True)


def test_a_network_that_mixes_the_images_of_a_batch_is_named(tmp_path):
    model = open_model(source(written.pt2(Mixes().eval(), (3, 8, 8), tmp_path / "model")), ())
    assert "others in its batch" in checks_of(model.spec, "batch")[0].message


class Views(nn.Module):
    """Views what a convolution gave, which only some layouts in memory allow."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 6, 3), nn.Linear(216, 4)

    def forward(self, images):
        return self.fc(self.conv(images).relu().view(images.size(0), -1))


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.slow
def test_values_may_be_viewed_in_any_layout(tmp_path, writer):
    network = Views().eval()
    model = open_model(source(WRITERS[writer](network, (3, 8, 8), tmp_path / "model")), ())
    images = torch.rand(2, 3, 8, 8)
    assert torch.allclose(model.network(images), network(images), atol=1e-5)


class Named(nn.Module):
    """Gives two values by name."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(192, 6), nn.Linear(6, 4)

    def forward(self, images):
        features = self.one(images.flatten(1))
        return {"features": features, "logits": self.other(features)}


def test_of_several_values_the_logits_are_taken(tmp_path):
    network = Named().eval()
    opened = pt2.read(written.pt2(network, (3, 8, 8), tmp_path / "model")).network
    images = torch.rand(2, 3, 8, 8)
    assert torch.allclose(opened(images), network(images)["logits"], atol=1e-6)


def added(target, *arguments):
    def change(content):
        named = [{"name": f"a{i}", "arg": one, "kind": 1} for i, one in enumerate(arguments)]
        node = {"target": target, "inputs": named, "outputs": [{"as_tensor": {"name": "beside"}}]}
        content["graph_module"]["graph"]["nodes"].insert(0, {**node, "metadata": {}})

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (added("_operator.pow", {"as_int": 9}, {"as_int": 10**9}), "power that large"),
        (added("_operator.mod", {"as_string": "%3000000000d"}, {"as_int": 1}), "only numbers"),
        (added("torch.ops.aten.remainder.int", {"as_int": 1}, {"as_int": 0}), r"remainder\.int"),
        (
            added("torch.ops.aten.full.default", {"as_ints": [2**16, 2**16]}, {"as_float": 1.0}),
            "is refused",
        ),
    ],
)
def test_what_would_cost_without_end_is_refused(tmp_path, change, words):
    path = written.pt2(FunctionalResidual().eval(), (3, 16, 16), tmp_path / "model")
    with pytest.raises(ModelError, match=words):
        pt2.read(changed(path, change))


def test_torchscript_is_off_unless_it_was_turned_on(tmp_path):
    path = written.torchscript(FunctionalResidual().eval(), (3, 16, 16), tmp_path / "model")
    with pytest.raises(ModelError, match="TorchScript is off here"):
        open_model(source(path, programs=False), ())


@pytest.mark.parametrize("writer", ["pt2, any number", "traced", "scripted"])
@pytest.mark.slow
def test_it_opens_in_the_locked_worker(tmp_path, writer):
    network, shape = network_and_shape("one channel")
    path = WRITERS[writer](network, shape, tmp_path / "model")
    runner = WorkerRunner()
    request = Request(INSPECT, source(path), (image_files()["letter-x-fuzzy"],))
    entry = runner.run(request).scores["images"][0]
    assert len(entry["top"]) == 5
    assert entry["attributions"]
    runner.close()


class Feature(nn.Module):
    def forward(self, images):
        return functional.conv2d(images, torch.ones(4, 3, 3, 3))


@pytest.mark.parametrize("write", [written.pt2, written.torchscript, written.onnx])
def test_what_is_no_classifier_is_refused_with_its_output_shape(tmp_path, write):
    path = write(Feature().eval(), (3, 8, 8), tmp_path / "model")
    with pytest.raises(ModelError, match=r"4, \d+, \d+\]"):
        open_model(source(path), ())


def changed(path, change, name="models/model.json"):
    """Change the JSON of one member of an archive."""
    with zipfile.ZipFile(path) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    (whole,) = [one for one in members if one.endswith(name)]
    content = json.loads(members[whole])
    change(content)
    members[whole] = json.dumps(content).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for one, data in members.items():
            archive.writestr(one, data)
    return path


def other_operator(content):
    content["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.aten.from_file.default"


def other_module(content):
    content["graph_module"]["graph"]["nodes"][0]["target"] = "os.system"


def missing_weight(content):
    content["graph_module"]["graph"]["nodes"][0]["inputs"][1]["arg"]["as_tensor"]["name"] = "gone"


def two_images(content):
    spec = content["graph_module"]["signature"]["input_specs"]
    spec.append(spec[-1])


def other_version(content):
    content["schema_version"]["major"] = 4


def with_graph(content):
    content["graph_module"]["graph"]["nodes"][0]["inputs"][0]["arg"] = {"as_graph": {"name": "x"}}


def no_nodes(content):
    content["graph_module"]["graph"]["nodes"] = []


def nonsense(content):
    del content["graph_module"]["graph"]["tensor_values"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_operator, "from_file"),
        (other_module, r"os\.system"),
        (missing_weight, "nothing gives"),
        (two_images, "takes 2 tensors"),
        (other_version, "another version"),
        (with_graph, "graph, which is not read"),
        (no_nodes, "nothing gives|does not depend"),
        (nonsense, "damaged"),
    ],
)
def test_what_is_no_plain_program_is_refused_in_a_sentence(tmp_path, change, words):
    path = written.pt2(FunctionalResidual().eval(), (3, 16, 16), tmp_path / "model")
    with pytest.raises(ModelError, match=words) as caught:
        pt2.read(changed(path, change))
    assert "\n" not in caught.value.message


def pickled(content):
    next(iter(content["config"].values()))["use_pickle"] = True


def large(content):
    next(iter(content["config"].values()))["tensor_meta"]["sizes"][0] = {"as_int": 2**40}


def repeated(content):
    meta = next(iter(content["config"].values()))["tensor_meta"]
    meta["strides"] = [{"as_int": 0} for _ in meta["strides"]]
    meta["sizes"][0] = {"as_int": 2**30}


def outside(content):
    next(iter(content["config"].values()))["path_name"] = "../../models/model.json"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (pickled, "pickle"),
        (large, "claims more"),
        (repeated, "repeats"),
        (outside, "pickle or an object"),
    ],
)
def test_weights_of_a_program_are_plain_numbers_that_lie_there(tmp_path, change, words):
    path = written.pt2(FunctionalResidual().eval(), (3, 16, 16), tmp_path / "model")
    with pytest.raises(ModelError, match=words):
        pt2.read(changed(path, change, "model_weights_config.json"))


def test_opening_says_what_it_is(tmp_path):
    path = written.pt2(FunctionalResidual().eval(), (3, 16, 16), tmp_path / "model")
    from diagnostics.execution.executor import Executor

    model = Executor().execute(Request(OPEN, source(path))).scores["model"]
    assert (model["format"], model["architecture"]) == ("pt2", "pt2")
    assert model["input"] == {"channels": 3, "height": 16, "width": 16}
