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
    *("leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus"),
    *("hardswish", "hardsigmoid", "hardtanh", "sigmoid", "tanh", "log_sigmoid", "logsigmoid"),
}
OF_ONE = ACTIVATIONS | {
    *("exp", "log", "sqrt", "rsqrt", "reciprocal", "square", "pow", "abs", "erf", "clamp_max"),
    "clip",
}
POOLS = {"max_pool2d", "adaptive_max_pool2d"}
PRODUCTS = {"mul", "multiply", "rmul"}
SOFTMAX = {"softmax"}
# Operations of values that depend on the image, for which no rule is known here.
REFUSED = {
    *("glu", "log_softmax", "layer_norm", "group_norm", "instance_norm", "rms_norm", "normalize"),
    *("scaled_dot_product_attention", "multi_head_attention_forward", "amax", "amin", "max_pool1d"),
    *("max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool3d", "lp_pool2d", "maximum"),
}
OF_TWO = {"matmul", "bmm", "einsum", "baddbmm", "div", "truediv", "true_divide", "minimum"}
# What torch calls them at last; those that are used on indices too are left out.
AT_LAST = (ACTIVATIONS | SOFTMAX | {"prelu_kernel"}) - {"clamp", "clamp_min", "threshold"}
AT_LAST_OF_RULES = AT_LAST | {
    *("max_pool2d_with_indices", "max_pool3d_with_indices", "native_layer_norm"),
    *("native_group_norm", "log_softmax", "glu"),
}
SAME = 1e-10  # below, two values are one, and the slope takes the place of the ratio

Func = Callable[..., Any]
Args: TypeAlias = tuple[Any, ...]
Named: TypeAlias = dict[str, Any]
Rule = Callable[[str, Func, Args, Named], Any]


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
    found: list[str] = []
    answer = (images, len(spec.class_names))

    def rule(name: str, func: Func, args: Args, kwargs: Named) -> Any:
        values = args[0]
        if values.shape == answer:  # a probability is turned into a logit
            return func(*args, **kwargs)
        if name not in RELUS or not _cut_at_zero(name, args, kwargs):
            raise UnknownRuleError(name)
        found.append(name)
        alias = _OnlyPositive.apply(values)
        return _as_called(values, alias, func(alias, *args[1:], **kwargs))

    covers = ACTIVATIONS | SOFTMAX | {"glu", "scaled_dot_product_attention"}
    why = "guided backpropagation is defined for networks whose only activations are ReLUs"
    with _overridden(rule, covers, AT_LAST, spec, why):
        yield found


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

    def rule(name: str, func: Func, args: Args, kwargs: Named) -> Any:
        values, n = args[0], 2 * images
        tensors = [one for one in args if isinstance(one, Tensor) and one.requires_grad]
        if name in PRODUCTS | OF_TWO and len(tensors) < 2:
            if name in PRODUCTS | {"matmul", "bmm", "einsum", "baddbmm"} or values is tensors[0]:
                return func(*args, **kwargs)  # by a constant
            raise UnknownRuleError(name)
        for one in tensors:
            if torch._C._functorch.is_batchedtensor(one) or one.ndim < 2 or len(one) % n:
                raise UnknownRuleError(name)
        if name in OF_ONE and len(tensors) == 1:
            return _ratio(func, values, args[1:], kwargs)
        if name in PRODUCTS:
            return _product(*tensors)
        if name in POOLS:
            return _maximum(name, values, args[1:], kwargs)
        if name in SOFTMAX:
            return _softmax(values, *args[1:], **kwargs)
        raise UnknownRuleError(name)

    covers = OF_ONE | PRODUCTS | POOLS | SOFTMAX | REFUSED | OF_TWO
    with _overridden(rule, covers, AT_LAST_OF_RULES, spec, "DeepLift has no rule for it"):
        yield


class _OnlyPositive(torch.autograd.Function):
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


class _Seen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the non-linear operations that reach torch past the rule."""

    def __init__(self, at_last: set[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._at_last = at_last
        self.within = False
        self.missed: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation; note it where no rule was asked."""
        name = func.overloadpacket.__name__.strip("_")
        if name in self._at_last and not self.within:
            self.missed.append(name)
        with torch._C.DisableTorchFunction():  # the rule is asked above, where gradients are made
            return func(*args, **(kwargs or {}))


class _Override(TorchFunctionMode):
    """Asks a rule about the operations it covers, of values that depend on the pixels."""

    def __init__(self, rule: Rule, covers: set[str], seen: _Seen) -> None:
        super().__init__()
        self._rule, self._covers, self._seen = rule, covers, seen

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation, by the rule where it covers it."""
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "").partition(".")[0].strip("_")
        if name not in self._covers:
            return func(*args, **kwargs)
        if not args and "input" in kwargs:
            args = (kwargs.pop("input"),)
        depends = any(isinstance(one, Tensor) and one.requires_grad for one in args)
        self._seen.within = True
        try:
            return self._rule(name, func, args, kwargs) if depends else func(*args, **kwargs)
        finally:
            self._seen.within = False


@contextmanager
def _overridden(
    rule: Rule, covers: set[str], at_last: set[str], spec: ModelSpec, why: str
) -> Iterator[None]:
    seen = _Seen(at_last)
    try:
        with torch.enable_grad(), seen, _Override(rule, covers, seen):
            yield
    except UnknownRuleError as error:
        raise NotOfferedError(f"{_where(str(error), spec)} and {why}.") from None
    if seen.missed:
        raise NotOfferedError(
            f"{_where(seen.missed[0], spec)} called in a way that cannot be overridden, and {why}."
        )


def _where(name: str, spec: ModelSpec) -> str:
    """Say where an operation of that name is."""
    plain = name.replace("_", "")
    for layer in spec.layers:
        kind = layer.kind.lower().replace("_", "")
        if kind == plain or (plain == "softmax" and kind == "attention"):
            return f"This network uses {name} in {layer.name},"
    return f"This network uses {name},"


def _cut_at_zero(name: str, args: Args, kwargs: Named) -> bool:
    """Say whether an operation cuts values off at zero."""
    ends = {"threshold": ("threshold", "value"), "hardtanh": ("min_val", "max_val")}
    names = ends.get(name, ("min", "max"))
    given = dict(zip(names, args[1:], strict=False)) | kwargs
    if name == "threshold" and given.get("value") != 0:
        return False
    return name in ("relu", "relu6") or given.get(names[0]) == 0


def _as_called(values: Tensor, alias: Tensor, result: Tensor) -> Tensor:
    """Return a result; where the operation works in place, written over its input as well."""
    if result.data_ptr() != alias.data_ptr():
        return result
    return values.copy_(result)


def _ratio(func: Func, values: Tensor, rest: Args, kwargs: Named) -> Tensor:
    """Return an operation's values; back go the ratios of the changes."""
    own = values.detach().clone().requires_grad_()
    alias = own.clone()
    given = func(alias, *rest, **kwargs)
    (slope,) = torch.autograd.grad(given.sum(), own)
    in_place = given.data_ptr() == alias.data_ptr()
    given = given.detach()
    (one, other), (of_one, of_other) = own.detach().chunk(2), given.chunk(2)
    change = one - other
    same = change.abs() < SAME
    ratio = torch.where(same, slope[: len(one)], (of_one - of_other) / change.masked_fill(same, 1))
    result = _going_back(values * torch.cat([ratio, ratio]), given)
    return values.copy_(result) if in_place else result


def _product(one: Tensor, other: Tensor) -> Tensor:
    """Return a product; back goes the mean of the other factor over image and baseline."""
    halves = [torch.stack(part.detach().chunk(2)).mean(0) for part in (one, other)]
    mean_one, mean_other = (torch.cat([half, half]) for half in halves)
    return _going_back(one * mean_other + mean_one * other, one.detach() * other.detach())


def _softmax(values: Tensor, dim: int | None = None, *_: Any, **kwargs: Any) -> Tensor:
    """Return the softmax; back it goes as what it is made of: exp, sum, reciprocal, product."""
    axis = -1 if dim is None else dim
    one, other = values.detach().chunk(2)
    most = torch.maximum(one.amax(axis, keepdim=True), other.amax(axis, keepdim=True))
    powers = _ratio(torch.exp, values - torch.cat([most, most]), (), {})
    total = powers.sum(axis, keepdim=True)
    return _product(powers, _ratio(torch.reciprocal, total, (), {}))


def _maximum(name: str, values: Tensor, rest: Args, kwargs: Named) -> Tensor:
    """Return the maxima of windows; back go the changes, to the cells that were largest."""
    pool: Any = getattr(functional, name)
    given, places = pool(values.detach(), *rest, **{**kwargs, "return_indices": True})
    (top, least), (here, there) = given.chunk(2), places.flatten(2).chunk(2)
    larger = torch.maximum(top, least)
    cells = values.flatten(2)
    one, other = cells.detach().chunk(2)
    change = one - other
    tied = other.gather(2, here) == least.flatten(2)
    there = torch.where(tied, here, there)  # of cells that are equally large, the image's own

    def share(gained: Tensor, at: Tensor) -> Tensor:
        moved = change.gather(2, at)
        ratio = gained.flatten(2) / moved.masked_fill(moved.abs() < SAME, 1)
        return ratio.masked_fill(moved.abs() < SAME, 0)

    first = cells[: len(one)]
    back = first.gather(2, here) * share(larger - least, here)
    back = back + first.gather(2, there) * share(top - larger, there)
    back = torch.cat([back, torch.zeros_like(back)])
    return _going_back(back.reshape(given.shape), given)


def _going_back(values: Tensor, result: Tensor) -> Tensor:
    """Return a result whose gradient is that of other values."""
    return values - values.detach() + result
