"""Tensors out of a file, unwrapped and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from diagnostics.errors import ModelError

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "params_ema", "ema")
PREFIXES = ("_orig_mod.", "module.", "model.", "net.", "network.")
OPTIMISER = "optim"  # in the key of what belongs to it
COUNTERS = ("n_averaged",)  # of torch's AveragedModel, beside the weights
MAX_TENSORS = 20_000
DEPTH = 4
MAX_NAMED = 4  # keys in a sentence


@dataclass(frozen=True)
class Weights:
    """Tensors out of a file.

    Args:
        tensors: By name.
        notes: What was done to reach them, a sentence each.
        in_order: Whether they come in the order in which the network made them.
        averaged: The moving average (EMA) of the same weights, where the file has it as well.
    """

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()
    in_order: bool = True
    averaged: Weights | None = None


def unwrapped(content: Any) -> Weights:
    """Find the tensors in what a training script saved.

    Looks into checkpoints (`state_dict`, `model`, `model_state_dict`, …), drops what is no tensor
    beside them, and strips prefixes that all names share (`module.`, `model.`, `_orig_mod.`).

    Raises:
        ModelError: When there are no tensors, or some that no network can take.
    """
    notes: list[str] = []
    averaged: Weights | None = None
    for _ in range(DEPTH):
        if not isinstance(content, Mapping) or _tensors(content):
            break
        inner, average = (_first_with_tensors(content, keys) for keys in (WRAPPERS, AVERAGED))
        if inner is not None and average is not None and averaged is None:
            averaged = unwrapped({average: content[average]})
        key = inner or average or _only_with_tensors(content)
        if key is None:
            break
        notes.append(f"The tensors lie under {key!r}; the rest of the checkpoint is not needed.")
        content = content[key]
    if not isinstance(content, Mapping):
        raise ModelError(
            f"Expected named tensors, a state_dict; the file holds {type(content).__name__}. "
            "Save torch.save(model.state_dict(), 'weights.pt')."
        )
    tensors = _tensors(content)
    if not tensors:
        raise ModelError(
            f"The file holds no tensors in the {DEPTH} levels that are looked into; save "
            "torch.save(model.state_dict(), 'weights.pt')."
        )
    if len(tensors) < len(content):
        notes.append(f"{len(content) - len(tensors)} entries beside the tensors are not needed.")
    tensors = {name: tensor for name, tensor in tensors.items() if name not in COUNTERS}
    tensors, stripped = _without_prefixes(tensors)
    notes += [f"The prefix {prefix!r} of all names is dropped." for prefix in stripped]
    named = {name: plain(name, tensor) for name, tensor in tensors.items()}
    return Weights(named, tuple(notes), averaged=averaged)


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return the named tensors; numbered ones are an optimiser's."""
    return {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }


def _first_with_tensors(content: Mapping[Any, Any], keys: Iterable[str]) -> str | None:
    return next((key for key in keys if holds_tensors(content.get(key), DEPTH)), None)


def _only_with_tensors(content: Mapping[Any, Any]) -> Any:
    """Return the one key, whatever it is called, under which named tensors lie; None without.

    Raises:
        ModelError: When there are several.
    """
    for depth in (1, DEPTH):
        keys = [
            key
            for key, value in content.items()
            if holds_tensors(value, depth) and OPTIMISER not in str(key)
        ]
        if len(keys) > 1:
            listed = ", ".join(repr(str(key)[:40]) for key in keys[:MAX_NAMED])
            raise ModelError(
                f"The file holds {len(keys)} lists of tensors, under {listed}; save the one of "
                "the classifier: torch.save(torch.load(path)[key], 'weights.pt')."
            )
        if keys:
            return keys[0]
    return None


def holds_tensors(content: Any, depth: int = DEPTH) -> bool:
    """Say whether named tensors lie in a dict, or in dicts inside it, down to a depth."""
    if not isinstance(content, Mapping) or not depth:
        return False
    return bool(_tensors(content)) or any(
        holds_tensors(value, depth - 1) for value in content.values()
    )


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
    if tensor.is_nested:
        raise ModelError(
            f"The tensor {name[:80]!r} is nested, of parts that differ in size; no layer of a "
            "classifier takes it."
        )
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
