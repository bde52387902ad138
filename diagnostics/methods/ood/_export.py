"""The source of a score as one file that runs with torch alone, for a guard to ship."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch

from diagnostics.methods.ood._score import SCORES
from diagnostics.methods.registry import find

HEADER = '''"""{title}: the score of this guard, word for word as Oversure computes it.

`outputs` has the tensors logits (n, k), features (n, d) and layers (n, m); `fitted` has the score's
statistics by name. Annotations that name types of Oversure are never evaluated.

Source: {source}
"""

from __future__ import annotations

import torch
from torch import Tensor
'''


def exported_source(name: str) -> str:
    """Return the text of a module that holds a score under its name, and all that it uses.

    Raises:
        TypeError: When the score uses more than torch, plain values, and functions that keep to
            the same.
    """
    score = SCORES[name]
    if not score.exportable:
        raise TypeError(f"{name} reads what a guard does not have.")
    collected: dict[str, object] = {}
    _collect(find(f"ood/{name}").function, collected)
    values = [f"{key} = {one!r}" for key, one in collected.items() if not inspect.isfunction(one)]
    functions = [_definition(one) for one in collected.values() if inspect.isfunction(one)]
    header = HEADER.format(title=score.title, source=score.source)
    return "\n\n".join([header, *values, *functions]) + "\n"


def _collect(function: Callable[..., Any], collected: dict[str, object]) -> None:
    """Note a function and all that it uses, by name, what is used first."""
    function = inspect.unwrap(function)
    for name in sorted(_names(function) & function.__globals__.keys()):
        value = function.__globals__[name]
        if isinstance(value, FunctionType):
            _collect(value, collected)
        elif isinstance(value, int | float | str):
            _note(name, value, collected)
        elif value is not torch and not isinstance(value, type):
            raise TypeError(f"{function.__name__} uses {name}, which a guard cannot ship.")
    _note(function.__name__, function, collected)


def _note(name: str, value: object, collected: dict[str, object]) -> None:
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
    return "\n" + "\n".join(source.splitlines()[_tree(source).lineno - 1 :])


def _tree(source: str) -> ast.FunctionDef:
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef)
    return definition
