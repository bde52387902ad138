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
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

# What a state_dict needs to be rebuilt; every other global is a class or a function of somebody.
PLAIN = {
    "collections OrderedDict",
    "__builtin__ set",
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
    "numpy",
)
DTYPES = {"float16", "bfloat16", "float32", "float64", "int8", "uint8", "int32", "int64", "bool"}

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
            named.add(str(argument))
        elif opcode.name == "STACK_GLOBAL":
            named.add(" ".join(strings[-2:]))
        elif isinstance(argument, str):
            strings.append(argument)
    return named


def _is_plain(name: str) -> bool:
    is_type = name.startswith("torch ") and name.endswith(("Storage", "Tensor"))
    is_dtype = name.startswith("torch ") and name.split(" ")[1].islower()
    plain = name in PLAIN or name.startswith(PLAIN_PREFIXES)
    return plain or is_type or (is_dtype and name.split(" ")[1] in DTYPES)
