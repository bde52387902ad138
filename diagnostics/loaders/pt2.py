"""Read what `torch.export.save` wrote: the graph is read as data, and torch's own loader unused.

That loader unpickles sample inputs and constants, evaluates expressions, and opens libraries that
the archive brings. None of these parts is looked at here: only the graph, which is JSON, and the
weights, which are numbers.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diagnostics.errors import ModelError
from diagnostics.loaders import archive, assumptions
from diagnostics.loaders.graph_network import network_of
from diagnostics.loaders.loaded import LoadedNetwork
from diagnostics.loaders.preview import Preview
from diagnostics.loaders.registry import loader
from diagnostics.models.ending import ending_of_graph
from diagnostics.models.graph import Graph, Node
from diagnostics.models.graph.aten import ATEN, Device, Slot, arguments, single
from diagnostics.models.graph.pure import without_writes
from diagnostics.schema.spec import Check

MAX_NODES = 50_000
MAX_DESCRIPTION_MIB = 64
SCHEMA = 8
DENSE = 7  # layout
KEYWORD = 2  # kind of an argument
AGAIN = "save it again: torch.export.save(torch.export.export(model.eval(), (images,)), path)."
DTYPES = {  # by the format's number; half precision is computed in single, as everywhere here
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}
FORMATS = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
    4: torch.preserve_format,
}
LITERALS: dict[str, Callable[[Any], Any]] = {  # what arguments of these kinds stand for
    "as_bool": lambda value: value,
    "as_bools": lambda values: values,
    "as_device": lambda _: Device(),
    "as_float": float,
    "as_floats": lambda values: [float(value) for value in values],
    "as_float_lists": lambda values: values,
    "as_int": lambda value: value,
    "as_int_lists": lambda values: values,
    "as_ints": lambda values: values,
    "as_memory_format": lambda number: FORMATS[number],
    "as_none": lambda _: None,
    "as_scalar_type": lambda number: single(DTYPES[number]),
    "as_string": lambda value: value,
    "as_strings": lambda values: values,
}
NESTED = ("as_sym_int", "as_sym_float", "as_sym_bool", "as_optional_tensor")
NESTED_LISTS = ("as_sym_ints", "as_sym_floats", "as_sym_bools", "as_optional_tensors")
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
ASSERTIONS = ("._assert", "sym_constrain_range", "._check")
PREFIXES = {"torch.ops.aten.": "", "_operator.": "number."}


def matches(file: Preview) -> bool:
    """Say whether it is an archive with the description of a graph."""
    return any(name.endswith("/models/model.json") for name in file.members)


@loader("pt2", matches, files=".pt2", brings_network=True)
def read(path: Path) -> LoadedNetwork:
    """Return the network of an exported program.

    Raises:
        ModelError: When the file is refused, damaged, or no network of one image.
    """
    try:
        program = _Program(path)
        graph = program.graph()
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError):
        raise ModelError(f"The exported program is damaged; {AGAIN}") from None
    batch, *sides = program.sides
    network, checks = network_of(graph, batch if isinstance(batch, int) else None)
    message = f"The file holds its network: {len(graph.nodes)} operations of torch."
    if program.has_several_outputs:
        warning = "Several of its outputs look like class scores; the first is taken."
        checks = (*checks, Check("output", "warned", warning))
    if program.is_training:
        warning = "It was exported while training; dropout and batch statistics are off here."
        checks = (*checks, Check("mode", "warned", warning))
    loaded = assumptions.loaded_network(
        network, "pt2", sides, message, checks, takes_bytes=program.takes_bytes
    )
    return replace(loaded, ending=ending_of_graph(graph))


class _Program:
    """The parts of an archive that are looked at."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as file:
            members = archive.checked(file, path)
            described = [name for name in members if name.endswith("/models/model.json")]
            if len(described) != 1:
                raise ModelError(f"The file holds {len(described)} programs; expected one; {AGAIN}")
            root = described[0].removesuffix("models/model.json")
            program = _read_json(file, described[0])
            if program["schema_version"]["major"] != SCHEMA:
                raise ModelError(f"The program was saved by another version of torch; {AGAIN}")
            module = program["graph_module"]
            self._graph, self._signature = module["graph"], module["signature"]
            self._calls = module.get("module_call_graph") or []
            self.has_several_outputs = False  # whether more than one output looks like class scores
            self._tensors: dict[str, Tensor] = {}
            for kind in ("weights", "constants"):
                config = f"{root}data/{kind}/model_{kind}_config.json"
                if config in members:
                    listed = _read_json(file, config)["config"]
                    self._tensors |= dict(_read_tensors(file, f"{root}data/{kind}/", listed))
        self._values: dict[str, Any] = {}  # that are known: weights by name, and plain numbers
        self._image = self._find_inputs()
        self.is_training = any(_is_training(node) for node in self._graph["nodes"])

    def _find_inputs(self) -> str:
        images = []
        for spec in self._signature["input_specs"]:
            ((kind, content),) = spec.items()
            if kind in ("parameter", "buffer", "tensor_constant"):
                tensor = self._tensors[content.get(f"{kind}_name")]
                self._values[content["arg"]["name"]] = tensor
            elif kind == "user_input" and "as_tensor" in content["arg"]:
                images.append(content["arg"]["as_tensor"]["name"])
            elif kind == "constant_input":
                self._values[content["name"]] = next(iter(content["value"].values()))
            else:
                raise ModelError(
                    f"The program takes {kind.replace('_', ' ')[:40]}, which is no image and no "
                    "weight; export the model for one image."
                )
        if len(images) != 1:
            raise ModelError(
                f"An image classifier takes one image; this program takes {len(images)} tensors."
            )
        if len(self._sizes(images[0])) != 4:
            shape = ", ".join(str(side or "?") for side in self._sizes(images[0]))
            raise ModelError(
                "An image classifier takes images of shape [n, c, h, w]; this program takes "
                f"[{shape}], so it is not one."
            )
        return str(images[0])

    def _sizes(self, name: str) -> list[int | None]:
        return [size.get("as_int") for size in self._graph["tensor_values"][name]["sizes"]]

    @property
    def sides(self) -> list[int | None]:
        """Sides of the images, n first; None where they were left open."""
        return self._sizes(self._image)

    @property
    def takes_bytes(self) -> bool:
        """Whether the images go in as whole numbers."""
        return DTYPES.get(self._graph["tensor_values"][self._image]["dtype"]) in INTEGERS

    def graph(self) -> Graph:
        """Return the graph, without what it only asserts."""
        described = self._graph["nodes"]
        if len(described) > MAX_NODES:
            raise ModelError(
                f"The program has {len(described)} nodes; at most {MAX_NODES} are read."
            )
        names = _layer_names(described)
        nodes = [
            self._node(node, name)
            for node, name in zip(described, names, strict=True)
            if not _only_asserts(node)
        ]
        pure, output = without_writes(nodes, self._image, self._output())
        tensors = {name: value for name, value in self._values.items() if isinstance(value, Tensor)}
        return Graph(pure, tensors, self._image, output, ATEN, one_image=self.sides[0] == 1)

    def _output(self) -> str:
        """Return the output of shape (n, k), as class scores are; the first where none is."""
        names = [
            spec["user_output"]["arg"]["as_tensor"]["name"]
            for spec in self._signature["output_specs"]
            if "as_tensor" in spec.get("user_output", {}).get("arg", {})
        ]
        if not names:
            raise ModelError("The program gives no tensor; a classifier gives class scores.")
        keys = self._keys()
        if "logits" in keys and len(keys) == len(names):
            return str(names[keys.index("logits")])
        flat = [name for name in names if len(self._sizes(name)) == 2] or names
        self.has_several_outputs = len(flat) > 1
        return str(flat[0])

    def _keys(self) -> list[str]:
        """Return the keys of what the program gives, where that is one dictionary."""
        for call in self._calls:
            if call.get("fqn") == "" and call.get("signature"):
                spec = json.loads(call["signature"]["out_spec"])[1]
                if spec["type"] == "builtins.dict":
                    return list(map(str, json.loads(spec["context"])))
        return []

    def _node(self, described: Mapping[str, Any], name: str) -> Node:
        target = str(described["target"])
        prefix = next((prefix for prefix in PREFIXES if target.startswith(prefix)), None)
        if prefix is None:
            raise ModelError(f"The program uses {target[:60]}, which is not computed here.")
        inputs: list[str] = []
        positional, keyword = [], {}
        for entry in described["inputs"]:
            value = self._argument(entry["arg"], inputs)
            if entry.get("kind") == KEYWORD:
                keyword[str(entry["name"])] = value
            else:
                positional.append(value)
        outputs = [name for output in described["outputs"] for name in _names(output)]
        operator = PREFIXES[prefix] + target.removeprefix(prefix)
        attributes = arguments(positional, keyword)
        return Node(operator, name, tuple(inputs), tuple(outputs), attributes)

    def _argument(self, argument: Mapping[str, Any], inputs: list[str]) -> Any:
        """Return an argument's value, its inputs added to the node's."""
        ((kind, value),) = argument.items()
        if kind in LITERALS:
            return LITERALS[kind](value)
        if kind in NESTED:
            return self._argument(value, inputs)
        if kind in NESTED_LISTS:
            return [self._argument(item, inputs) for item in value]
        if kind == "as_tensor":
            return self._slot(value["name"], inputs, number=False)
        if kind == "as_tensors":
            return [self._slot(tensor["name"], inputs, number=False) for tensor in value]
        if kind == "as_name":
            return self._slot(value, inputs, number=True)
        if kind == "as_layout" and value == DENSE:
            return torch.strided
        raise ModelError(f"The program holds an argument of kind {kind[3:40]}, which is not read.")

    def _slot(self, name: str, inputs: list[str], *, number: bool) -> Any:
        known = self._values.get(name)
        if known is not None and not isinstance(known, Tensor):
            return known
        inputs.append(str(name))
        return Slot(len(inputs) - 1, number)


def _read_json(file: zipfile.ZipFile, name: str) -> Any:
    """Return the content of a member that is JSON.

    Raises:
        ModelError: When it is too large or damaged.
    """
    if file.getinfo(name).file_size > MAX_DESCRIPTION_MIB * 2**20:
        raise ModelError(f"The program's description exceeds {MAX_DESCRIPTION_MIB} MiB; refused.")
    try:
        return json.loads(file.read(name))
    except (zipfile.BadZipFile, zlib.error):
        raise ModelError("The file is cut off or damaged; save it again.") from None


def _read_tensors(
    file: zipfile.ZipFile, folder: str, listed: Mapping[str, Any]
) -> Iterator[tuple[str, Tensor]]:
    """Yield tensors that lie in an archive as plain numbers.

    Raises:
        ModelError: When a tensor is anything else, or claims more than is there.
    """
    for name, entry in listed.items():
        if entry["use_pickle"] or not str(entry["path_name"]).startswith(("weight_", "tensor_")):
            raise ModelError(
                f"The program keeps {name[:60]!r} as a pickle or an object, which may hold code; "
                f"refused. To have it, {AGAIN}"
            )
        yield name, _tensor(name, file.read(folder + entry["path_name"]), entry["tensor_meta"])


def _tensor(name: str, content: bytes, meta: Mapping[str, Any]) -> Tensor:
    dtype = DTYPES.get(meta["dtype"])
    if dtype is None or meta["layout"] != DENSE:
        raise ModelError(f"The tensor {name[:60]!r} has a type that is not computed.")
    sizes, strides = ([size["as_int"] for size in meta[key]] for key in ("sizes", "strides"))
    offset, count = meta["storage_offset"]["as_int"], len(content) // dtype.itemsize
    reach = offset + sum((size - 1) * step for size, step in zip(sizes, strides, strict=True))
    empty = any(size == 0 for size in sizes)
    if min([*sizes, *strides, offset]) < 0 or (reach >= count and not empty):
        raise ModelError(f"The tensor {name[:60]!r} claims more than the file holds; refused.")
    if math.prod(sizes) > count:
        raise ModelError(f"The tensor {name[:60]!r} repeats its values; refused.")
    if not content:
        return torch.empty(sizes, dtype=single(dtype))
    flat = torch.frombuffer(bytearray(content[: count * dtype.itemsize]), dtype=dtype)
    return flat.as_strided(sizes, strides, offset).to(single(dtype))


def _only_asserts(node: Mapping[str, Any]) -> bool:
    """Say whether a node only demands something; any other that gives nothing is refused.

    Raises:
        ModelError: When it changes something in a way that is not computed.
    """
    target = str(node["target"])
    if any(word in target for word in ASSERTIONS):
        return True
    if not node["outputs"]:
        raise ModelError(f"The program uses {target[:60]}, which changes values out of sight.")
    return False


def _is_training(node: Mapping[str, Any]) -> bool:
    """Say whether a node is what only training does."""
    flags = {entry["name"]: entry["arg"].get("as_bool") for entry in node["inputs"]}
    drops = "dropout" in node["target"] and flags.get("train")
    return bool(drops or ("batch_norm" in node["target"] and flags.get("training")))


def _names(output: Mapping[str, Any]) -> list[str]:
    """Return the names of what a node gives."""
    ((_, value),) = output.items()
    if isinstance(value, list):
        return [str(tensor["name"]) for tensor in value]
    if value is None or value is True:
        return [""]
    return [str(value.get("name") or value["as_name"])]


def _layer_names(nodes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what people read: the module that a node was written in, and its operation."""
    modules = [_module(node) for node in nodes]
    count = Counter(modules)
    names = []
    for module, node in zip(modules, nodes, strict=True):
        operation = str(node["target"]).rpartition("aten.")[2].partition(".")[0].strip("_")
        alone = bool(module) and count[module] == 1
        names.append(module if alone else f"{module}.{operation}".strip("."))
    return names


def _module(node: Mapping[str, Any]) -> str:
    """Return the path of the innermost module that a node was written in; empty where unknown."""
    stack = str(node.get("metadata", {}).get("nn_module_stack", ""))
    path = stack.rpartition(";")[2].split(",")
    return path[1] if len(path) > 2 else ""
