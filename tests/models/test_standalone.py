"""A function's source as a file of its own: it computes the same, or is refused."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from torch import Tensor

from diagnostics.models.guard import Fitted, Outputs
from diagnostics.models.standalone import standalone_source

OFFSET, SCALE, UNSEEN = 3, 0.5, 7
TABLE = np.arange(3)


def helper(values: Tensor) -> Tensor:
    return values * SCALE


def formula(outputs: Outputs, fitted: Fitted) -> Tensor:
    """Return something that takes a helper and two constants."""
    return helper(outputs.logits.amax(1)) + OFFSET * fitted["weight"]


def looks_up(outputs: Outputs, fitted: Fitted) -> Tensor:
    return outputs.logits[:, 0] + float(TABLE[1])


def calls_looks_up(outputs: Outputs, fitted: Fitted) -> Tensor:
    return looks_up(outputs, fitted)


def test_what_a_function_uses_comes_along_and_nothing_else():
    source = standalone_source(formula, "A formula.")
    assert source.startswith('"""A formula.\n')
    assert "OFFSET = 3\nSCALE = 0.5\n" in source
    assert "UNSEEN" not in source
    assert source.index("def helper") < source.index("def formula")
    assert not [line for line in source.splitlines() if line.startswith("from diagnostics")]


def test_the_file_computes_the_same():
    namespace = {}
    exec(compile(standalone_source(formula, "A formula."), "formula.py", "exec"), namespace)
    logits, nothing = torch.tensor([[1.0, 4.0], [2.0, -2.0]]), torch.zeros(2, 0)
    outputs, fitted = Outputs(logits, nothing, nothing), {"weight": 2.0}
    assert namespace["formula"](outputs, fitted).tolist() == [8.0, 7.0]
    assert formula(outputs, fitted).tolist() == [8.0, 7.0]


@pytest.mark.parametrize("function", [looks_up, calls_looks_up])
def test_what_needs_more_than_torch_and_plain_values_is_refused(function):
    with pytest.raises(TypeError, match="looks_up uses TABLE, which a guard cannot ship"):
        standalone_source(function, "A formula.")


def uses_both(outputs: Outputs, fitted: Fitted) -> Tensor:
    return helper(outputs.logits) + twice(outputs.logits)  # noqa: F821


def test_two_things_of_one_name_are_refused(tmp_path, monkeypatch):
    (tmp_path / "another.py").write_text("SCALE = 2\n\ndef twice(x):\n    return SCALE * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    twice = importlib.import_module("another").twice
    monkeypatch.setitem(globals(), "twice", twice)
    with pytest.raises(TypeError, match="two things that are both called SCALE"):
        standalone_source(uses_both, "A formula.")
