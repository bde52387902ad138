"""List a network's layers and record what each of them gives in one forward pass.

Layers are modules, and the functional operations that modules with children do themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import FunctionType
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from diagnostics.schema.layouts import SCORES, Size, layout, token_grid
from diagnostics.schema.spec import LayerInfo

ATTENTION = "attention"
ACTIVATIONS = {
    "elu",
    "gelu",
    "glu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
}
POOLS = {
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "amax",
    "avg_pool2d",
    "interpolate",
    "max_pool2d",
    "mean",
}
LEARNED = {"conv2d", "linear", "batch_norm", "layer_norm", "group_norm", "instance_norm"}
RECORDED = ACTIVATIONS | POOLS | LEARNED | {"add", "sub", "mul", "cat"}

RecordOperation: TypeAlias = Callable[[str, Tensor], Tensor]

# The same function, but a function mode no longer takes it for one operation: it sees its parts.
_multi_head_attention = FunctionType(
    functional.multi_head_attention_forward.__code__,
    {**vars(functional), "has_torch_function": lambda _: False},
    "multi_head_attention_forward",
    functional.multi_head_attention_forward.__defaults__,
)


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
        network: The network.
        names: Names of layers, see `list_layers`; None records every layer.

    Yields:
        A dict that fills up during the forward pass, in the order in which layers finish. First
        axis n, one entry per image.
    """
    recorder = _Recorder(names)
    modules = dict(network.named_modules())
    bases = set(modules) if names is None else {_base(name) for name in names}
    has_operations = names is None or not bases <= modules.keys()
    hooked = modules if has_operations else {"", *bases}
    with ExitStack() as stack:
        for name in hooked:
            before, after = recorder.enter(name), recorder.leave(name)
            stack.callback(modules[name].register_forward_pre_hook(before).remove)
            stack.callback(modules[name].register_forward_hook(after, always_call=True).remove)
        if has_operations:
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
    unused = [
        LayerInfo(name, type(module).__name__, ())
        for name, module in modules.items()
        if name not in activations
    ]
    return (*ran, *unused)


def as_maps(values: Tensor, layer: LayerInfo, image_size: Size) -> Tensor | None:
    """Put what a layer gave on its grid of cells, shape (n, c, h, w); None when it has none.

    Tokens stand on the grid of their patches; class and other extra tokens are left out.

    Args:
        values: What the layer gave, first axis the images.
        layer: The layer.
        image_size: Height and width of the network's input, in px.
    """
    arrangement = layout(layer, image_size)
    if arrangement == "channels":
        return values
    if arrangement == "channels last":
        return values.movedim(-1, 1)
    grid = token_grid(values.shape[1], image_size) if arrangement == "tokens" else None
    if grid is None:
        return None
    extra, height, width = grid
    return values[:, extra:].mT.reshape(len(values), -1, height, width)


def module_names(names: Iterable[str]) -> list[str]:
    """Return names under which modules can be added to one network, as near as they can be."""
    reserved = set(dir(nn.Module()))
    unique: list[str] = []
    numbers: Counter[str] = Counter()
    for name in names:
        base = name.strip("/").replace(".", "_").replace("#", "_") or "node"
        base = f"node{base}" if base.startswith(("_", "weight_")) else base
        free = base
        while free in reserved:
            numbers[base] += 1
            free = f"{base}_{numbers[base] + 1}"
        reserved.add(free)
        unique.append(free)
    return unique


class Operations(TorchFunctionMode):
    """Records functional operations, which module hooks cannot: sums, attention.

    It does so while it is open, whether a graph can be traced or not. Fused attention is computed
    step by step instead, because only then its weights exist.

    Args:
        record: Called with an operation's name and result; gives what the network goes on with.
    """

    def __init__(self, record: RecordOperation) -> None:
        super().__init__()
        self._record = record

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation and record it."""
        kwargs = kwargs or {}
        if func is functional.multi_head_attention_forward:
            with self:  # a mode is off while it handles a function
                return _multi_head_attention(*args, **kwargs)
        if func is functional.scaled_dot_product_attention:
            return self._attend(*args, **kwargs)
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "").rstrip("_")
        if name not in RECORDED or not isinstance(result, Tensor) or not result.is_floating_point():
            return result
        if name == "softmax" and result.ndim >= 3 and _is_over_last_axis(result, args, kwargs):
            name = ATTENTION
        return self._record(name, result)

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """Do what `torch.nn.functional.scaled_dot_product_attention` documents, with weights."""
        if enable_gqa:
            key, value = (
                shared.repeat_interleave(query.shape[-3] // shared.shape[-3], -3)
                for shared in (key, value)
            )
        scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, float("-inf"))
        elif attn_mask is not None:
            scores = scores + attn_mask
        weights = self._record(ATTENTION, scores.softmax(-1))
        return functional.dropout(weights, dropout_p, training=dropout_p > 0) @ value


class _Recorder:
    """What one forward pass gave, by layer."""

    def __init__(self, names: Collection[str] | None) -> None:
        self.activations: dict[str, Tensor] = {}
        self._names = None if names is None else frozenset(names)
        self._calls: Counter[str] = Counter()
        self._versions: dict[str, int] = {}
        self._originals: dict[int, tuple[Tensor, Tensor]] = {}  # of each clone that went on
        self._inside: list[tuple[str, bool]] = []  # modules that run now, and whether leaves
        self._images = 0

    def enter(self, name: str) -> Any:
        """Return the hook that runs when a module begins."""

        def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
            if not self._inside and args and isinstance(args[0], Tensor):
                self._images = len(args[0])
            self._inside.append((name, not any(True for _ in module.children())))

        return hook

    def leave(self, name: str) -> Any:
        """Return the hook that runs when a module is done, and records its output."""

        def hook(_module: nn.Module, _args: Any, output: Any) -> Any:
            self._inside.pop()
            tensor = _first_tensor(output)
            if tensor is None or not name:
                return None
            clone = self._record(name, tensor)
            return None if clone is tensor else _with_first_tensor(output, clone)

        return hook

    def operation(self, operation: str, result: Tensor) -> Tensor:
        """Record what an operation gave, and return what the network goes on with."""
        inside = self._inside
        if operation == ATTENTION and len(inside) > 1 and inside[-1][1]:
            inside = inside[:-1]  # a softmax module inside the module that attends
        module, leaf = inside[-1] if inside else ("", True)
        if leaf:  # the module's output says it all
            return result
        name = f"{module}.{operation}" if module else operation
        if operation != ATTENTION:
            return self._record(name, result)
        by_image = _by_image(result, self._images)
        return result if by_image is None else self._record(name, by_image).view_as(result)

    def drop_overwritten(self) -> None:
        """Forget what an in-place operation of the network reached all the same."""
        for name, version in self._versions.items():
            if self.activations[name]._version != version:
                del self.activations[name]

    def _record(self, base: str, tensor: Tensor) -> Tensor:
        self._calls[base] += 1
        name = base if self._calls[base] == 1 else f"{base}#{self._calls[base]}"
        if self._names is not None and name not in self._names:
            return tensor
        if tensor.ndim < 2 or len(tensor) != self._images:
            return tensor
        clone, original = self._originals.get(id(tensor), (None, tensor))
        if clone is not None and clone._version == 0:
            self._store(name, original)
            return tensor
        self._store(name, tensor)
        clone = tensor.clone()
        self._originals[id(clone)] = (clone, tensor)
        return clone

    def _store(self, name: str, tensor: Tensor) -> None:
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
    parent, _, operation = _base(name).rpartition(".")
    return (parent, tensor.shape) in weights and operation != ATTENTION


def _kind(name: str, modules: dict[str, nn.Module]) -> str:
    base = _base(name)
    return type(modules[base]).__name__ if base in modules else base.rpartition(".")[2]


def _is_over_last_axis(result: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
    return axis in (-1, result.ndim - 1)


def _first_tensor(output: Any) -> Tensor | None:
    if isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None


def _with_first_tensor(output: Any, tensor: Tensor) -> Any:
    if isinstance(output, Tensor):
        return tensor
    return type(output)([tensor, *output[1:]])
