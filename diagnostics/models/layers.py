"""List a network's layers and record what each of them gives in one forward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from diagnostics.models._operations import ATTENTION, Operations
from diagnostics.schema.layouts import SCORES, Size, layout, token_grid
from diagnostics.schema.spec import LayerInfo


@contextmanager
def capture(
    network: nn.Module, names: Collection[str] | None = None
) -> Iterator[dict[str, Tensor]]:
    """Record the outputs of the named layers while the context is open.

    A layer is a module, or a functional operation that a module with children does itself: a
    residual sum is "layer1.0.add", attention weights are "blocks.0.attn.attention".

    Each recorded tensor is what the layer gave, and stays so: the rest of the network goes on
    with a clone, because a following in-place operation would overwrite the recorded values.
    Recorded tensors belong to the autograd graph. A layer that runs twice is recorded again
    under "name#2"; a layer that does not run has no entry. The hooks are gone afterwards, also
    after an error.

    Args:
        network: The network to listen to.
        names: Names of layers, see `list_layers`; None records every layer.

    Yields:
        A dict that fills up during the forward pass, in the order in which layers finish. First
        axis n, one entry per image.
    """
    recorder = _Recorder(names)
    modules = dict(network.named_modules())
    asked = set(modules) if names is None else {_base(name) for name in names}
    operations = names is None or not asked <= modules.keys()
    followed = modules if operations else {"", *asked}
    with ExitStack() as stack:
        for name in followed:
            before, after = recorder.enter(name), recorder.leave(name)
            stack.callback(modules[name].register_forward_pre_hook(before).remove)
            stack.callback(modules[name].register_forward_hook(after, always_call=True).remove)
        if operations:
            stack.enter_context(Operations(recorder.operation))
        yield recorder.activations
    recorder.drop_overwritten()


def list_layers(network: nn.Module, network_input: Tensor) -> tuple[LayerInfo, ...]:
    """List every layer, those that ran first and in the order they finished.

    Args:
        network: The network.
        network_input: Two images or more as the network receives them, shape (n, c, h, w): with
            one, the batch axis could not be told from others of length 1.

    Returns:
        One entry per call of a module or operation; a module that did not run comes last with
        shape ().
    """
    modules = {name: module for name, module in network.named_modules() if name}
    with torch.no_grad(), capture(network) as activations:
        network(network_input)
    weights = {
        (name.rpartition(".")[0], tensor.shape)
        for name, tensor in activations.items()
        if _kind(name, modules) == ATTENTION
    }
    ran = [
        LayerInfo(
            name,
            SCORES if _is_scores(name, tensor, weights) else _kind(name, modules),
            tuple(tensor.shape[1:]),
        )
        for name, tensor in activations.items()
    ]
    silent = [
        LayerInfo(name, type(module).__name__, ())
        for name, module in modules.items()
        if name not in activations
    ]
    return (*ran, *silent)


def as_maps(values: Tensor, layer: LayerInfo, image_size: Size) -> Tensor | None:
    """Put what a layer gave on its grid of cells, shape (n, c, h, w); None when it has none.

    Tokens stand on the grid of their patches; class and other extra tokens are left out.

    Args:
        values: What the layer gave, first axis the images.
        layer: The layer.
        image_size: Height and width of the network's input, in px.
    """
    arranged = layout(layer, image_size)
    if arranged == "channels":
        return values
    if arranged == "channels last":
        return values.movedim(-1, 1)
    grid = token_grid(values.shape[1], image_size) if arranged == "tokens" else None
    if grid is None:
        return None
    extra, height, width = grid
    return values[:, extra:].mT.reshape(len(values), -1, height, width)


def module_names(names: Iterable[str]) -> list[str]:
    """Return names under which modules can be added to one network, as near as they can be."""
    taken = set(dir(nn.Module()))
    found: list[str] = []
    numbers: Counter[str] = Counter()
    for wanted in names:
        own = wanted.strip("/").replace(".", "_").replace("#", "_") or "node"
        own = f"node{own}" if own.startswith(("_", "weight_")) else own
        name = own
        while name in taken:
            numbers[own] += 1
            name = f"{own}_{numbers[own] + 1}"
        taken.add(name)
        found.append(name)
    return found


class _Recorder:
    """What one forward pass gave, by layer."""

    def __init__(self, wanted: Collection[str] | None) -> None:
        self.activations: dict[str, Tensor] = {}
        self._wanted = None if wanted is None else frozenset(wanted)
        self._calls: Counter[str] = Counter()
        self._versions: dict[str, int] = {}
        self._originals: dict[int, tuple[Tensor, Tensor]] = {}  # of each clone that went on
        self._inside: list[tuple[str, bool]] = []  # modules that run now, and whether leaves
        self._images = 0

    def enter(self, name: str) -> Any:
        """Return the hook that notes that a module begins."""

        def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
            if not self._inside and args and isinstance(args[0], Tensor):
                self._images = len(args[0])
            self._inside.append((name, not any(True for _ in module.children())))

        return hook

    def leave(self, name: str) -> Any:
        """Return the hook that notes that a module is done, and what it gave."""

        def hook(_module: nn.Module, _args: Any, output: Any) -> Any:
            self._inside.pop()
            tensor = _first_tensor(output)
            if tensor is None or not name:
                return None
            clone = self._keep(name, tensor)
            return None if clone is tensor else _with_first_tensor(output, clone)

        return hook

    def operation(self, operation: str, result: Tensor) -> Tensor:
        """Note what an operation gave, and return what the network goes on with."""
        inside = self._inside
        if operation == ATTENTION and len(inside) > 1 and inside[-1][1]:
            inside = inside[:-1]  # a softmax module inside the module that attends
        module, leaf = inside[-1] if inside else ("", True)
        if leaf:  # the module's output says it all
            return result
        name = f"{module}.{operation}" if module else operation
        if operation != ATTENTION:
            return self._keep(name, result)
        by_image = _by_image(result, self._images)
        return result if by_image is None else self._keep(name, by_image).view_as(result)

    def drop_overwritten(self) -> None:
        """Forget what an in-place operation of the network reached all the same."""
        for name, version in self._versions.items():
            if self.activations[name]._version != version:
                del self.activations[name]

    def _keep(self, base: str, tensor: Tensor) -> Tensor:
        self._calls[base] += 1
        name = base if self._calls[base] == 1 else f"{base}#{self._calls[base]}"
        if self._wanted is not None and name not in self._wanted:
            return tensor
        if tensor.ndim < 2 or len(tensor) != self._images:
            return tensor
        clone, original = self._originals.get(id(tensor), (None, tensor))
        if clone is not None and clone._version == 0:
            self._note(name, original)
            return tensor
        self._note(name, tensor)
        clone = tensor.clone()
        self._originals[id(clone)] = (clone, tensor)
        return clone

    def _note(self, name: str, tensor: Tensor) -> None:
        self.activations[name] = tensor
        self._versions[name] = tensor._version


def _base(name: str) -> str:
    return name.partition("#")[0]


def _by_image(weights: Tensor, images: int) -> Tensor | None:
    """Put attention weights in the shape (n, …, heads, q, k); None when that cannot be."""
    if not images or len(weights) % images:
        return None
    if weights.ndim == 5 and weights.shape[:2] == (images, 1):
        return weights.squeeze(1)  # a single window is no window
    if len(weights) == images and weights.ndim > 3:
        return weights
    return weights.reshape(images, -1, *weights.shape[1:])


def _is_scores(name: str, tensor: Tensor, weights: set[tuple[str, torch.Size]]) -> bool:
    """Say whether a layer gives what attention weights are made of, or a copy of them."""
    parent, _, own = _base(name).rpartition(".")
    return (parent, tensor.shape) in weights and own != ATTENTION


def _kind(name: str, modules: dict[str, nn.Module]) -> str:
    base = _base(name)
    return type(modules[base]).__name__ if base in modules else base.rpartition(".")[2]


def _first_tensor(output: Any) -> Tensor | None:
    if isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None


def _with_first_tensor(output: Any, tensor: Tensor) -> Any:
    if isinstance(output, Tensor):
        return tensor
    return type(output)([tensor, *output[1:]])
