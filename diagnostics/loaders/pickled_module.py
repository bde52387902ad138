"""Read a whole pickled module, if it is made of nothing but torch, torchvision and timm.

The classes that a file names are looked up among those that are imported already, and handed to
torch's own unpickler of weights, which makes nothing else. No constructor is called: a pickle of a
module never does, and some constructors write code out of the names of their layers.
"""

from __future__ import annotations

import inspect
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from diagnostics.errors import ModelError
from diagnostics.loaders import architectures, archive, assumptions, index
from diagnostics.loaders.loaded import LoadedNetwork
from diagnostics.loaders.pickle_names import foreign_names, known
from diagnostics.loaders.preview import Preview
from diagnostics.loaders.processor_config import settings_of
from diagnostics.loaders.refusals import RECIPE
from diagnostics.loaders.registry import loader
from diagnostics.loaders.weights import Weights, plain
from diagnostics.schema.layouts import Size
from diagnostics.schema.request import ModelSource
from diagnostics.schema.spec import Candidate, Check, Fit
from diagnostics.text import line_of

ARCHITECTURE = "module"
MAX_COMPARED = 6
NOT_PERMITTED = (
    "This is a whole pickled model, and this system cannot lock it in, so it is not opened. "
    f"{RECIPE}"
)
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class _Uncallable:
    """Marks a class whose objects are only ever filled, not made by its constructor."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise ModelError("The file has a network built by a call, which no saved module needs.")


def _uncallable(known_object: Any) -> Any:
    """Return a class of the same name and methods that cannot be called; others as they are."""
    if inspect.isclass(known_object) and issubclass(known_object, nn.Module):
        bases, home = (_Uncallable, known_object), known_object.__module__
        return type(known_object.__name__, bases, {"__module__": home})
    return known_object


def matches(file: Preview) -> bool:
    """Say whether torch pickled it as an archive, and it names only classes that are known."""
    is_module = bool(file.members and file.foreign_names) and not file.is_checkpoint
    return is_module and all(map(known, file.foreign_names or ()))


def permit(source: ModelSource) -> None:
    """Refuse whole modules where this system cannot lock them in.

    Raises:
        ModelError: When they are off.
    """
    if not source.modules:
        raise ModelError(NOT_PERMITTED)


@loader("module", matches, brings_network=True, takes_size=True, permit=permit)
def read(path: Path, stated_size: Size | None = None) -> LoadedNetwork:
    """Return the network that a file holds, whose pickle names nothing but what `known` knows.

    Args:
        path: The file.
        stated_size: Height and width of its images in px, as a person states them.

    Raises:
        ModelError: When it cannot be opened, or is no classifier of images.
    """
    with zipfile.ZipFile(path) as file:
        members = archive.checked(file, path)
        pickled = next(name for name in members if name.split("/")[-1] == "data.pkl")
        names = sorted(foreign_names(file.read(pickled)))
    allowed: list[Any] = [(_uncallable(known(name)), name.replace(" ", ".")) for name in names]
    try:
        with (
            warnings.catch_warnings(),
            torch.serialization.safe_globals(allowed),
            torch.sparse.check_sparse_tensor_invariants(),  # type: ignore[no-untyped-call]
        ):
            warnings.simplefilter("ignore")
            network = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged pickle leads to
        raise ModelError(f"torch cannot read this module ({line_of(error)}).") from None
    if not isinstance(network, nn.Module):
        raise ModelError(f"The file holds {type(network).__name__}, which is no network.")
    for module in network.modules():
        if isinstance(module, _Uncallable):
            module.__class__ = type(module).__mro__[2]
        if "forward" in vars(module) or any(vars(module).get(hooks) for hooks in HOOKS):
            raise ModelError("The file changes what its layers do, which no saved module does.")
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        plain(name, tensor)
    network = network.eval().float().requires_grad_(False)
    kind = type(network).__name__
    return _as_known(network, kind) or assumptions.loaded_network(
        network,
        ARCHITECTURE,
        (None, None, None),
        f"A whole module, {kind}, with its weights.",
        stated_size=stated_size,
    )


def _as_known(network: nn.Module, kind: str) -> LoadedNetwork | None:
    """Return it with what is published of a network that has its tensors and gives its answers."""
    tensors = dict(network.state_dict())
    same = [other for other in _fitting(tensors) if _answers_as(network, other, tensors)]
    if not same:
        return None
    first, *others = same
    config = getattr(network, "pretrained_cfg", None)  # with what a module of timm was trained
    settings = settings_of({}, {"pretrained_cfg": config}) if isinstance(config, dict) else None
    if settings is not None and settings.colour != (first.channels == 3):
        settings = None  # of the network before its first layer was changed
    scalings = {(other.preprocessing.mean, other.preprocessing.std) for other in same}
    is_doubtful = settings is None and len(scalings) > 1
    settings = settings or first.preprocessing
    published = f"As published for it: {settings.summary}."
    if is_doubtful:
        names = ", ".join(other.architecture for other in others[:3])
        published = (
            f"Assumed is {settings.summary}; {names} are the same network with other scaling."
        )
    message = f"A whole module, {kind}; it answers as {first.architecture} does."
    checks = (
        Check("network", "passed", message),
        Check("preprocessing", "warned" if is_doubtful else "passed", published),
    )
    candidate = replace(first, preprocessing=settings, message=message)
    return LoadedNetwork(network, candidate, checks)


def _fitting(tensors: dict[str, Tensor]) -> list[Candidate]:
    candidates = architectures.candidates(Weights(tensors), index.read())
    by_name = [candidate for candidate in candidates if candidate.fit is not Fit.POSITION]
    return by_name[:MAX_COMPARED]


def _answers_as(network: nn.Module, candidate: Candidate, tensors: dict[str, Tensor]) -> bool:
    ours = architectures.answer(network, candidate)
    theirs = architectures.answer(architectures.build_with(candidate, tensors), candidate)
    return ours is not None and theirs is not None and architectures.alike(ours, theirs)
