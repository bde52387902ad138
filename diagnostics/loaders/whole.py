"""Read a whole pickled module, if it is made of nothing but torch, torchvision and timm.

The classes that a file names are looked up among those that are imported already, and handed to
torch's own unpickler of weights, which makes nothing else.
"""

from __future__ import annotations

import enum
import functools
import inspect
import sys
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from diagnostics.errors import ModelError
from diagnostics.loaders import architectures, archive, index, unsaid
from diagnostics.loaders.held import Held
from diagnostics.loaders.pickled import foreign_names
from diagnostics.loaders.weights import Weights
from diagnostics.spec import Check, Fit

ARCHITECTURE = "module"
HOMES = (
    "diagnostics.networks",
    "torch.nn.modules.",
    "torchvision.models.",
    "torchvision.ops.",
    "timm.layers.",
    "timm.models.",
)
# Modules that hold programs, build further ones, or run on other machines.
NEVER = (torch.jit.ScriptModule, torch.fx.GraphModule)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "functools partial": functools.partial,
    "torch._C._nn gelu": nn.functional.gelu,
    **{
        f"torch.nn.functional {name}": getattr(nn.functional, name)
        for name in ("relu", "relu6", "gelu", "silu", "mish", "hardswish", "softmax", "leaky_relu")
    },
}


def known(name: str) -> Any:
    """Return what a pickle means by "module name", where that is safe to make; None otherwise."""
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    home, _, own = name.partition(" ")
    found = getattr(sys.modules.get(home), own, None)
    if not home.startswith(HOMES) or not inspect.isclass(found) or found.__module__ != home:
        return None
    is_module = issubclass(found, nn.Module) and not issubclass(found, NEVER)
    return found if is_module or issubclass(found, enum.Enum) else None


def read(path: Path) -> Held:
    """Return the network that a file holds, whose pickle names nothing but what `known` knows.

    Raises:
        ModelError: When it cannot be opened, or is no classifier of images.
    """
    with zipfile.ZipFile(path) as file:
        members = archive.checked(file, path)
        pickled = next(name for name in members if name.split("/")[-1] == "data.pkl")
        named = foreign_names(file.read(pickled))
    allowed: list[Any] = [(known(name), name.replace(" ", ".")) for name in sorted(named)]
    try:
        with (
            warnings.catch_warnings(),
            torch.serialization.safe_globals(allowed),
            torch.sparse.check_sparse_tensor_invariants(),  # type: ignore[no-untyped-call]
        ):
            warnings.simplefilter("ignore")
            network = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged pickle leads to
        said = (str(error).splitlines() or [""])[0][:120]
        raise ModelError(f"torch cannot read this module ({said}).") from None
    if not isinstance(network, nn.Module):
        raise ModelError(f"The file holds {type(network).__name__}, which is no network.")
    network = network.eval().float().requires_grad_(False)
    kind = type(network).__name__
    return _as_known(network, kind) or unsaid.held(
        network, ARCHITECTURE, (None, None, None), f"A whole module, {kind}, with its weights."
    )


def _as_known(network: nn.Module, kind: str) -> Held | None:
    """Return it with what is published of a network that has its tensors and gives its answers."""
    tensors = dict(network.state_dict())
    for candidate in architectures.candidates(Weights(tensors), index.read()):
        if candidate.fit is Fit.POSITION:
            continue
        ours = architectures.answer(network, candidate)
        theirs = architectures.answer(architectures.build_with(candidate, tensors), candidate)
        if ours is not None and theirs is not None and architectures.alike(ours, theirs):
            message = f"A whole module, {kind}; it answers as {candidate.architecture} does."
            check = Check("network", "passed", message)
            return Held(network, replace(candidate, message=message), (check,))
    return None
