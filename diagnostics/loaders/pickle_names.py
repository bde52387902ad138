"""Which classes and functions does a pickle name, and which of them are safe to make?

The names are read from the pickle's opcodes, without running them.
"""

from __future__ import annotations

import enum
import functools
import importlib
import inspect
import pickletools
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from diagnostics.errors import ModelError

# What a state_dict needs to be rebuilt; every other global is a class or a function of somebody.
PLAIN = {
    "collections OrderedDict",
    "builtins set",
    "_codecs encode",
    "torch Size",
    "torch device",
}
PLAIN_PREFIXES = (
    "torch._utils _rebuild_",
    "torch._tensor _rebuild_",
    "torch.storage ",
    "torch.serialization _get_layout",
)
DTYPES = {"float16", "bfloat16", "float32", "float64", "int8", "uint8", "int32", "int64", "bool"}
# What checkpoints keep beside their tensors and call to make it. Nothing of it is made here.
DATA = {
    "builtins frozenset",
    "builtins range",
    "builtins slice",
    "datetime date",
    "datetime datetime",
    "datetime time",
    "datetime timedelta",
    "datetime timezone",
    "decimal Decimal",
    "fractions Fraction",
    "functools partial",
    "numpy dtype",
    "numpy ndarray",
    "numpy._core.multiarray _reconstruct",
    "numpy._core.multiarray scalar",
    "numpy.core.multiarray _reconstruct",
    "numpy.core.multiarray scalar",
    "pathlib Path",
    "pathlib PosixPath",
    "pathlib PurePath",
    "pathlib PurePosixPath",
    "pathlib PureWindowsPath",
    "pathlib WindowsPath",
    "pathlib._local PosixPath",
    "pathlib._local WindowsPath",
    "uuid UUID",
}
MAPPINGS = ("collections OrderedDict", "collections defaultdict")

HOMES = (
    "diagnostics.models.sample_networks",
    "torch.nn.modules.",
    "torchvision.models.",
    "torchvision.ops.",
    "timm.layers.",
    "timm.models.",
)
# Modules that hold programs, or write them.
WRITERS = ("timm.models._features_fx", "torchvision.models.feature_extraction")
NEVER = (torch.jit.ScriptModule, torch.fx.GraphModule)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "functools partial": functools.partial,
    "torch._C._nn gelu": nn.functional.gelu,
    **{
        f"torch.nn.functional {name}": getattr(nn.functional, name)
        for name in ("relu", "relu6", "gelu", "silu", "mish", "hardswish", "softmax", "leaky_relu")
    },
}


def foreign_names(pickled: bytes) -> set[str]:
    """Return the classes and functions that a pickle names, other than those of plain tensors.

    Raises:
        ValueError: When the pickle is damaged.
    """
    return {name for name in _globals(pickled) if not _is_plain(name)}


def holds_mapping(pickled: bytes) -> bool:
    """Say whether a pickle makes a dict, as a checkpoint or a state_dict is one."""
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name not in ("PROTO", "FRAME"):
            return opcode.name == "EMPTY_DICT" or str(argument) in MAPPINGS
    return False


def stand_in(name: str) -> type:
    """Return a class that takes the place of "module name" and keeps nothing of its objects.

    Objects of classes may stand in a pickle; calls of functions may not, unless they make `DATA`.
    """
    return _Uncalled(name, (_StandIn,), {})


class _Uncalled(type):
    """The class of stand-ins: what a pickle calls is refused, unless it makes data."""

    def __call__(cls, *_: Any, **__: Any) -> Any:
        if cls.__name__ not in DATA:
            raise ModelError(
                f"Opening this checkpoint would call {cls.__name__.replace(' ', '.')[:60]}, which "
                "could run code; refused."
            )
        return super().__call__()


class _StandIn:
    def __new__(cls, *_: Any, **__: Any) -> Any:
        return object.__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Keep nothing."""


def known(name: str) -> Any:
    """Return what a pickle means by "module name", where that is safe to make; None otherwise."""
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    home, _, class_name = name.partition(" ")
    if not home.startswith(HOMES) or home in WRITERS:
        return None
    for library in ("torchvision", "timm"):  # libraries, and nothing that a file names
        if home.startswith(library):
            importlib.import_module(f"{library}.models")
    cls = vars(sys.modules[home]).get(class_name) if home in sys.modules else None
    if not inspect.isclass(cls) or cls.__module__ != home:
        return None
    is_module = issubclass(cls, nn.Module) and not issubclass(cls, NEVER)
    return cls if is_module or issubclass(cls, enum.Enum) else None


def _globals(pickled: bytes) -> set[str]:
    named: set[str] = set()
    strings: list[str] = []
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in ("GLOBAL", "INST"):
            named.add(_of_python_3(str(argument)))
        elif opcode.name == "STACK_GLOBAL":
            named.add(" ".join(strings[-2:]))
        elif isinstance(argument, str):
            strings.append(argument)
    return named


def _of_python_3(name: str) -> str:
    """Return "module name" as it is called today; protocol 2 writes the names of Python 2."""
    module, _, attribute = name.partition(" ")
    if (module, attribute) in NAME_MAPPING:
        return " ".join(NAME_MAPPING[module, attribute])
    return f"{IMPORT_MAPPING.get(module, module)} {attribute}"


def _is_plain(name: str) -> bool:
    is_type = name.startswith("torch ") and name.endswith(("Storage", "Tensor"))
    is_dtype = name.startswith("torch ") and name.split(" ")[1].islower()
    plain = name in PLAIN or name.startswith(PLAIN_PREFIXES)
    return plain or is_type or (is_dtype and name.split(" ")[1] in DTYPES)
