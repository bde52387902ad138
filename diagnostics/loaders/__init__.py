"""Loaders: one file for each format, and the recognition of networks from their tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from diagnostics.errors import ArchitectureError, ModelError, OversureError
from diagnostics.loaders import (
    architectures,
    factory,
    hugging_face,
    index,
    keras,
    onnx,
    pickled_module,
    pt2,
    safetensors,
    sniff,
    state_dict,
    torchscript,
)
from diagnostics.loaders.classes import fitting, known_names
from diagnostics.loaders.deviation import batchnorm_deviation
from diagnostics.loaders.loaded import Held
from diagnostics.loaders.weights import Weights
from diagnostics.schema.request import ModelSource
from diagnostics.schema.spec import Candidate, Check, Fit

OWN_NETWORK = {
    **{sniff.ONNX: onnx.read, sniff.KERAS: keras.read, sniff.PT2: pt2.read},
    **{sniff.HUGGING_FACE: hugging_face.read, sniff.TORCHSCRIPT: torchscript.read},
    sniff.MODULE: pickled_module.read,
}
READERS = {sniff.SAFETENSORS: safetensors.read, sniff.STATE_DICT: state_dict.read}

UNORDERED = (
    " under these names, and a safetensors file keeps no order by which others could be matched; "
    "a state_dict saved by torch does"
)

OWN = (
    " If the network is your own, save it as a program, which holds it: torch.export.save("
    "torch.export.export(model.eval(), (images,)), 'model.pt2'); or on your own machine name the "
    "function that builds it: oversure app WEIGHTS --factory package.module:function."
)

NO_PROGRAMS = (
    "This is a TorchScript program, which runs code of its own, and TorchScript is off here. "
    "Where the sandbox is strict, `oversure app --torchscript` turns it on; or save the weights "
    "alone: torch.save(model.state_dict(), 'weights.pt')."
)

NO_MODULES = (
    "This is a whole pickled model, and this system cannot lock it in, so it is not opened. "
    f"{sniff.RECIPE}"
)
NO_MEMORY = "can't allocate memory"

NetworkInput = Callable[[Candidate], Tensor]
Read = TypeVar("Read")


@dataclass(frozen=True)
class Opened:
    """What came out of a weights file.

    Args:
        format: How the file is written.
        network: The network with its weights; None while a person must choose which one.
        candidates: The networks that fit, best first; the chosen one first.
        parameters: Number of learned values.
        class_names: One name per output.
        checks: What was looked at.
    """

    format: str
    network: nn.Module | None
    candidates: tuple[Candidate, ...]
    parameters: int
    class_names: tuple[str, ...]
    checks: tuple[Check, ...]


def open_weights(source: ModelSource, network_input: NetworkInput | None = None) -> Opened:
    """Open a weights file and recognise its network.

    Args:
        source: The file, and what a person decided about it.
        network_input: Gives the images at hand as a candidate's network would receive them, to
            rank candidates where the tensors cannot tell.

    Raises:
        ModelError: When the file cannot be opened.
        ArchitectureError: When no known network takes its tensors.
    """
    path = Path(source.file.path)
    written = foreseen(sniff.sniff, path)
    if written == sniff.TORCHSCRIPT and not source.programs:
        raise ModelError(NO_PROGRAMS)
    if written == sniff.MODULE and not source.modules:
        raise ModelError(NO_MODULES)
    if written in OWN_NETWORK:
        _demand_own(written, source.factory.name if source.factory else None)
        held = foreseen(OWN_NETWORK[written], path)
        _demand_own(written, source.architecture, held.candidate.architecture)
        return opened(source, written, held)
    weights = foreseen(READERS[written], path)
    if source.factory is not None:
        return opened(source, written, factory.build(source.factory, weights.tensors))
    known = index.read()
    fitting_ones = architectures.candidates(weights, known)
    chosen, left, check = _choose(source.architecture, fitting_ones, weights, known)
    if chosen is None and network_input is not None:
        left = _ranked(left, weights, network_input)
    first = chosen or left[0]
    names, named = _names(source, first)
    network = architectures.build_with(first, weights.tensors)
    return Opened(
        format=written,
        network=network if chosen else None,
        candidates=(chosen, *(c for c in left if c != chosen)) if chosen else left,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        class_names=names,
        checks=(*_file_checks(weights, known), check, named),
    )


def foreseen(read: Callable[[Path], Read], path: Path) -> Read:
    """Return what a reader makes of a file; what it did not foresee is damage of the file.

    Raises:
        ModelError: When the file cannot be read.
        MemoryError: When memory does not suffice.
    """
    try:
        return read(path)
    except (OversureError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file leads a library to
        if NO_MEMORY in str(error):
            raise MemoryError from error
        raise ModelError(
            f"The file is damaged, or holds what nobody writes there ({type(error).__name__}); "
            "save it again."
        ) from error


def _demand_own(written: str, wanted: str | None, own: str = "") -> None:
    """Hold a person who named a network to the one in the file."""
    if wanted not in (None, own):
        raise ArchitectureError(
            f"A file of {written} holds its own network, so {wanted} cannot be chosen; leave the "
            "name out."
        )


def opened(source: ModelSource, written: str, held: Held) -> Opened:
    """Return a model whose network is known.

    Args:
        source: What a person decided about it.
        written: Its format.
        held: The network, and what was found out about it.
    """
    names, named = _names(source, held.candidate, held.class_names)
    return Opened(
        format=written,
        network=held.network,
        candidates=(held.candidate,),
        parameters=held.parameters
        or sum(parameter.numel() for parameter in held.network.parameters()),
        class_names=names,
        checks=(*held.checks, named),
    )


def _choose(
    wanted: str | None,
    found: tuple[Candidate, ...],
    weights: Weights,
    known: index.Index,
) -> tuple[Candidate | None, tuple[Candidate, ...], Check]:
    """Return the network to use if that is decided, the candidates, and what to say of it."""
    if not found:
        near = "; ".join(architectures.nearest(weights.tensors, known))
        raise ArchitectureError(
            "No known network of torchvision or timm takes these tensors"
            + ("" if weights.in_order else UNORDERED)
            + (f". The nearest: {near}." if near else ".")
            + OWN
        )
    if wanted is not None:
        for candidate in found:
            if candidate.architecture == wanted:
                message = f"{wanted}, as you chose. {candidate.message}"
                return candidate, found, Check("network", "passed", message)
        fits = ", ".join(candidate.architecture for candidate in found[:8])
        raise ArchitectureError(f"The tensors do not fit {wanted}; they fit {fits}.")
    apart, unseen = architectures.distinct(found, weights.tensors)
    if not apart:
        raise ArchitectureError(f"The tensors fit {found[0].architecture}, which does not run.")
    if len(apart) == 1 and not unseen:
        message = f"{apart[0].architecture}: {apart[0].message}"
        exact = apart[0].fit is Fit.EXACT
        return apart[0], apart, Check("network", "passed" if exact else "warned", message)
    names = ", ".join(candidate.architecture for candidate in apart)
    more = f" and {unseen} more" if unseen else ""
    message = (
        f"The tensors cannot tell: {names}{more} fit, and they answer differently or want other "
        "images. Choose one."
    )
    return None, apart, Check("network", "warned", message)


def _ranked(
    found: tuple[Candidate, ...], weights: Weights, network_input: NetworkInput
) -> tuple[Candidate, ...]:
    """Measure each candidate's BatchNorm deviation, and put the smallest first."""
    measured = [
        replace(
            candidate,
            deviation=batchnorm_deviation(
                architectures.build_with(candidate, weights.tensors), network_input(candidate)
            ),
        )
        for candidate in found
    ]
    return tuple(
        sorted(measured, key=lambda c: float("inf") if c.deviation is None else c.deviation)
    )


def _names(
    source: ModelSource, candidate: Candidate, own: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], Check]:
    if source.class_names is None and own is not None:
        return fitting(own, candidate.classes)
    if source.class_names is None:
        return known_names(candidate.architecture, candidate.classes)
    return fitting(source.class_names, candidate.classes)


def _file_checks(weights: Weights, known: index.Index) -> list[Check]:
    checks = [Check("file", "passed", note) for note in weights.notes]
    bad = [name for name, tensor in weights.tensors.items() if not torch.isfinite(tensor).all()]
    if bad:
        message = f"{len(bad)} tensors hold values that are not finite, first {bad[0][:80]}."
        checks.append(Check("weights", "failed", message))
    if known.versions != index.installed():
        made = ", ".join(f"{name} {number}" for name, number in known.versions.items())
        have = ", ".join(f"{name} {number}" for name, number in index.installed().items())
        message = (
            f"Networks are recognised as in {made}; installed are {have}. Run "
            "python -m diagnostics.loaders to make the index anew."
        )
        checks.append(Check("index", "warned", message))
    return checks
