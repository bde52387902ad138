"""The source of a function as one file that runs with torch alone, for a guard to ship."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch

HEADER = '''"""{about}

`outputs` has the tensors logits (n, k), features (n, d) and layers (n, m); `fitted` has tensors by
name. Annotations that name types of Oversure are never evaluated.
"""

from __future__ import annotations

import torch
from torch import Tensor'''


def standalone_source(function: Callable[..., Any], about: str) -> str:
    """Return the text of a module that holds a function under its name, and all that it uses.

    Args:
        function: Of a network's outputs and fitted tensors.
        about: First line of the module.

    Raises:
        TypeError: When the function uses more than torch, plain values, and functions that keep to
            the same.
    """
    collected: dict[str, object] = {}
    _collect(function, collected)
    parts, constants = [], []
    for name, value in collected.items():
        if inspect.isfunction(value):
            parts.append(_definition(value))
        else:
            constants.append(f"{name} = {value!r}")
    if constants:
        parts.insert(0, "\n".join(constants))
    return "\n\n\n".join([HEADER.format(about=about), *parts]) + "\n"


def _collect(function: Callable[..., Any], collected: dict[str, object]) -> None:
    """Add a function and all that it uses, by name, what is used first."""
    function = inspect.unwrap(function)
    for name in sorted(_names(function) & function.__globals__.keys()):
        value = function.__globals__[name]
        if isinstance(value, FunctionType):
            _collect(value, collected)
        elif isinstance(value, int | float | str):
            _add(name, value, collected)
        elif value is not torch and not isinstance(value, type):
            raise TypeError(f"{function.__name__} uses {name}, which a guard cannot ship.")
    _add(function.__name__, function, collected)


def _add(name: str, value: object, collected: dict[str, object]) -> None:
    if collected.setdefault(name, value) is not value:
        raise TypeError(f"A guard cannot ship two things that are both called {name}.")


def _names(function: Callable[..., Any]) -> set[str]:
    """Return the names that a function's body reads; annotations of its signature are none."""
    body = _tree(inspect.getsource(function)).body
    nodes = [node for statement in body for node in ast.walk(statement)]
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def _definition(function: Callable[..., Any]) -> str:
    """Return a function's source without its decorators."""
    source = inspect.getsource(function)
    return "\n".join(source.splitlines()[_tree(source).lineno - 1 :])


def _tree(source: str) -> ast.FunctionDef:
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef)
    return definition
