"""What a file is, is decided by its content; what is no plain weights is refused in words."""

from __future__ import annotations

import io
import json
import pickle
import struct
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

from diagnostics.errors import ModelError
from diagnostics.loaders import keras, onnx, safetensors, state_dict
from diagnostics.loaders.registry import recognise
from tests.loaders import hostile


@pytest.fixture
def file(tmp_path):
    def write(content, name="weights.bin"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def opened(path):
    return recognise(path).read(path)


def torch_saved(content, **options):
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


WEIGHTS = {"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.tensor([0.5, -1.0])}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (save(WEIGHTS), safetensors),
        (torch_saved(WEIGHTS), state_dict),
        (torch_saved(WEIGHTS, _use_new_zipfile_serialization=False), state_dict),
    ],
    ids=["safetensors", "zip", "legacy"],
)
@pytest.mark.parametrize("name", ["weights.pt", "weights.onnx", "weights"])
def test_weights_are_read_whatever_the_file_is_called(file, content, expected, name):
    path = file(content, name)
    assert recognise(path).read is expected.read
    weights = opened(path)
    assert set(weights.tensors) == set(WEIGHTS)
    assert all(torch.equal(weights.tensors[name], WEIGHTS[name]) for name in WEIGHTS)
    assert not weights.in_order or list(weights.tensors) == list(WEIGHTS)


def script():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stream = io.BytesIO()
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), stream)
    return stream.getvalue()


def exported():
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),)), stream)
    return stream.getvalue()


def joblib_saved(**options):
    """Write an intact model of scikit-learn as people keep them."""
    joblib = pytest.importorskip("joblib")
    linear_model = pytest.importorskip("sklearn.linear_model")
    random = np.random.default_rng(0)
    model = linear_model.LogisticRegression().fit(random.normal(size=(40, 64)), [0, 1] * 20)
    stream = io.BytesIO()
    joblib.dump(model, stream, **options)
    return stream.getvalue()


FOREIGN = {
    "TorchScript": (script, "does not run on images"),
    "an exported program": (exported, r"takes \[1, 2\]"),
    "an old exported program": (
        lambda: hostile.zipped({"serialized_exported_program.json": b"{}", "version": b"1"}),
        "older versions of torch",
    ),
    "half a Keras file": (
        lambda: hostile.zipped({"config.json": b"{}", "model.weights.h5": b""}),
        "HDF5 file is cut off",
    ),
    "half an HDF5 file": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5 file is cut off"),
    "half an ONNX file": (lambda: b"\x08\x08\x12\x07pytorch\x1a\x03" + bytes(50), "ONNX file"),
    "tflite": (lambda: bytes(4) + b"TFL3" + bytes(50), "TensorFlow Lite"),
    "a SavedModel's graph": (
        lambda: b"\x08\x01\x12\x90\x03\x0a\x10*\x07\x0a\x05serve" + bytes(400),
        "TensorFlow SavedModel",
    ),
    "a zipped SavedModel": (
        lambda: hostile.zipped({"m/saved_model.pb": b"\x08\x01", "m/variables/v.index": b""}),
        "TensorFlow SavedModel",
    ),
    "Core ML": (
        lambda: b"\x08\x04\x12\x3e\x0a\x1b\x0a\x05image\x12\x0cInput image" + bytes(60),
        "Core ML model",
    ),
    "Core ML with metadata first": (
        lambda: b"\x08\x05\x12\x80\x01\xa2\x06\x7d\x0a\x05 hello" + bytes(200),
        "Core ML model",
    ),
    "a Core ML package": (
        lambda: hostile.zipped({"a.mlpackage/Manifest.json": b"{}", "a.mlpackage/m.mlmodel": b""}),
        "Core ML package",
    ),
    "joblib": (lambda: joblib_saved(), "file of joblib"),
    "packed joblib": (lambda: joblib_saved(compress=3), "file of joblib"),
    "a pickle": (lambda: pickle.dumps({"weight": [1.0, 2.0]}), "a Python pickle"),
    "nothing": (lambda: b"", "empty"),
    "text": (lambda: b"these are no weights", "no model file"),
    "a web page": (lambda: b"<!DOCTYPE html><html></html>", "web page"),
    "a Git LFS pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\n", "LFS"),
    "a PNG": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(20), "PNG"),
    "gzip": (lambda: b"\x1f\x8b\x08" + bytes(20), "gzip"),
    "some zip": (lambda: hostile.zipped({"a.txt": b"a", "b.txt": b"b"}), "zip archive"),
    "half a file": (lambda: torch_saved(WEIGHTS)[:-200], "cut off or damaged"),
    "half a legacy file": (
        lambda: torch_saved(WEIGHTS, _use_new_zipfile_serialization=False)[:60],
        "cut off or damaged",
    ),
}


@pytest.mark.parametrize(("content", "words"), FOREIGN.values(), ids=FOREIGN.keys())
def test_every_other_format_is_named_in_one_sentence(file, content, words):
    with pytest.raises(ModelError, match=words) as caught:
        opened(file(content()))
    assert "\n" not in caught.value.message
    assert caught.value.message.endswith(".")


def test_no_refusal_calls_an_intact_foreign_file_damaged(file):
    for name in FOREIGN:
        if name.startswith("half"):
            continue
        with pytest.raises(ModelError) as caught:
            opened(file(FOREIGN[name][0]()))
        assert "damaged" not in caught.value.message, name
        assert "cut off" not in caught.value.message, name


def test_a_folder_of_a_saved_model_is_named_with_the_way_out(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    (tmp_path / "variables").mkdir()
    with pytest.raises(ModelError, match=r"SavedModel.*model\.save.*tf2onnx"):
        recognise(tmp_path)


def test_a_cut_off_safetensors_file_says_how_much_is_missing(file):
    whole = save(WEIGHTS)
    with pytest.raises(ModelError, match=f"end at byte {len(whole)} and it has {len(whole) - 5};"):
        opened(file(whole[:-5]))


@pytest.mark.real
def test_real_onnx_and_keras_files_are_recognised(real_file):
    text_lines = real_file(
        "rapidocr-onnxruntime", "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"
    )
    letters = real_file("cifar-10-model", "cifar_10_model/trained_models/cnn_model.h5")
    assert recognise(text_lines).read is onnx.read
    assert recognise(letters).read is keras.read


@pytest.mark.parametrize("reader", ["recognised", "state_dict"])
@pytest.mark.parametrize(
    "content",
    [
        hostile.pickled,
        lambda marker: hostile.saved(marker, zipped=True),
        lambda marker: hostile.saved(marker, zipped=False),
        hostile.hidden,
    ],
    ids=["pickle", "zip", "legacy", "hidden"],
)
def test_code_in_a_file_never_runs(file, tmp_path, content, reader):
    """Each gate alone must hold: the look at the pickle, and torch's restricted unpickler."""
    marker = tmp_path / "marker"
    path = file(content(marker))
    with pytest.raises(ModelError):
        opened(path) if reader == "recognised" else state_dict.read(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (hostile.compressed, "compressed"),
        (hostile.stretched, r"claims 1,099,511,627,776 values"),
        (hostile.sparse, "sparse"),
        (hostile.deep, "holds no tensors"),
        (lambda: torch_saved({"weight": torch.zeros(2, dtype=torch.complex64)}), "complex"),
        (lambda: torch_saved([1, 2, 3]), "the file holds list"),
        (lambda: torch_saved({"epoch": 3}), "holds no tensors"),
        (lambda: torch_saved({}), "holds no tensors"),
    ],
    ids=["compressed", "stretched", "sparse", "deep", "complex", "list", "numbers", "nothing"],
)
def test_weights_that_cannot_be_used_are_refused(file, content, words):
    with pytest.raises(ModelError, match=words):
        opened(file(content()))


def test_two_archives_in_one_file_are_refused(file):
    """Readers differ on which of the two it is."""
    whole = torch_saved(WEIGHTS)
    for content in (
        b"before" + whole,
        whole + b"behind",
        whole + torch_saved({"a": torch.ones(1)}),
    ):
        with pytest.raises(ModelError):
            opened(file(content))


def test_a_safetensors_header_has_a_limit(file):
    path = file(hostile.header(11 * 2**20))
    with pytest.raises(ModelError, match="at most 10 MiB"):
        safetensors.read(path)
    with pytest.raises(ModelError):
        recognise(path)


def test_a_safetensors_file_may_not_have_countless_tensors(file):
    header = {str(i): {"dtype": "F32", "shape": [], "data_offsets": [0, 4]} for i in range(20_001)}
    text = json.dumps(header).encode()
    with pytest.raises(ModelError, match="20001 tensors"):
        opened(file(struct.pack("<Q", len(text)) + text + bytes(4)))


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 400]},
        {"dtype": "F32", "shape": [200], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2**62], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]},
        {"dtype": "F32"},
        "a string",
    ],
    ids=str,
)
def test_a_damaged_safetensors_file_is_refused(file, entry):
    text = json.dumps({"weight": entry}).encode()
    with pytest.raises(ModelError):
        opened(file(struct.pack("<Q", len(text)) + text + bytes(8)))


@pytest.mark.parametrize("text", [b"{not json", b'{"__metadata__": {}}', b"[1]"])
def test_a_safetensors_header_that_is_no_header_is_refused(file, text):
    with pytest.raises(ModelError):
        opened(file(struct.pack("<Q", len(text)) + text + bytes(8)))


WRAPPED = {
    "state_dict": lambda w: {"state_dict": w, "epoch": 3},
    "model": lambda w: {"model": w, "optimizer": {"state": {}, "param_groups": []}},
    "model_state_dict": lambda w: {"model_state_dict": w, "loss": 0.5},
    "module.": lambda w: {f"module.{name}": value for name, value in w.items()},
    "model.": lambda w: {"state_dict": {f"model.{n}": v for n, v in w.items()}},
    "torch.compile": lambda w: {f"_orig_mod.{name}": value for name, value in w.items()},
    "compiled and parallel": lambda w: {f"module._orig_mod.{n}": v for n, v in w.items()},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED.keys())
def test_checkpoints_are_unwrapped_and_say_so(file, wrap):
    weights = opened(file(torch_saved(wrap(WEIGHTS))))
    assert list(weights.tensors) == list(WEIGHTS)
    assert all(torch.equal(weights.tensors[name], WEIGHTS[name]) for name in WEIGHTS)
    assert weights.notes


def test_a_real_training_checkpoint_with_its_optimiser_is_read(file):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.randn(2, 1, 5, 5)).sum().backward()
    optimiser.step()
    checkpoint = {
        "epoch": 7,
        "model_state_dict": network.state_dict(),
        "optimizer_state_dict": optimiser.state_dict(),
    }
    tensors = opened(file(torch_saved(checkpoint))).tensors
    assert list(tensors) == list(network.state_dict())


def test_a_prefix_that_only_some_names_share_stays(file):
    mixed = {"model.weight": torch.ones(2), "head.bias": torch.ones(1)}
    assert list(opened(file(torch_saved(mixed))).tensors) == list(mixed)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_single_precision(file, dtype):
    tensors = opened(file(torch_saved({"weight": torch.tensor([0.5, -2.0], dtype=dtype)}))).tensors
    assert tensors["weight"].dtype is torch.float32
    assert tensors["weight"].tolist() == [0.5, -2.0]
