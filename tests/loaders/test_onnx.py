"""ONNX files: the same answers, activations and gradients as the network they were written from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import nn

from diagnostics.cli.main import main
from diagnostics.data import samples
from diagnostics.errors import ArchitectureError, ModelError
from diagnostics.execution.executor import Executor
from diagnostics.loaders import onnx as loader
from diagnostics.loaders._onnx_graph import parse
from diagnostics.loaders.graph_network import network_of
from diagnostics.loaders.open import open_model
from diagnostics.loaders.registry import recognise
from diagnostics.models.graph.network import GraphNetwork
from diagnostics.models.layers import capture
from diagnostics.models.sample_networks import LettersConv
from diagnostics.schema.request import INSPECT, File, ModelSource, Request
from diagnostics.schema.spec import Need, Output, read
from diagnostics.worker import WorkerRunner
from tests.loaders import written as formats
from tests.networks_for_tests import EXPORTED, EXPORTED_PARAMS, FunctionalResidual, vit

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
IMAGE = samples.image_files()["letter-x-fuzzy"]


@pytest.fixture
def export(tmp_path):
    """Return a function that writes a network as ONNX, for one image or for any number."""

    def export(network, *shape, one=False, name="model.onnx"):
        return formats.onnx(network.eval(), shape, tmp_path / name, one=one)

    return export


@pytest.fixture
def write_graph(tmp_path):
    """Return a function that writes a graph of our own as ONNX."""

    def write(nodes, inputs, outputs, constants=(), **rest):
        graph = helper.make_graph(nodes, "graph", inputs, outputs, list(constants))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        for name, value in rest.items():
            getattr(model, name).extend(value)
        path = tmp_path / "written.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return write


def image(*sides, kind=TensorProto.FLOAT, name="images"):
    return helper.make_tensor_value_info(name, kind, list(sides))


def scores(*sides):
    return helper.make_tensor_value_info("scores", TensorProto.FLOAT, list(sides))


def weights(name, *sides):
    values = np.random.default_rng(0).normal(size=sides).astype(np.float32)
    return onnx.numpy_helper.from_array(values, name)


MEAN = helper.make_node("ReduceMean", ["images"], ["mean"], "mean", axes=[2, 3], keepdims=0)
MEAN_OF_BENT = helper.make_node("ReduceMean", ["bent"], ["mean"], "mean", axes=[2, 3], keepdims=0)
HEAD = helper.make_node("MatMul", ["mean", "weight"], ["scores"], "head")


@pytest.mark.parametrize("one", [False, True], ids=["any number", "one image"])
@pytest.mark.parametrize("name", EXPORTED_PARAMS)
def test_logits_and_gradients_are_those_of_the_network_it_was_written_from(export, name, one):
    torch.manual_seed(0)
    make, shape = EXPORTED[name]
    network = make().eval()
    loaded = loader.read(export(network, *shape, one=one))
    assert "onnxruntime" in loaded.checks[1].message
    assert loaded.checks[1].status == "passed"
    images = torch.rand(3, *shape, requires_grad=True)
    theirs, ours = network(images), loaded.network(images)
    size = theirs.abs().max()
    assert (ours - theirs).abs().max() < 1e-4 * size
    targets = torch.tensor([0, 1, 2])
    expected, found = (
        torch.autograd.grad(scores.gather(1, targets[:, None]).sum(), images)[0]
        for scores in (theirs, ours)
    )
    assert (found - expected).norm() < 1e-4 * expected.norm()


def inspect(path, **options):
    file = File(str(path), "0" * 64, path.name)
    return Executor().execute(Request(INSPECT, ModelSource(file), (IMAGE,), **options))


@pytest.mark.parametrize("one", [False, True], ids=["any number", "one image"])
def test_everything_that_inspect_shows_is_the_same_as_from_the_weights(export, one):
    from safetensors.torch import load_file

    network = LettersConv()
    network.load_state_dict(load_file(samples.model_files()["letters_conv"].path))
    plain = inspect(Path(samples.model_files()["letters_conv"].path))
    settings = read(plain.scores["model"]).preprocessing
    cams = ("attribution/gradient", "attribution/grad_cam?layer=relu3")
    path = export(network, 1, 28, 28, one=one)
    options = {"attributions": cams, "layers": ("relu1", "relu3", "fc1")}
    truth = inspect(
        Path(samples.model_files()["letters_conv"].path), preprocessing=settings, options=options
    )
    options = {
        "attributions": (cams[0], "attribution/grad_cam?layer=relu3/Relu"),
        "layers": ("relu1/Relu", "relu3/Relu", "fc1/Gemm"),
    }
    found = inspect(path, preprocessing=settings, options=options)
    pairs = {"0/logits": "0/logits", "0/attribution/0": "0/attribution/0"}
    pairs |= {"0/attribution/1": "0/attribution/1", "0/layer/relu1": "0/layer/relu1/Relu"}
    pairs |= {"0/layer/relu3": "0/layer/relu3/Relu", "0/layer/fc1": "0/layer/fc1/Gemm"}
    for theirs, ours in pairs.items():
        expected = truth.arrays[theirs]
        size = np.abs(expected).max()
        np.testing.assert_allclose(found.arrays[ours], expected, atol=1e-4 * size)
    assert found.scores["images"][0]["top"][0]["index"] == 23


@pytest.mark.parametrize("one", [False, True], ids=["any number", "one image"])
def test_attention_is_heard_head_by_head(export, one):
    torch.manual_seed(0)
    path = export(vit(), 3, 16, 16, one=one)
    options = {"attributions": ("attribution/attention_rollout",), "layers": ("attention",)}
    result = inspect(path, options=options)
    spec = read(result.scores["model"])
    assert Need.ATTENTION in spec.offers
    heads = [layer for layer in spec.layers if layer.kind == "attention"]
    assert [layer.shape for layer in heads] == [(2, 17, 17)] * 2
    assert result.arrays["0/attribution/0"].shape == (4, 4)


def test_it_opens_in_the_locked_worker(export):
    path = export(LettersConv(), 1, 28, 28)
    source = ModelSource(File(str(path), "0" * 64, path.name))
    runner = WorkerRunner()
    result = runner.run(Request(INSPECT, source, (IMAGE,)))
    assert read(result.scores["model"]).checks[1].status == "passed"
    assert len(result.scores["images"][0]["top"]) == 5
    runner.close()


def test_softmaxed_scores_are_recognised_and_read_as_logarithms(export):
    result = inspect(export(nn.Sequential(LettersConv(), nn.Softmax(1)), 1, 28, 28))
    assert read(result.scores["model"]).output is Output.PROBABILITIES
    top = result.scores["images"][0]["top"]
    assert sum(score["probability"] for score in top) <= 1 + 1e-6


def test_images_whose_channels_come_last_are_turned(export):
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = LettersConv(in_chans=3)

        def forward(self, images):
            return self.network(images.permute(0, 3, 1, 2))

    network = Last().eval()
    loaded = loader.read(export(network, 28, 28, 3))
    assert (loaded.candidate.channels, loaded.candidate.height) == (3, 28)
    images = torch.rand(2, 3, 28, 28)
    assert torch.allclose(loaded.network(images), network.network(images), atol=1e-5)


def test_whole_numbers_are_fed_as_they_are(write_graph):
    nodes = [helper.make_node("Cast", ["images"], ["floats"], "cast", to=TensorProto.FLOAT)]
    nodes += [
        helper.make_node("ReduceMean", ["floats"], ["mean"], "mean", axes=[2, 3], keepdims=0),
        HEAD,
    ]
    path = write_graph(
        nodes,
        [image("n", 3, 8, 8, kind=TensorProto.UINT8)],
        [scores("n", 4)],
        [weights("weight", 3, 4)],
    )
    loaded = loader.read(path)
    assert loaded.candidate.preprocessing.value_range == 255
    assert loaded.checks[1].status == "passed"


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.INT32, TensorProto.INT8])
def test_other_whole_numbers_are_compared_too(write_graph, kind):
    nodes = [helper.make_node("Cast", ["images"], ["floats"], "cast", to=TensorProto.FLOAT)]
    mean = helper.make_node("ReduceMean", ["floats"], ["mean"], "mean", axes=[2, 3], keepdims=0)
    inputs = [image("n", 3, 8, 8, kind=kind)]
    path = write_graph([*nodes, mean, HEAD], inputs, [scores("n", 4)], [weights("weight", 3, 4)])
    assert loader.read(path).checks[1].status == "passed"


def test_half_precision_is_computed_in_single_and_not_refused_for_it(write_graph):
    half = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float16)
    inputs = [image("n", 3, 8, 8, kind=TensorProto.FLOAT16)]
    found = [helper.make_tensor_value_info("scores", TensorProto.FLOAT16, ["n", 4])]
    path = write_graph([MEAN, HEAD], inputs, found, [onnx.numpy_helper.from_array(half, "weight")])
    loaded = loader.read(path)
    assert loaded.checks[1].status == "passed"
    assert loaded.network(torch.rand(1, 3, 8, 8)).dtype == torch.float32


def small(write_graph, **rest):
    return write_graph(
        [MEAN, HEAD], [image("n", 3, 8, 8)], [scores("n", 4)], [weights("weight", 3, 4)], **rest
    )


def test_a_file_is_recognised_by_its_content(write_graph):
    path = small(write_graph)
    assert recognise(path).read is loader.read


def test_onnxruntime_reports_nothing_to_anybody(write_graph):
    """Its official builds do so by default, unless told not to before they are imported."""
    path = small(write_graph)
    code = (
        "import os, sys; from pathlib import Path; from diagnostics.loaders import onnx; "
        "assert 'onnxruntime' not in sys.modules; "
        f"onnx.read(Path({str(path)!r})); print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    environment = {name: one for name, one in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    process = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "1"
    assert "telemetry" not in process.stderr.lower()


def test_another_network_cannot_be_chosen(write_graph):
    source = ModelSource(
        File(str(small(write_graph)), "0" * 64, "model.onnx"), "torchvision/resnet18"
    )
    with pytest.raises(ArchitectureError, match="resnet18"):
        Executor().execute(Request(INSPECT, source, (IMAGE,)))
    source = ModelSource(source.file, "onnx")
    assert not Executor().execute(Request(INSPECT, source, (IMAGE,))).scores["images"][0]["error"]


def test_without_the_package_the_person_is_told_what_to_install(write_graph, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"oversure\[onnx\]"):
        loader.read(small(write_graph))


def opened(path):
    """Open a file as the app does; return what is known of it and its network."""
    model = open_model(ModelSource(File(str(path), "0" * 64, path.name)), ())
    return model.spec, model.network


def check_of(spec, name):
    return next(check for check in spec.checks if check.name == name)


@pytest.mark.parametrize("batch", ["n", 1, 2])
def test_what_torch_cannot_compute_onnxruntime_does_with_every_layer(write_graph, batch):
    """Celu is written out by hand here as the second opinion."""
    nodes = [helper.make_node("Celu", ["images"], ["bent"], "bent", alpha=2.0), MEAN_OF_BENT, HEAD]
    size = [image(batch, 3, 8, 8)], [scores(batch, 4)]
    path = write_graph(nodes, *size, [weights("weight", 3, 4)])
    spec, network = opened(path)
    assert spec.offers == {Need.LAYERS}
    assert spec.parameters == 12
    assert "Celu" in check_of(spec, "gradients").message
    images = torch.randn(3, 3, 8, 8)
    with torch.no_grad(), capture(network) as layers:
        found = network(images)
    bent = torch.where(images > 0, images, 2 * torch.expm1(images / 2))
    weight = torch.from_numpy(onnx.numpy_helper.to_array(weights("weight", 3, 4)).copy())
    assert torch.allclose(found, bent.mean((2, 3)) @ weight, atol=1e-5)
    assert torch.allclose(layers["bent"], bent, atol=1e-6)
    assert torch.allclose(layers["mean"], bent.mean((2, 3)), atol=1e-6)


def test_a_conversion_that_differs_is_not_shown_and_onnxruntime_answers(write_graph, monkeypatch):
    path = small(write_graph)
    expected = opened(path)[1](torch.ones(1, 3, 8, 8))
    monkeypatch.setattr(
        GraphNetwork, "forward", lambda self, images: images.sum((2, 3))[:, [0, 1, 2, 0]]
    )
    spec, network = opened(path)
    assert "differ from onnxruntime's" in check_of(spec, "gradients").message
    assert Need.GRADIENTS not in spec.offers
    assert torch.allclose(network(torch.ones(1, 3, 8, 8)), expected, atol=1e-6)


def test_a_network_for_four_images_at_a_time_answers_any_number(write_graph):
    path = write_graph([MEAN, HEAD], [image(4, 3, 8, 8)], [scores(4, 4)], [weights("weight", 3, 4)])
    spec, network = opened(path)
    assert spec.offers == {Need.GRADIENTS}
    assert "4 images" in check_of(spec, "batch").message
    images = torch.randn(7, 3, 8, 8)
    weight = torch.from_numpy(onnx.numpy_helper.to_array(weights("weight", 3, 4)).copy())
    assert torch.allclose(network(images), images.mean((2, 3)) @ weight, atol=1e-5)


class Calibration:
    """Feeds random images to onnxruntime's own quantisation."""

    def __init__(self, *shape):
        random = np.random.default_rng(1)
        images = [random.random((1, *shape), dtype=np.float32) for _ in range(16)]
        self._images = iter([{"images": image} for image in images])

    def get_next(self):
        return next(self._images, None)


@pytest.fixture
def quantised(export, tmp_path):
    """Write a network as QDQ of 8 bits, as onnxruntime's own quantisation does."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    def quantised(network, *shape, **options):
        source, path = export(network, *shape, name="single.onnx"), tmp_path / "quantised.onnx"
        options |= {"quant_format": QuantFormat.QDQ, "weight_type": QuantType.QInt8}
        quantize_static(source, path, Calibration(*shape), **options)
        return path

    return quantised


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_quantised_network_gives_the_answer_of_a_default_onnxruntime_session(
    quantised, per_channel
):
    import onnxruntime

    torch.manual_seed(0)
    path = quantised(FunctionalResidual(), 3, 32, 32, per_channel=per_channel)
    images = torch.rand(16, 3, 32, 32)
    (truth,) = onnxruntime.InferenceSession(path).run(None, {"images": images.numpy()})
    spec, network = opened(path)
    with torch.no_grad(), capture(network) as layers:
        watched = network(images)
    assert np.array_equal(watched.numpy(), truth)
    assert np.array_equal(network(images).numpy(), truth)
    assert len(layers) > 10
    assert "rounds its values to 8 bits" in check_of(spec, "gradients").message
    assert "default session of onnxruntime" in check_of(spec, "fusion").message


def test_what_is_no_quantised_network_says_nothing_of_fusion(write_graph):
    nodes = [helper.make_node("Celu", ["images"], ["bent"], "bent", alpha=2.0), MEAN_OF_BENT, HEAD]
    path = write_graph(nodes, [image("n", 3, 8, 8)], [scores("n", 4)], [weights("weight", 3, 4)])
    assert "fusion" not in {check.name for check in opened(path)[0].checks}


def test_the_nodes_that_the_fp16_converter_leaves_out_of_order_are_sorted(export, tmp_path):
    from onnxruntime.transformers.float16 import convert_float_to_float16

    torch.manual_seed(0)
    network = FunctionalResidual().eval()
    half = convert_float_to_float16(
        onnx.load(export(network, 3, 32, 32)), keep_io_types=True, op_block_list=["ReduceMean"]
    )
    path = tmp_path / "half.onnx"
    onnx.save(half, path)
    made = {"images", *(tensor.name for tensor in half.graph.initializer)}
    in_order = [
        made.issuperset(node.input) and not made.update(node.output) for node in half.graph.node
    ]
    assert not all(in_order)
    loaded = loader.read(path)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        theirs, ours = network(images), loaded.network(images)
    assert (ours - theirs).abs().max() < 5e-3 * theirs.abs().max()


def test_any_order_of_nodes_is_the_same_network_and_a_circle_is_none(export, tmp_path):
    torch.manual_seed(0)
    network = FunctionalResidual().eval()
    path, images = export(network, 3, 32, 32), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected = network(images)
    names = [name for name, _ in loader.read(path).network.named_children()]
    for seed in range(5):
        model = onnx.load(path)
        nodes = [
            model.graph.node[i]
            for i in np.random.default_rng(seed).permutation(len(model.graph.node))
        ]
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        path.write_bytes(model.SerializeToString())
        loaded = loader.read(path).network
        assert torch.allclose(loaded(images), expected, atol=1e-5)
        assert sorted(name for name, _ in loaded.named_children()) == sorted(names)
    first = model.graph.node[0]
    first.input[0] = model.graph.node[-1].output[0]
    last = model.graph.node[-1]
    last.input[0] = first.output[0]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="circle"):
        loader.read(path)


def changed(path, change):
    model = onnx.load_model_from_string(path.read_bytes())
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def outside(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    tensor.ClearField("raw_data")


def foreign(model):
    model.graph.node[1].domain = "com.stranger"


def looping(model):
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["x"], "loop", body=body))


def huge(model):
    model.graph.initializer[0].dims[0] = 2**40


def negative(model):
    model.graph.initializer[0].dims[0] = -3


def lacking(model):
    del model.graph.initializer[:]
    model.graph.input.append(image("n", 3, name="weight"))


def unknown(model):
    model.graph.node[1].op_type = "RoiAlign"


def many(model):
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 17


def flat(model):
    del model.graph.input[0].type.tensor_type.shape.dim[2:]


def sparse(model):
    model.graph.sparse_initializer.add()


def own_functions(model):
    model.functions.add().name = "mine"


def empty(model):
    del model.graph.node[:]


def apart(model):
    model.graph.node[0].input[0] = "nothing"


@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand", "Tile", "Range"])
def test_what_grows_out_of_nothing_has_a_limit(write_graph, operator):
    huge, one = 2**40, onnx.numpy_helper.from_array(np.ones(1, np.float32), "one")
    sides = onnx.numpy_helper.from_array(np.array([huge], np.int64), "sides")
    numbers = [
        onnx.numpy_helper.from_array(np.array(value, np.float32), name)
        for name, value in (("zero", 0), ("end", huge), ("step", 1))
    ]
    input_names = {"ConstantOfShape": ["sides"], "Range": ["zero", "end", "step"]}
    node = helper.make_node(
        operator, input_names.get(operator, ["one", "sides"]), ["grown"], "grow"
    )
    last = helper.make_node("Add", ["scores_", "grown"], ["scores"], "add")
    head = helper.make_node("MatMul", ["mean", "weight"], ["scores_"], "head")
    constants = [weights("weight", 3, 4), one, sides, *numbers]
    path = write_graph([MEAN, head, node, last], [image("n", 3, 8, 8)], [scores("n", 4)], constants)
    with pytest.raises(ModelError, match=r"grow .* is refused"):
        loader.read(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (outside, "another file"),
        (foreign, "com.stranger"),
        (looping, "loop or a branch"),
        (huge, "too large"),
        (negative, "too large"),
        (lacking, "takes 2 inputs"),
        (unknown, "RoiAlign"),
        (many, r"\[n, 17, 8, 8\]"),
        (flat, r"\[n, 3\]"),
        (sparse, "sparse"),
        (own_functions, "functions of its own"),
        (empty, "graph is empty"),
        (apart, "nothing gives|does not depend"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_what_is_no_plain_classifier_is_refused_in_a_sentence(write_graph, change, words):
    path = changed(small(write_graph), change)
    with pytest.raises(ModelError, match=words):
        loader.read(path)


def test_an_attribute_of_countless_numbers_is_refused_before_it_is_read(write_graph):
    path = changed(
        small(write_graph), lambda model: model.graph.node[0].attribute[0].ints.extend([1] * 2**20)
    )
    with pytest.raises(ModelError, match="at most 1,000,000 are read"):
        loader.read(path)


def test_constants_that_grow_node_by_node_have_one_limit_together(write_graph):
    """Each is allowed, and a thousand of them would take a minute and more."""
    sides = onnx.numpy_helper.from_array(np.array([2**13, 2**13], np.int64), "sides")
    nodes = [helper.make_node("ConstantOfShape", ["sides"], ["grown0"], "grow0")]
    nodes += [
        helper.make_node("Sin", [f"grown{place}"], [f"grown{place + 1}"], f"grow{place + 1}")
        for place in range(1000)
    ]
    nodes.append(helper.make_node("ReduceMean", ["grown1000"], ["shift"], "shift", keepdims=0))
    nodes += [MEAN, helper.make_node("MatMul", ["mean", "weight"], ["scores_"], "head")]
    nodes.append(helper.make_node("Add", ["scores_", "shift"], ["scores"], "add"))
    constants = [weights("weight", 3, 4), sides]
    path = write_graph(nodes, [image("n", 3, 8, 8)], [scores("n", 4)], constants)
    with pytest.raises(ModelError, match="values out of nothing are refused"):
        network_of(parse(path).graph, None)


def test_damaged_files_are_refused_and_nothing_else_happens(write_graph):
    whole = small(write_graph).read_bytes()
    path = small(write_graph)
    random = np.random.default_rng(0)
    for _ in range(400):
        content = bytearray(whole)
        for place in random.integers(0, len(content), random.integers(1, 6)):
            content[place] = random.integers(0, 256)
        path.write_bytes(bytes(content[: random.integers(1, len(content) + 1)]))
        with suppress(ModelError):
            loader.read(path)


@pytest.mark.real
@pytest.mark.slow
def test_a_real_classifier_of_text_lines_tells_upright_from_turned(real_file, tmp_path, capsys):
    model = real_file(
        "rapidocr-onnxruntime", "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"
    )
    files = []
    for index, words in enumerate(("Upright text 2026", "Another line of it", "READ ME FIRST")):
        line = Image.new("RGB", (192, 48), "white")
        ImageDraw.Draw(line).text((6, 10), words, "black", ImageFont.load_default(22))
        for turned, picture in ((0, line), (1, line.rotate(180))):
            files.append((tmp_path / f"{index}-{turned}.png", turned))
            picture.save(files[-1][0])
    shape = ("--height", "48", "--width", "192", "--fit", "stretch", "--preset", "half")
    paths = [str(path) for path, _ in files]
    assert main(["inspect", str(model), *paths, *shape, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)["images"]
    assert [entry["top"][0]["index"] for entry in entries] == [turned for _, turned in files]


@pytest.mark.real
@pytest.mark.slow
def test_a_real_network_that_reads_text_is_no_classifier(real_file):
    path = real_file(
        "rapidocr-onnxruntime", "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"
    )
    with pytest.raises(ModelError, match=r"6625\], so it is not an image classifier"):
        loader.read(Path(path))
