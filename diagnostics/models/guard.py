"""A guard: a model that can also answer "none of the above", in torch and numpy alone.

This very file is what an exported guard ships as guard.py, so what runs there is what was measured
here. Beside it lies formula.py, which holds the function that the guard compares with a threshold.
"""

from __future__ import annotations

import json
import runpy
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

NONE = "none of the above"
TOLERANCE = 1e-5
DTYPES = {"F64": np.float64, "F32": np.float32, "I64": np.int64, "U8": np.uint8}
DEFAULTS = {"guard_temperature": 1.0, "guard_threshold": 0.0, "guard_scale": 1.0}


class Outputs(NamedTuple):
    """What a network gave for n images.

    Args:
        logits: Shape (n, k).
        features: What the last layer receives, shape (n, d).
        layers: Mean and deviation of every channel of the layers that guard.toml names, side by
            side, shape (n, m).
    """

    logits: Tensor
    features: Tensor
    layers: Tensor


Fitted = Mapping[str, Any]  # tensors by name; counts, such as kNN's k, as int
Formula = Callable[[Outputs, Fitted], Tensor]


class Guard(nn.Module):
    """Adds one more logit to a row of logits, "none of the above".

    It wins exactly where the formula's value exceeds the threshold.

    Args:
        formula: Returns a number for each image, shape (n,), higher for what shall be rejected.
        tensors: What the formula reads, by name; "guard_temperature", which the logits are divided
            by; "guard_threshold", and "guard_scale", how far the formula's values are spread.
    """

    def __init__(self, formula: Formula, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        defaults = {
            name: torch.tensor(value, dtype=torch.float64) for name, value in DEFAULTS.items()
        }
        tensors = {**defaults, **tensors}
        self.formula, self.names = formula, tuple(tensors)
        self.counts = {
            name: int(value) for name, value in tensors.items() if value.dtype == torch.int64
        }
        for name, value in tensors.items():
            self.register_buffer(name, value.detach().clone(memory_format=torch.contiguous_format))

    def forward(self, logits: Tensor, features: Tensor, layers: Tensor) -> Tensor:
        """Return logits of shape (n, k + 1), the last one for none of the above, see `Outputs`."""
        scaled = logits.double() / self.get_buffer("guard_temperature")
        values = self.values(Outputs(logits, features, layers))
        over = (values - self.get_buffer("guard_threshold")) / self.get_buffer("guard_scale")
        none = scaled.amax(1) + over
        return torch.cat([scaled, none[:, None]], 1)

    def values(self, outputs: Outputs) -> Tensor:
        """Return the formula's values, shape (n,)."""
        return self.formula(outputs, {**self.tensors(), **self.counts})

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors by name."""
        return {name: self.get_buffer(name) for name in self.names}


def load(folder: Path) -> tuple[Guard, dict[str, Any], dict[str, Tensor]]:
    """Read an exported guard: the guard, what guard.toml says, and the tensors of the self-test."""
    about = tomllib.loads((folder / "guard.toml").read_text("utf-8"))
    formula = runpy.run_path(str(folder / "formula.py"))[about["guard"]["formula"]]
    tensors = read_tensors(folder / "guard.safetensors")
    test = {
        name.removeprefix("test."): value
        for name, value in tensors.items()
        if name.startswith("test.")
    }
    fitted = {name: value for name, value in tensors.items() if not name.startswith("test.")}
    return Guard(formula, fitted), about, test


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a .safetensors file: the length of a JSON header, the header, then raw values."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (start + offset for offset in entry["data_offsets"])
        values = np.frombuffer(content[begin:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
        tensors[name] = torch.from_numpy(values.copy())
    return tensors


def self_test(folder: Path) -> float:
    """Answer the test images that lie beside the guard anew; return the largest difference.

    Differences are of probabilities, between this guard's and those noted when it was exported.
    """
    guard, _, test = load(folder)
    answers = guard(test["logits"], test["features"], test["layers"]).softmax(1)
    return float((answers - test["answers"].softmax(1)).abs().max())


if __name__ == "__main__":
    largest = self_test(Path(__file__).parent)
    print(f"largest difference {largest:.1e}, allowed {TOLERANCE:.0e}")
    sys.exit(0 if largest <= TOLERANCE else 1)
