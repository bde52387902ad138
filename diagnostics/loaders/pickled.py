"""Which classes and functions does a pickle name? Read from its opcodes, without running them."""

from __future__ import annotations

import pickletools

from diagnostics.errors import ModelError

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


def foreign_names(pickled: bytes) -> set[str]:
    """Return the classes and functions that a pickle names, other than those of plain tensors."""
    try:
        return {name for name in _globals(pickled) if not _is_plain(name)}
    except ValueError:
        raise ModelError("The file is cut off or damaged; upload it again.") from None


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
