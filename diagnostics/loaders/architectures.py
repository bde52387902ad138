"""Which known network takes these tensors?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TypeAlias

import torch
from torch import Tensor, nn

from diagnostics.errors import ArchitectureError
from diagnostics.loaders.building import build
from diagnostics.loaders.index import (
    CHANNEL_AXIS,
    CLASS_AXIS,
    COUNTER,
    Index,
    KnownNetwork,
    Shape,
    is_called,
)
from diagnostics.loaders.weights import Weights
from diagnostics.models.batchnorm import BatchNorm, InputStatistics, deviation, observe_inputs
from diagnostics.schema.results.inspection import Status
from diagnostics.schema.spec import Candidate, Check, Fit
from diagnostics.text import line_of

LIBRARIES = ("oversure", "torchvision", "timm")
MAX_COMPARED = 12
TOLERANCE = 1e-4
FITS = (Fit.EXACT, Fit.RESIZED, Fit.POSITION)
MAX_NAMED = 8  # networks in a sentence

UNORDERED = (
    " under these names, and a safetensors file keeps no order by which others could be matched; "
    "a state_dict saved by torch does"
)
OF_YOUR_OWN = (
    " If the network is your own, save it as a program, which holds it: torch.export.save("
    "torch.export.export(model.eval(), (images,)), 'model.pt2'); or on your own machine name the "
    "function that builds it: oversure app WEIGHTS --factory package.module:function."
)

NetworkInput: TypeAlias = Callable[[Candidate], Tensor]


@dataclass(frozen=True)
class Choice:
    """Which network to use, as far as that is decided.

    Args:
        network: The one to use; None where a person must choose.
        candidates: Those that fit, best first.
        check: What to say of it.
    """

    network: Candidate | None
    candidates: tuple[Candidate, ...]
    check: Check


@dataclass(frozen=True)
class _Match:
    known: KnownNetwork
    by_name: bool
    classes: int
    channels: int


def candidates(weights: Weights, index: Index) -> tuple[Candidate, ...]:
    """Return every known network that takes the tensors, the best fit first.

    A network fits exactly, with another number of classes or of input channels, or by position:
    under other names, with shapes that fit one to one in their order.

    Args:
        weights: What came out of the file.
        index: The known networks.
    """
    shapes = _shapes(weights.tensors)
    matches = [match for known in index.networks if (match := _by_name(known, shapes))]
    if not matches and weights.in_order:
        ordered = list(shapes.values())
        matches = [match for known in index.networks if (match := _by_position(known, ordered))]
    fitting = [_candidate(match, len(shapes)) for match in matches]
    return tuple(sorted(fitting, key=lambda c: (FITS.index(c.fit), _library(c), c.architecture)))


def nearest(tensors: Mapping[str, Tensor], index: Index, count: int = 3) -> tuple[str, ...]:
    """Say of the closest networks what is missing, what is too much, and what has another shape."""
    shapes = _shapes(tensors)
    scored = sorted(index.networks, key=lambda known: -_shared(known, shapes))[:count]
    return tuple(_difference(known, shapes) for known in scored if _shared(known, shapes) > 0)


def build_with(candidate: Candidate, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Return the candidate's network with these weights, frozen and in evaluation mode.

    Raises:
        ArchitectureError: When a tensor does not fit after all.
    """
    network = build(candidate.architecture, candidate.classes, candidate.channels)
    names = [name for name in network.state_dict() if not name.endswith(COUNTER)]
    weights = {name: tensor for name, tensor in tensors.items() if not name.endswith(COUNTER)}
    if candidate.fit is Fit.POSITION:
        weights = dict(zip(names, weights.values(), strict=True))
    try:
        result = network.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ArchitectureError(
            f"The tensors do not fit {candidate.architecture}: {line_of(error, 160, last=True)}."
        ) from None
    missing = [name for name in result.missing_keys if not name.endswith(COUNTER)]
    if missing or result.unexpected_keys:
        raise ArchitectureError(
            f"The tensors do not fit {candidate.architecture}: {len(missing)} are missing, "
            f"{len(result.unexpected_keys)} too many."
        )
    return network.eval().requires_grad_(False)


def choose(name: str | None, weights: Weights, index: Index) -> Choice:
    """Return the network to use if that is decided.

    Args:
        name: The network that a person chose, "library/name" or the name alone; None decides by
            the tensors.
        weights: What came out of the file.
        index: The known networks.

    Raises:
        ArchitectureError: When no known network takes the tensors, or not the one chosen.
    """
    fitting = candidates(weights, index)
    if not fitting:
        near = "; ".join(nearest(weights.tensors, index))
        raise ArchitectureError(
            "No known network of torchvision or timm takes these tensors"
            + ("" if weights.in_order else UNORDERED)
            + (f". The nearest: {near}." if near else ".")
            + OF_YOUR_OWN
        )
    if name is not None:
        chosen = _named(name, fitting)
        message = f"{chosen.architecture}, as you chose. {chosen.message}"
        return Choice(chosen, fitting, Check("network", "passed", message))
    apart, uncompared = distinct(fitting, weights.tensors)
    if not apart:
        raise ArchitectureError(f"The tensors fit {fitting[0].architecture}, which does not run.")
    if len(apart) == 1 and not uncompared:
        message = f"{apart[0].architecture}: {apart[0].message}"
        status: Status = "passed" if apart[0].fit is Fit.EXACT else "warned"
        return Choice(apart[0], apart, Check("network", status, message))
    names = ", ".join(candidate.architecture for candidate in apart)
    more = f" and {uncompared} more" if uncompared else ""
    message = (
        f"The tensors cannot tell: {names}{more} fit, and they answer differently or want other "
        "images. Choose one."
    )
    return Choice(None, apart, Check("network", "warned", message))


def _named(name: str, fitting: Sequence[Candidate]) -> Candidate:
    """Return the candidate that a person called by its id, or by its name alone."""
    called = [candidate for candidate in fitting if is_called(candidate.architecture, name)]
    if len(called) == 1:
        return called[0]
    if called:
        choices = " or ".join(candidate.architecture for candidate in called)
        raise ArchitectureError(f"{name} may be {choices}; write one of them.")
    fits = ", ".join(candidate.architecture for candidate in fitting[:MAX_NAMED])
    raise ArchitectureError(f"The tensors do not fit {name}; they fit {fits}.")


def distinct(
    fitting: Sequence[Candidate], tensors: Mapping[str, Tensor]
) -> tuple[tuple[Candidate, ...], int]:
    """Keep one candidate for each network and scaling: those that answer alike are the same.

    Args:
        fitting: Candidates, best first; only those as good as the first are compared.
        tensors: The weights.

    Returns:
        The candidates that answer differently from each other, and how many were not compared.
    """
    best = [candidate for candidate in fitting if candidate.fit is fitting[0].fit]
    answers: list[tuple[Candidate, Tensor]] = []
    for candidate in best[:MAX_COMPARED]:
        scores = _built_answer(candidate, tensors)
        if scores is None:
            continue
        for position, (other, other_scores) in enumerate(answers):
            if alike(scores, other_scores) and _scaled_alike(candidate, other):
                also = replace(other, message=_also(other, candidate))
                answers[position] = (also, other_scores)
                break
        else:
            answers.append((candidate, scores))
    return tuple(candidate for candidate, _ in answers), max(0, len(best) - MAX_COMPARED)


def ranked(
    fitting: Sequence[Candidate], tensors: Mapping[str, Tensor], network_input: NetworkInput
) -> tuple[Candidate, ...]:
    """Measure each candidate's BatchNorm deviation, and put the smallest first.

    Args:
        fitting: The candidates.
        tensors: The weights.
        network_input: Gives the images at hand as a candidate's network would receive them.
    """
    measured = []
    for candidate in fitting:
        images = network_input(candidate)
        distance = batchnorm_deviation(build_with(candidate, tensors), images)
        measured.append(replace(candidate, deviation=distance, deviation_images=len(images)))
    return tuple(sorted(measured, key=lambda c: inf if c.deviation is None else c.deviation))


@torch.no_grad()
def batchnorm_deviation(network: nn.Module, network_input: Tensor) -> float | None:
    """Return how far the images' channel statistics lie from the remembered ones.

    For every channel: |mean - running mean| / running std + |log(variance / running variance)|,
    averaged over the channels of a layer and then over the layers. A network with other padding
    or another order than the one that was trained shifts its own statistics, also where its
    tensors fit.

    Args:
        network: In evaluation mode.
        network_input: Normalised images, shape (n, c, h, w).

    Returns:
        0 or more, lower fits better; None without BatchNorm.
    """
    inputs: list[InputStatistics] = []

    def observe(layer: BatchNorm, maps: Tensor) -> None:
        variance, mean = torch.var_mean(maps, (0, 2, 3), correction=0)
        inputs.append(InputStatistics(layer, mean, variance))

    with observe_inputs(network, observe):
        network(network_input)
    return float(deviation(inputs)) if inputs else None


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, Shape]:
    return {name: tuple(t.shape) for name, t in tensors.items() if not name.endswith(COUNTER)}


def _by_name(known: KnownNetwork, shapes: Mapping[str, Shape]) -> _Match | None:
    if len(known.names) != len(shapes) or any(name not in shapes for name in known.names):
        return None
    return _match(known, [shapes[name] for name in known.names], by_name=True)


def _by_position(known: KnownNetwork, ordered: Sequence[Shape]) -> _Match | None:
    return _match(known, ordered, by_name=False) if len(known.shapes) == len(ordered) else None


def _match(known: KnownNetwork, shapes: Iterable[Shape], *, by_name: bool) -> _Match | None:
    sizes: dict[int, int] = {}
    for expected, shape in zip(known.shapes, shapes, strict=True):
        if expected == shape:
            continue
        if not _takes(expected, shape):
            return None
        for axis, size in zip(expected, shape, strict=True):
            if axis < 0 and sizes.setdefault(axis, size) != size:
                return None
    classes = sizes.get(CLASS_AXIS, 0)
    channels = sizes.get(CHANNEL_AXIS, known.channels)
    return _Match(known, by_name, classes, channels) if classes and channels in (1, 3) else None


def _takes(expected: Shape, shape: Shape) -> bool:
    """Say whether a tensor of the file has the expected shape, where a person chose none."""
    return len(expected) == len(shape) and all(
        axis in (size, CLASS_AXIS, CHANNEL_AXIS) for axis, size in zip(expected, shape, strict=True)
    )


def _shape_text(shape: Shape) -> str:
    return f"[{', '.join('any' if size < 0 else str(size) for size in shape)}]"


def _candidate(match: _Match, count: int) -> Candidate:
    known = match.known
    published_classes = None if known.architecture.startswith("oversure/") else 1000
    changes = []
    if published_classes and match.classes != published_classes:
        changes.append(f"{match.classes} classes instead of {published_classes}")
    if match.channels != known.channels:
        changes.append(f"{match.channels} input channels instead of {known.channels}")
    fit = Fit.EXACT if match.by_name and not changes else Fit.RESIZED
    fit = fit if match.by_name else Fit.POSITION
    how = "names and shapes" if match.by_name else "shapes, in their order and under other names,"
    message = f"All {count} tensors match by {how}".rstrip(",")
    message += f"; {', '.join(changes)}." if changes else "."
    settings = known.preprocessing_for(match.channels)
    note = ""
    if match.channels != known.channels:
        note = f" Mean and std for {match.channels} channels are a guess; check them."
    return Candidate(
        architecture=known.architecture,
        fit=fit,
        classes=match.classes,
        channels=match.channels,
        height=settings.height,
        width=settings.width,
        preprocessing=settings,
        message=message + note,
    )


def _library(candidate: Candidate) -> int:
    return LIBRARIES.index(candidate.architecture.partition("/")[0])


def _shared(known: KnownNetwork, shapes: Mapping[str, Shape]) -> float:
    matching = sum(
        shapes.get(name) == shape for name, shape in zip(known.names, known.shapes, strict=True)
    )
    return matching / (len(known.names) + len(shapes) - matching)


def _difference(known: KnownNetwork, shapes: Mapping[str, Shape]) -> str:
    missing = [name for name in known.names if name not in shapes]
    extra = [name for name in shapes if name not in set(known.names)]
    reshaped = [
        f"{name} is {list(shapes[name])} instead of {_shape_text(shape)}"
        for name, shape in zip(known.names, known.shapes, strict=True)
        if name in shapes and not _takes(shape, shapes[name])
    ]
    parts = [
        f"{len(missing)} tensors missing (first {missing[0][:60]})" if missing else "",
        f"{len(extra)} too many (first {extra[0][:60]})" if extra else "",
        f"{len(reshaped)} of another shape (first {reshaped[0][:120]})" if reshaped else "",
    ]
    return f"{known.architecture}: " + ", ".join(part for part in parts if part)


def _built_answer(candidate: Candidate, tensors: Mapping[str, Tensor]) -> Tensor | None:
    """Return the answer of a candidate with these weights; None when it cannot run."""
    try:
        return answer(build_with(candidate, tensors), candidate)
    except ArchitectureError:
        return None


@torch.no_grad()
def answer(network: nn.Module, candidate: Candidate) -> Tensor | None:
    """Return a network's scores for one fixed image of noise; None when it cannot run.

    Args:
        network: In evaluation mode.
        candidate: Says what images it takes.
    """
    shape = (1, candidate.channels, candidate.height, candidate.width)
    try:
        scores = network(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    except (RuntimeError, AttributeError, TypeError, ValueError):
        return None
    scores = scores[0] if isinstance(scores, tuple) else scores
    return scores if isinstance(scores, Tensor) else None


def _scaled_alike(one: Candidate, other: Candidate) -> bool:
    """Say whether both were published for the same mean and std; a wrong one shows nowhere."""
    first, second = one.preprocessing, other.preprocessing
    return (first.mean, first.std) == (second.mean, second.std)


def _also(candidate: Candidate, same: Candidate) -> str:
    message = f"{candidate.message} {same.architecture} is the same network"
    if same.preprocessing == candidate.preprocessing:
        return f"{message}."
    return f"{message}, published for other sizes: {same.preprocessing.summary}."


def alike(one: Tensor, other: Tensor) -> bool:
    """Say whether two networks' scores for the same image are the same."""
    if one.shape != other.shape:
        return False
    scale = float(other.abs().max()) or 1.0
    return float((one - other).abs().max()) <= TOLERANCE * scale
