"""List a network's layers and record what each of them gives in one forward pass."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from diagnostics.spec import LayerInfo


@contextmanager
def capture(network: nn.Module, names: Collection[str]) -> Iterator[dict[str, Tensor]]:
    """Record the outputs of the named layers while the context is open.

    Each recorded tensor is what the layer gave, and stays so: the rest of the network goes on
    with a clone, because a following in-place operation would overwrite the recorded values.
    Recorded tensors belong to the autograd graph. A layer that runs twice is recorded again
    under "name#2"; a layer that does not run has no entry. The hooks are gone afterwards, also
    after an error.

    Args:
        network: The network to listen to.
        names: Names as in `network.named_modules()`.

    Yields:
        A dict that fills up during the forward pass, in the order in which layers finish.
    """
    activations: dict[str, Tensor] = {}
    originals: dict[int, tuple[Tensor, Tensor]] = {}

    def listen(name: str) -> Any:
        def hook(_module: nn.Module, _args: Any, output: Any) -> Any:
            tensor = _first_tensor(output)
            if tensor is None:
                return None
            clone, original = originals.get(id(tensor), (None, tensor))
            if clone is not None and clone._version == 0:
                activations[_unused(name, activations)] = original
                return None
            activations[_unused(name, activations)] = tensor
            clone = tensor.clone()
            originals[id(clone)] = (clone, tensor)
            return _with_first_tensor(output, clone)

        return hook

    modules = dict(network.named_modules())
    handles = [modules[name].register_forward_hook(listen(name)) for name in names]
    try:
        yield activations
    finally:
        for handle in handles:
            handle.remove()


def list_layers(network: nn.Module, network_input: Tensor) -> tuple[LayerInfo, ...]:
    """List every module below the root, those that ran first and in the order they finished.

    Args:
        network: The network.
        network_input: One image as the network receives it, shape (1, c, h, w).

    Returns:
        One entry per call of a module; a module that did not run comes last with shape ().
    """
    modules = {name: module for name, module in network.named_modules() if name}
    with torch.no_grad(), capture(network, list(modules)) as activations:
        network(network_input)
    ran = [
        LayerInfo(name, _kind(modules[name.split("#")[0]]), tuple(tensor.shape[1:]))
        for name, tensor in activations.items()
    ]
    silent = [
        LayerInfo(name, _kind(module), ())
        for name, module in modules.items()
        if name not in activations
    ]
    return (*ran, *silent)


def _kind(module: nn.Module) -> str:
    return type(module).__name__


def _first_tensor(output: Any) -> Tensor | None:
    if isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None


def _with_first_tensor(output: Any, tensor: Tensor) -> Any:
    if isinstance(output, Tensor):
        return tensor
    return type(output)([tensor, *output[1:]])


def _unused(name: str, taken: Collection[str]) -> str:
    if name not in taken:
        return name
    call = 2
    while f"{name}#{call}" in taken:
        call += 1
    return f"{name}#{call}"
