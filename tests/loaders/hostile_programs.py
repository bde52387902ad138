"""Programs and archives that do harm where anybody opens them carelessly; the harm is a marker."""

from __future__ import annotations

import io
import json
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import nn

from tests.loaders import gadgets, written
from tests.loaders.hostile import zipped

SOME = (0, 3, 11, 15, 17)  # of the calls: os.system, os.mkdir, subprocess, eval, open


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@cache
def program() -> dict[str, bytes]:
    """Return the members of an exported program that does no harm."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = written.pt2(network, (3, 8, 8), Path(folder) / "model", batch=1)
        return members(path.read_bytes())


def _member(ending: str) -> str:
    return next(name for name in program() if name.endswith(ending))


def _with_json(ending: str, change: Callable[[dict], None], more: dict[str, bytes]) -> bytes:
    content = json.loads(program()[_member(ending)])
    change(content)
    return zipped({**program(), _member(ending): json.dumps(content).encode(), **more})


def samples(index: int, marker: str) -> bytes:
    """Return a program whose sample inputs are a pickle that calls."""
    name = _member("sample_inputs/model.pt")
    return zipped({**program(), name: gadgets.in_archive(index, marker)})


def pickled_weight(index: int, marker: str) -> bytes:
    """Return a program one of whose weights is a pickle that calls."""

    def change(content: dict) -> None:
        next(iter(content["config"].values()))["use_pickle"] = True

    weight = _member("weights/weight_0")
    more = {weight: gadgets.in_archive(index, marker)}
    return _with_json("model_weights_config.json", change, more)


def _constant(prefix: str, index: int, marker: str) -> bytes:
    def change(content: dict) -> None:
        content["config"]["evil"] = {
            "path_name": f"{prefix}_0",
            "is_param": False,
            "use_pickle": False,
            "tensor_meta": None,
        }

    folder = _member("model_constants_config.json").rpartition("/")[0]
    pickled = pickle.dumps(gadgets.hostile_call(index, marker), protocol=4)
    more = {f"{folder}/{prefix}_0": pickled}
    return _with_json("model_constants_config.json", change, more)


def opaque_constant(index: int, marker: str) -> bytes:
    return _constant("opaque_obj", index, marker)


def custom_constant(index: int, marker: str) -> bytes:
    return _constant("custom_obj", index, marker)


def expression(index: int, marker: str) -> bytes:
    """Return a program one of whose sizes is an expression that calls."""

    def change(content: dict) -> None:
        values = content["graph_module"]["graph"]["tensor_values"]
        call = f"__import__('os').mkdir({marker!r})"
        for meta in values.values():
            meta["sizes"] = [
                {"as_expr": {"expr_str": call, "hint": {"as_int": 1}}} for _ in meta["sizes"]
            ]

    return _with_json("models/model.json", change, {})


class Writes(nn.Module):
    """Writes a file whenever it is asked."""

    def __init__(self, marker: str, size: int) -> None:
        super().__init__()
        self.marker, self.size = marker, size

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        file = torch.from_file(self.marker, shared=True, size=self.size)
        return images.mean((2, 3)) + file.fill_(1.0).sum()


class Inside(nn.Module):
    """Holds one that writes a file."""

    def __init__(self, marker: str, size: int) -> None:
        super().__init__()
        self.inner = Writes(marker, size)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images) + 1


def writing(index: int, marker: str) -> bytes:
    """Return a TorchScript program that writes when it runs; of 25 different sizes and depths."""
    network = (Writes, Inside)[index % 2](marker, index + 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        return written.torchscript(network, (3, 8, 8), path, scripted=True).read_bytes()


def twice(index: int, marker: str) -> bytes:
    """Return an archive with two members of one name; the second is evil."""
    good = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, good)
    evil = members(gadgets.in_archive(index, marker))
    with zipfile.ZipFile(good, "a") as archive:
        for name, data in evil.items():
            archive.writestr(name, data)
    return good.getvalue()


def prefixed(index: int, marker: str) -> bytes:
    """Return an archive that something else stands before."""
    return b"\x08\x08\x12\x07pytorch" + gadgets.in_archive(index, marker)


def packed(index: int, marker: str) -> bytes:
    return zipped(members(gadgets.in_archive(index, marker)), zipfile.ZIP_DEFLATED)


def elsewhere(index: int, marker: str) -> bytes:
    """Return an archive whose evil pickle lies at a path that leaves it."""
    evil = members(gadgets.in_archive(index, marker))
    return zipped({f"../../{name}": data for name, data in evil.items()})


def lambda_layer(index: int, marker: str) -> bytes:
    """Return a Keras model with a layer that is code."""
    import keras

    module, function, arguments = gadgets.CALLS[index]
    filled = [gadgets.filled(argument, marker) for argument in arguments]
    called = f"getattr(__import__({module!r}, fromlist=['x']), {function!r})(*{filled!r})"
    code = eval(f"lambda x: ({called}, x)[1]")
    layer = keras.layers.Lambda(lambda values: values)
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(layer(image))))
    layer.function = code
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()


def linked(index: int, marker: str) -> bytes:
    """Return an HDF5 file whose data lie in another; of five kinds and five targets."""
    import h5py

    target = ("/etc/passwd", "/etc/hostname", marker, "../secret", "/proc/self/environ")[index % 5]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.h5"
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {}})
            if index // 5 == 0:
                file["link"] = h5py.ExternalLink(target, "/")
            elif index // 5 == 1:
                file.create_dataset("raw", (4,), "u1", external=[(target, 0, 4)])
            elif index // 5 == 2:
                layout = h5py.VirtualLayout((4,), "u1")
                layout[:] = h5py.VirtualSource(target, "data", (4,))
                file.create_virtual_dataset("virtual", layout)
            elif index // 5 == 3:
                file["soft"] = h5py.SoftLink(target)
            else:
                file["a"] = h5py.h5t.special_dtype and h5py.SoftLink("/b")
        return path.read_bytes()


def graph(index: int, marker: str) -> bytes:
    """Return an ONNX file that reads other files, loops, or asks for far too much."""
    from onnx import TensorProto, helper

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 8])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 4])
    weight = helper.make_tensor("weight", TensorProto.FLOAT, [3, 4], [0.0] * 12)
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], ["scores"]),
    ]
    kind, number = divmod(index, 5)
    if kind == 0:
        weight.ClearField("float_data")
        weight.data_location = TensorProto.EXTERNAL
        places = ("/etc/passwd", "../../etc/passwd", "a/../../b", marker, "/proc/self/environ")
        entry = weight.external_data.add()
        entry.key, entry.value = "location", places[number]
    elif kind == 1:
        body = helper.make_graph([], "body", [], [])
        nodes.insert(
            0, helper.make_node(("Loop", "If", "Scan")[number % 3], [""], ["x"], body=body)
        )
    elif kind == 2:
        nodes[number % 2].domain = f"com.stranger.{number}"
    elif kind == 3:
        shape = helper.make_tensor("shape", TensorProto.INT64, [3], [2 ** (14 + number)] * 3)
        nodes += [
            helper.make_node("Constant", [], ["shape"], value=shape),
            helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
            helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
            helper.make_node("Add", ["scores", "sum"], ["more"]),
        ]
        scores.name = "more"
    else:
        weight.dims[0] = (-3, 2**40, 2**62, 7, 0)[number]
    model = helper.make_model(
        helper.make_graph(nodes, "graph", [image], [scores], [weight]),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=10,
    )
    return model.SerializeToString()


def tensors(index: int, marker: str) -> bytes:
    """Return a safetensors file that lies."""
    fine = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    headers = (
        {"a": {**fine, "data_offsets": [0, 2**40]}},
        {"a": {**fine, "shape": [2**62]}},
        {"a": {**fine, "shape": [2**32, 2**32]}},
        {"a": fine, "b": {**fine, "data_offsets": [4, 12]}},
        {"a": {**fine, "data_offsets": [8, 0]}},
        {"a": {**fine, "dtype": "F999"}},
        {"a": {**fine, "shape": [0, 2**62], "data_offsets": [0, 0]}},
        {"__metadata__": {"a": 3}, "a": fine},
        {"a": [fine]},
        {"a": {**fine, "shape": [-2]}},
    )
    text = json.dumps(headers[index]).encode()
    return len(text).to_bytes(8, "little") + text + bytes(8)


# What makes files, and which numbers it takes.
KINDS: tuple[tuple[Callable[[int, str], bytes], tuple[int, ...]], ...] = (
    *((one, tuple(range(len(gadgets.CALLS)))) for one in gadgets.CONTAINERS),
    *((one, SOME) for one in (samples, pickled_weight, opaque_constant, custom_constant)),
    (expression, SOME),
    (writing, tuple(range(25))),
    *((one, SOME) for one in (twice, prefixed, packed, elsewhere)),
    (lambda_layer, SOME),
    (linked, tuple(range(20))),
    (graph, tuple(range(25))),
    (tensors, tuple(range(10))),
)
# Where these are opened carelessly they do their harm, each with its marker.
HARMFUL = ("plain", "in_archive", "samples", "pickled_weight", "expression", "writing")
