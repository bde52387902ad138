"""The registry of methods: a function in a family's folder, described by its signature."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl

from diagnostics.errors import OptionError
from diagnostics.schema.options import Choices, Kind, Layer, MethodInfo, Option, Range, Value
from diagnostics.schema.spec import ModelSpec, Need

PACKAGE = "diagnostics.methods"

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Method:
    """A registered method.

    Args:
        info: Its description.
        function: Computes it.
        forward_passes: How many forward passes each image takes, from spec and options.
    """

    info: MethodInfo
    function: Callable[..., Any]
    forward_passes: Callable[..., int]


_REGISTRY: dict[str, Method] = {}


def method(
    title: str,
    *,
    source: str,
    kind: Kind = "analysis",
    needs: Collection[Need] = (),
    forward_passes: Callable[..., int] | None = None,
    order: int = 0,
    explanation: str = "",
) -> Callable[[Function], Function]:
    """Register a method under "family/function name"; its family is its module's folder.

    Args:
        title: The name people read.
        source: Paper the method comes from.
        kind: What it answers, see `MethodInfo`.
        needs: What the model must offer.
        forward_passes: How many forward passes each image takes, from the model's spec and the
            options; None when the single pass is enough that Inspect makes anyway.
        order: See `MethodInfo`.
        explanation: See `MethodInfo`.

    Raises:
        ValueError: When the name is taken, or differs from its module's name.
    """

    def register(function: Function) -> Function:
        *_, family, module = function.__module__.split(".")
        name = function.__name__
        identity = f"{family}/{name}"
        if identity in _REGISTRY and _REGISTRY[identity].function.__module__ != function.__module__:
            raise ValueError(f"Two methods are called {identity!r}.")
        if name != module:
            raise ValueError(f"Method {name!r} must stand in a file of its own name.")
        summary = (inspect.getdoc(function) or "").partition("\n")[0]
        info = MethodInfo(
            id=identity,
            kind=kind,
            title=title,
            summary=summary,
            source=source,
            needs=tuple(sorted(needs)),
            options=_options(function),
            expensive=forward_passes is not None,
            order=order,
            explanation=explanation,
        )
        _REGISTRY[identity] = Method(info, function, forward_passes or _one_pass)
        return function

    return register


def methods(kind: Kind | None = None) -> tuple[Method, ...]:
    """Return every registered method, or those of one kind, sorted by id."""
    _discover()
    return tuple(
        _REGISTRY[name]
        for name in sorted(_REGISTRY)
        if kind is None or _REGISTRY[name].info.kind == kind
    )


def find(identity: str) -> Method:
    """Return the method called "family/name".

    Raises:
        OptionError: When there is none; the text lists those there are.
    """
    _discover()
    if identity not in _REGISTRY:
        known = ", ".join(sorted(_REGISTRY))
        raise OptionError(f"There is no method {identity!r}; there are {known}.")
    return _REGISTRY[identity]


def parse(written: str) -> tuple[str, dict[str, Value]]:
    """Return a method's id and the settings written behind it, "family/name?option=value".

    Raises:
        OptionError: When the method or an option does not exist, or a value does not fit.
    """
    identity, _, query = written.partition("?")
    return identity, find(identity).info.read(dict(parse_qsl(query, keep_blank_values=True)))


def _one_pass(_spec: ModelSpec, **_options: Value) -> int:
    return 1


@cache
def _discover() -> None:
    package = importlib.import_module(PACKAGE)
    for module in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."):
        importlib.import_module(module.name)


def _options(function: Callable[..., Any]) -> tuple[Option, ...]:
    hints = typing.get_type_hints(function, include_extras=True)
    help_lines = _argument_help(inspect.getdoc(function) or "")
    return tuple(
        _option(name, hints[name], parameter.default, help_lines.get(name, ""))
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    )


def _option(name: str, hint: Any, default: Any, sentence: str) -> Option:
    """Read an option from its annotation: a type, a Literal, or Annotated with its limits."""
    marks: tuple[Any, ...] = ()
    if typing.get_origin(hint) is Annotated:
        hint, *rest = typing.get_args(hint)
        marks = tuple(rest)
    listed = next((mark for mark in marks if isinstance(mark, Choices)), None)
    if listed or typing.get_origin(hint) is Literal:
        words = listed.words if listed else typing.get_args(hint)
        return Option(name, "choice", default, choices=words, help=sentence)
    kind = "layer" if any(isinstance(mark, Layer) for mark in marks) else hint.__name__
    kind = "text" if kind == "str" else kind
    limits = next((mark for mark in marks if isinstance(mark, Range)), None)
    return Option(name, kind, default, range=limits, help=sentence)


def _argument_help(docstring: str) -> dict[str, str]:
    """Return the sentence of each entry in a Google-style "Args:" section."""
    sentences: dict[str, str] = {}
    _, _, section = docstring.partition("Args:\n")
    name = ""
    for line in section.splitlines():
        if not line.startswith("    "):
            break
        if line.startswith("     "):
            sentences[name] += " " + line.strip()
        else:
            name, _, text = line.strip().partition(": ")
            sentences[name] = text
    return sentences
