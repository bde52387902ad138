"""Build a network with a person's function, and give it the weights of a file.

Only the command line and the Python API name such a function: it is the person's code, on the
person's machine. The page never does.
"""

from __future__ import annotations

import importlib
import re
import sys

from torch import Tensor, nn

from diagnostics.errors import ModelError
from diagnostics.loaders import assumptions
from diagnostics.loaders.loaded import LoadedNetwork
from diagnostics.schema.layouts import Size
from diagnostics.schema.request import Factory

PATTERN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def build(
    factory: Factory, tensors: dict[str, Tensor], stated_size: Size | None = None
) -> LoadedNetwork:
    """Return the network with its weights, and what could be found out about it.

    Args:
        factory: Names the function.
        tensors: The weights, by name.
        stated_size: Height and width of its images in px, as a person states them.

    Raises:
        ModelError: When there is no such function, it fails, or its network takes other weights.
    """
    network = _call(factory).eval()
    _load_weights(network, tensors, factory.name)
    message = f"{factory.name} built it, and it takes all {len(tensors)} tensors of the file."
    sides = (None, None, None)
    return assumptions.loaded_network(
        network, factory.name, sides, message, stated_size=stated_size
    )


def _call(factory: Factory) -> nn.Module:
    if not PATTERN.fullmatch(factory.name):
        raise ModelError(
            f"A factory is written package.module:function; got {factory.name[:80]!r}."
        )
    module, _, function = factory.name.partition(":")
    if factory.folder not in sys.path:
        sys.path.insert(0, factory.folder)
    try:
        network = getattr(importlib.import_module(module), function)()
    except Exception as error:  # it is the person's code
        reason = f"{type(error).__name__}: {str(error)[:160]}"
        raise ModelError(f"{factory.name} does not build a network ({reason}).") from error
    if not isinstance(network, nn.Module):
        raise ModelError(
            f"{factory.name} must return a torch.nn.Module; it returned {type(network).__name__}."
        )
    return network


def _load_weights(network: nn.Module, tensors: dict[str, Tensor], name: str) -> None:
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    missing = [key for key in shapes if key not in tensors]
    foreign = [key for key in tensors if key not in shapes]
    reshaped = [
        f"{key} is {list(tensors[key].shape)} in the file and {list(shape)} in the network"
        for key, shape in shapes.items()
        if key in tensors and tuple(tensors[key].shape) != shape
    ]
    problems = (
        f"{len(missing)} tensors are missing, first {missing[0]}" if missing else "",
        f"{len(foreign)} are not the network's, first {foreign[0]}" if foreign else "",
        reshaped[0] if reshaped else "",
    )
    if any(problems):
        reason = "; ".join(filter(None, problems))[:300]
        raise ModelError(f"The file's tensors do not fit the network that {name} builds: {reason}.")
    network.load_state_dict(tensors)
