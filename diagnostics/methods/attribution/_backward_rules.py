"""Passes that lead gradients back through non-linear operations by rules other than the chain rule.

An operation is overridden where it is called, so that it does not matter whether it is a module, a
function, or used many times. What a rule does not cover is refused by name; what reaches torch past
the rule, as from inside a compiled program, is noticed and refused too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from diagnostics.errors import NotOfferedError
from diagnostics.schema.spec import ModelSpec

RELUS = {"relu", "relu6", "hardtanh", "threshold", "clamp", "clamp_min"}
ACTIVATIONS = RELUS | {
    "leaky_relu",
    "prelu",
    "rrelu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "hardswish",
    "hardsigmoid",
    "sigmoid",
    "tanh",
    "log_sigmoid",
    "logsigmoid",
}
UNARY = ACTIVATIONS | {
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "square",
    "pow",
    "abs",
    "erf",
    "clamp_max",
    "clip",
}
POOLS = {"max_pool2d", "adaptive_max_pool2d"}
MULTIPLICATIONS = {"mul", "multiply", "rmul"}
MATRIX_PRODUCTS = {"matmul", "bmm", "einsum", "baddbmm"}
BINARY = MATRIX_PRODUCTS | {"div", "truediv", "true_divide", "minimum"}
SOFTMAX = {"softmax"}
# Operations of values that depend on the image, for which no rule is known here.
REFUSED = {
    "glu",
    "log_softmax",
    "layer_norm",
    "group_norm",
    "instance_norm",
    "rms_norm",
    "normalize",
    "scaled_dot_product_attention",
    "multi_head_attention_forward",
    "amax",
    "amin",
    "max_pool1d",
    "max_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool3d",
    "lp_pool2d",
    "maximum",
}
# Their names in torch's dispatcher; those that are used on indices too are left out.
DISPATCHED = (ACTIVATIONS | SOFTMAX | {"prelu_kernel"}) - {"clamp", "clamp_min", "threshold"}
DISPATCHED_TO_RESCALE = DISPATCHED | {
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
    "native_layer_norm",
    "native_group_norm",
    "log_softmax",
    "glu",
}
MIN_CHANGE = 1e-10  # of a value, below which the derivative takes the place of the ratio

Func: TypeAlias = Callable[..., Any]
Args: TypeAlias = tuple[Any, ...]
Kwargs: TypeAlias = dict[str, Any]
Rule: TypeAlias = Callable[[str, Func, Args, Kwargs], Any]


class UnknownRuleError(Exception):
    """An operation that no rule covers; its text is the operation's name."""


@contextmanager
def guided(spec: ModelSpec, images: int) -> Iterator[list[str]]:
    """Let only positive gradients pass back through every ReLU while the context is open.

    Args:
        spec: The model; names the layer of what is refused.
        images: How many go through the network.

    Yields:
        The names of the ReLUs that ran.

    Raises:
        NotOfferedError: When another activation lies on the way from the pixels to the logits.
    """
    relus: list[str] = []
    output_shape = (images, len(spec.class_names))

    def rule(name: str, func: Func, args: Args, kwargs: Kwargs) -> Any:
        values = args[0]
        if values.shape == output_shape:  # a probability is turned into a logit
            return func(*args, **kwargs)
        if name not in RELUS or not _cuts_at_zero(name, args, kwargs):
            raise UnknownRuleError(name)
        relus.append(name)
        alias = _PositiveGradient.apply(values)
        result = func(alias, *args[1:], **kwargs)
        if result.data_ptr() == alias.data_ptr():  # in place
            return values.copy_(result)
        return result

    covered = ACTIVATIONS | SOFTMAX | {"glu", "scaled_dot_product_attention"}
    reason = "guided backpropagation is defined for networks whose only activations are ReLUs"
    with _overridden(rule, covered, DISPATCHED, spec, reason):
        yield relus


@contextmanager
def rescaled(spec: ModelSpec, images: int) -> Iterator[None]:
    """Lead gradients back by the rescale rule while the context is open.

    The network must be asked about the images and their baselines in one batch, baselines last.
    The gradient of the first half is then the multiplier of DeepLift: every non-linear operation
    of one value goes back as the ratio of its change to the change of its input; a product by the
    mean of the other factor; a maximum to the cells that were largest in either half.

    Args:
        spec: The model; names the layer of what is refused.
        images: How many images there are without their baselines.

    Raises:
        NotOfferedError: When an operation has no such rule here.
    """

    def rule(name: str, func: Func, args: Args, kwargs: Kwargs) -> Any:
        values = args[0]
        tensors = [arg for arg in args if isinstance(arg, Tensor) and arg.requires_grad]
        if name in MULTIPLICATIONS | BINARY and len(tensors) < 2:
            if name in MULTIPLICATIONS | MATRIX_PRODUCTS or values is tensors[0]:
                return func(*args, **kwargs)  # by a constant
            raise UnknownRuleError(name)
        if not all(_holds_both_halves(tensor, images) for tensor in tensors):
            raise UnknownRuleError(name)
        if name in UNARY and len(tensors) == 1:
            return _ratio(func, values, args[1:], kwargs)
        if name in MULTIPLICATIONS:
            return _product(*tensors)
        if name in POOLS:
            return _maximum(name, values, args[1:], kwargs)
        if name in SOFTMAX:
            return _softmax(values, *args[1:], **kwargs)
        raise UnknownRuleError(name)

    covered = UNARY | MULTIPLICATIONS | POOLS | SOFTMAX | REFUSED | BINARY
    reason = "DeepLift has no rule for it"
    with _overridden(rule, covered, DISPATCHED_TO_RESCALE, spec, reason):
        yield


class _PositiveGradient(torch.autograd.Function):
    """The same values; of their gradient the positive part."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0].clamp_min(0)


class _DispatchMonitor(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the non-linear operations that reach torch past the rule."""

    def __init__(self, names: set[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._names = names
        self.inside_rule = False
        self.missed: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        """Run an operation; note it where no rule was asked."""
        name = func.overloadpacket.__name__.strip("_")
        if name in self._names and not self.inside_rule:
            self.missed.append(name)
        with torch._C.DisableTorchFunction():  # the rule is asked above, where gradients are made
            return func(*args, **(kwargs or {}))


class _Override(TorchFunctionMode):
    """Asks a rule about the operations it covers, of values that depend on the pixels."""

    def __init__(self, rule: Rule, covered: set[str], monitor: _DispatchMonitor) -> None:
        super().__init__()
        self._rule, self._covered, self._monitor = rule, covered, monitor

    def __torch_function__(self, func: Any, types: Any, args: Args = (), kwargs: Any = None) -> Any:
        """Run an operation, by the rule where it covers it."""
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "").partition(".")[0].strip("_")
        if name not in self._covered:
            return func(*args, **kwargs)
        if not args and "input" in kwargs:
            args = (kwargs.pop("input"),)
        depends = any(isinstance(arg, Tensor) and arg.requires_grad for arg in args)
        self._monitor.inside_rule = True
        try:
            return self._rule(name, func, args, kwargs) if depends else func(*args, **kwargs)
        finally:
            self._monitor.inside_rule = False


@contextmanager
def _overridden(
    rule: Rule, covered: set[str], dispatched: set[str], spec: ModelSpec, reason: str
) -> Iterator[None]:
    monitor = _DispatchMonitor(dispatched)
    try:
        with torch.enable_grad(), monitor, _Override(rule, covered, monitor):
            yield
    except UnknownRuleError as error:
        raise NotOfferedError(f"{_usage(str(error), spec)} and {reason}.") from None
    if monitor.missed:
        raise NotOfferedError(
            f"{_usage(monitor.missed[0], spec)} called in a way that cannot be overridden, and "
            f"{reason}."
        )


def _usage(name: str, spec: ModelSpec) -> str:
    """Say where the network uses an operation of that name."""
    plain = name.replace("_", "")
    for layer in spec.layers:
        kind = layer.kind.lower().replace("_", "")
        if kind == plain or (plain == "softmax" and kind == "attention"):
            return f"This network uses {name} in {layer.name},"
    return f"This network uses {name},"


def _cuts_at_zero(name: str, args: Args, kwargs: Kwargs) -> bool:
    """Say whether an operation cuts values off at zero."""
    if name in ("relu", "relu6"):
        return True
    bounds = {"threshold": ("threshold", "value"), "hardtanh": ("min_val", "max_val")}
    lower, upper = bounds.get(name, ("min", "max"))
    arguments = dict(zip((lower, upper), args[1:], strict=False)) | kwargs
    if name == "threshold" and arguments.get("value") != 0:
        return False
    return bool(arguments.get(lower) == 0)


def _holds_both_halves(tensor: Tensor, images: int) -> bool:
    """Say whether the first axis of a tensor can be images and then their baselines."""
    if torch._C._functorch.is_batchedtensor(tensor):
        return False
    return tensor.ndim >= 2 and len(tensor) % (2 * images) == 0


def _ratio(func: Func, values: Tensor, rest: Args, kwargs: Kwargs) -> Tensor:
    """Return an operation's values; back go the ratios of the changes."""
    source = values.detach().clone().requires_grad_()
    alias = source.clone()
    result = func(alias, *rest, **kwargs)
    (derivative,) = torch.autograd.grad(result.sum(), source)
    in_place = result.data_ptr() == alias.data_ptr()
    result = result.detach()
    change, result_change = _change(source), _change(result)
    unchanged = change.abs() < MIN_CHANGE
    ratio = torch.where(
        unchanged, derivative[: len(change)], result_change / change.masked_fill(unchanged, 1)
    )
    rescaled_result = _with_gradient_of(values * torch.cat([ratio, ratio]), result)
    return values.copy_(rescaled_result) if in_place else rescaled_result


def _change(values: Tensor) -> Tensor:
    """Return the images' values minus those of their baselines, outside the autograd graph."""
    images, baselines = values.detach().chunk(2)
    return images - baselines


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Return a product; back goes the mean of the other factor over image and baseline."""

    def mean(factor: Tensor) -> Tensor:
        half = torch.stack(factor.detach().chunk(2)).mean(0)
        return torch.cat([half, half])

    linear = left * mean(right) + mean(left) * right
    return _with_gradient_of(linear, left.detach() * right.detach())


def _softmax(values: Tensor, dim: int | None = None, *_: Any, **kwargs: Any) -> Tensor:
    """Return the softmax; back it goes as what it is made of: exp, sum, reciprocal, product."""
    axis = -1 if dim is None else dim
    images, baselines = values.detach().chunk(2)
    top = torch.maximum(images.amax(axis, keepdim=True), baselines.amax(axis, keepdim=True))
    powers = _ratio(torch.exp, values - torch.cat([top, top]), (), {})
    total = powers.sum(axis, keepdim=True)
    return _product(powers, _ratio(torch.reciprocal, total, (), {}))


def _maximum(name: str, values: Tensor, rest: Args, kwargs: Kwargs) -> Tensor:
    """Return the maxima of windows; back go the changes, to the cells that were largest."""
    pool: Any = getattr(functional, name)
    result, indices = pool(values.detach(), *rest, **{**kwargs, "return_indices": True})
    (image_max, baseline_max), (image_cells, baseline_cells) = (
        result.chunk(2),
        indices.flatten(2).chunk(2),
    )
    larger = torch.maximum(image_max, baseline_max)
    cells = values.flatten(2)
    change = _change(cells)
    images, baselines = cells.chunk(2)
    tied = baselines.detach().gather(2, image_cells) == baseline_max.flatten(2)
    # Of cells that are equally large, the image's own.
    baseline_cells = torch.where(tied, image_cells, baseline_cells)

    def share(gained: Tensor, at: Tensor) -> Tensor:
        cell_change = change.gather(2, at)
        unchanged = cell_change.abs() < MIN_CHANGE
        ratio = gained.flatten(2) / cell_change.masked_fill(unchanged, 1)
        return ratio.masked_fill(unchanged, 0)

    linear = images.gather(2, image_cells) * share(larger - baseline_max, image_cells)
    linear = linear + images.gather(2, baseline_cells) * share(image_max - larger, baseline_cells)
    linear = torch.cat([linear, torch.zeros_like(linear)])
    return _with_gradient_of(linear.reshape(result.shape), result)


def _with_gradient_of(source: Tensor, values: Tensor) -> Tensor:
    """Return values whose gradient is that of other ones."""
    return source - source.detach() + values
