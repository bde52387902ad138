"""Read a whole pickled module, if it is made of nothing but torch, torchvision and timm.

The classes that a file names are looked up among those that are imported already, and handed to
torch's own unpickler of weights, which makes nothing else. No constructor is called: a pickle of a
module never does, and some constructors write code out of the names of their layers.
"""

from __future__ import annotations

import enum
import functools
import importlib
import inspect
import sys
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from diagnostics.errors import ModelError
from diagnostics.loaders import architectures, archive, assumptions, index
from diagnostics.loaders.loaded import Held
from diagnostics.loaders.pickled import foreign_names
from diagnostics.loaders.prepared_by_processor import settings_of
from diagnostics.loaders.weights import Weights, plain
from diagnostics.schema.spec import Candidate, Check, Fit

ARCHITECTURE = "module"
MOST_COMPARED = 6
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
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
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
    if not home.startswith(HOMES) or home in WRITERS:
        return None
    for library in ("torchvision", "timm"):  # whole libraries, and nothing that a file names
        if home.startswith(library):
            importlib.import_module(f"{library}.models")
    found = vars(sys.modules[home]).get(own) if home in sys.modules else None
    if not inspect.isclass(found) or found.__module__ != home:
        return None
    is_module = issubclass(found, nn.Module) and not issubclass(found, NEVER)
    return found if is_module or issubclass(found, enum.Enum) else None


class _Unmade:
    """Marks a class whose objects are only ever filled, not made by its constructor."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise ModelError("The file has a network built by a call, which no saved module needs.")


def _unmade(found: Any) -> Any:
    """Return a class of the same name and methods that cannot be called; others as they are."""
    if inspect.isclass(found) and issubclass(found, nn.Module):
        return type(found.__name__, (_Unmade, found), {"__module__": found.__module__})
    return found


def read(path: Path) -> Held:
    """Return the network that a file holds, whose pickle names nothing but what `known` knows.

    Raises:
        ModelError: When it cannot be opened, or is no classifier of images.
    """
    with zipfile.ZipFile(path) as file:
        members = archive.checked(file, path)
        pickled = next(name for name in members if name.split("/")[-1] == "data.pkl")
        named = foreign_names(file.read(pickled))
    allowed: list[Any] = [(_unmade(known(name)), name.replace(" ", ".")) for name in sorted(named)]
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
    for module in network.modules():
        if isinstance(module, _Unmade):
            module.__class__ = type(module).__mro__[2]
        if "forward" in vars(module) or any(vars(module).get(hooks) for hooks in HOOKS):
            raise ModelError("The file changes what its layers do, which no saved module does.")
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        plain(name, tensor)
    network = network.eval().float().requires_grad_(False)
    kind = type(network).__name__
    return _as_known(network, kind) or assumptions.held(
        network, ARCHITECTURE, (None, None, None), f"A whole module, {kind}, with its weights."
    )


def _as_known(network: nn.Module, kind: str) -> Held | None:
    """Return it with what is published of a network that has its tensors and gives its answers."""
    tensors = dict(network.state_dict())
    alike = [one for one in _fitting(tensors) if _answers_as(network, one, tensors)]
    if not alike:
        return None
    first = alike[0]
    own = getattr(network, "pretrained_cfg", None)  # timm's modules say what they were trained with
    settings = settings_of({}, {"pretrained_cfg": own}) if isinstance(own, dict) else None
    if settings is not None and settings.colour != (first.channels == 3):
        settings = None  # of the network before its first layer was changed
    scalings = {(one.preprocessing.mean, one.preprocessing.std) for one in alike}
    doubt = settings is None and len(scalings) > 1
    settings = settings or first.preprocessing
    said = f"As published for it: {settings.summary}."
    if doubt:
        others = ", ".join(one.architecture for one in alike[1:4])
        said = f"Assumed is {settings.summary}; {others} are the same network with other scaling."
    message = f"A whole module, {kind}; it answers as {first.architecture} does."
    checks = (
        Check("network", "passed", message),
        Check("preprocessing", "warned" if doubt else "passed", said),
    )
    return Held(network, replace(first, preprocessing=settings, message=message), checks)


def _fitting(tensors: dict[str, Tensor]) -> list[Candidate]:
    found = architectures.candidates(Weights(tensors), index.read())
    return [one for one in found if one.fit is not Fit.POSITION][:MOST_COMPARED]


def _answers_as(network: nn.Module, candidate: Candidate, tensors: dict[str, Tensor]) -> bool:
    ours = architectures.answer(network, candidate)
    theirs = architectures.answer(architectures.build_with(candidate, tensors), candidate)
    return ours is not None and theirs is not None and architectures.alike(ours, theirs)
