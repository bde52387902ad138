"""Tensors out of a file, unwrapped and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from diagnostics.errors import ModelError

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "params_ema", "ema")
PREFIXES = ("_orig_mod.", "module.", "model.", "net.", "network.")
MAX_TENSORS = 20_000
DEPTH = 4


@dataclass(frozen=True)
class Weights:
    """Tensors out of a file.

    Args:
        tensors: By name.
        notes: What was done to reach them, a sentence each.
        in_order: Whether they come in the order in which the network made them.
    """

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()
    in_order: bool = True


def unwrapped(content: Any) -> Weights:
    """Find the tensors in what a training script saved.

    Looks into checkpoints (`state_dict`, `model`, `model_state_dict`, …), drops what is no tensor
    beside them, and strips prefixes that all names share (`module.`, `model.`, `_orig_mod.`).

    Raises:
        ModelError: When there are no tensors, or some that no network can take.
    """
    notes: list[str] = []
    for _ in range(DEPTH):
        inner = next((key for key in (*WRAPPERS, *AVERAGED) if _holds_tensors(content, key)), None)
        if inner is None or any(isinstance(value, Tensor) for value in content.values()):
            break
        notes.append(f"The tensors lie under {inner!r}; the rest of the checkpoint is not needed.")
        content = content[inner]
    if not isinstance(content, Mapping):
        raise ModelError(
            f"Expected named tensors, a state_dict; the file holds {type(content).__name__}. "
            "Save torch.save(model.state_dict(), 'weights.pt')."
        )
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ModelError(
            "The file holds no tensors; save torch.save(model.state_dict(), 'weights.pt')."
        )
    if len(tensors) < len(content):
        notes.append(f"{len(content) - len(tensors)} entries beside the tensors are not needed.")
    tensors, stripped = _without_prefixes(tensors)
    notes += [f"The prefix {prefix!r} of all names is dropped." for prefix in stripped]
    return Weights({name: plain(name, tensor) for name, tensor in tensors.items()}, tuple(notes))


def _holds_tensors(content: Any, key: str) -> bool:
    inner = content.get(key) if isinstance(content, Mapping) else None
    return isinstance(inner, Mapping) and bool(inner)


def _without_prefixes(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    stripped: list[str] = []
    while True:
        prefix = next((p for p in PREFIXES if all(name.startswith(p) for name in tensors)), None)
        if prefix is None:
            return tensors, stripped
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
        stripped.append(prefix)


def plain(name: str, tensor: Tensor) -> Tensor:
    """Refuse tensors that are no plain block of memory; turn half precision to single."""
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise ModelError(f"The tensor {name[:80]!r} is sparse or quantised; save it as dense.")
    if tensor.is_complex():
        raise ModelError(f"The tensor {name[:80]!r} is complex; classifiers take real numbers.")
    tensor = tensor.detach()
    stored = tensor.untyped_storage().nbytes()
    if tensor.numel() * tensor.element_size() > stored:
        raise ModelError(
            f"The tensor {name[:80]!r} claims {tensor.numel():,} values and the file holds "
            f"{stored // tensor.element_size():,}; the file is damaged or made to exhaust memory."
        )
    halves = (torch.float16, torch.bfloat16, torch.float64)
    return tensor.float() if tensor.dtype in halves else tensor
