"""Which known networks take these tensors?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from diagnostics.errors import ArchitectureError
from diagnostics.loaders.building import build
from diagnostics.loaders.index import CHANNEL_AXIS, CLASS_AXIS, COUNTER, Index, Known, Shape
from diagnostics.loaders.weights import Weights
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.spec import Candidate, Fit

LIBRARIES = ("oversure", "torchvision", "timm")
MOST_COMPARED = 12
TOLERANCE = 1e-4
FITS = (Fit.EXACT, Fit.RESIZED, Fit.POSITION)


@dataclass(frozen=True)
class _Match:
    known: Known
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
    by_name = [found for known in index.networks if (found := _by_name(known, shapes))]
    matches = by_name
    if not by_name and weights.in_order:
        ordered = list(shapes.values())
        matches = [found for known in index.networks if (found := _by_position(known, ordered))]
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
    own = [name for name in network.state_dict() if not name.endswith(COUNTER)]
    given = {name: tensor for name, tensor in tensors.items() if not name.endswith(COUNTER)}
    if candidate.fit is Fit.POSITION:
        given = dict(zip(own, given.values(), strict=True))
    try:
        result = network.load_state_dict(given, strict=False)
    except RuntimeError as error:
        raise ArchitectureError(
            f"The tensors do not fit {candidate.architecture}: {str(error).splitlines()[-1]}"
        ) from None
    missing = [name for name in result.missing_keys if not name.endswith(COUNTER)]
    if missing or result.unexpected_keys:
        raise ArchitectureError(
            f"The tensors do not fit {candidate.architecture}: {len(missing)} are missing, "
            f"{len(result.unexpected_keys)} too many."
        )
    return network.eval().requires_grad_(False)


def distinct(
    found: Sequence[Candidate], tensors: Mapping[str, Tensor]
) -> tuple[tuple[Candidate, ...], int]:
    """Keep one candidate for each network and scaling: those that answer alike are the same.

    Args:
        found: Candidates, best first; only those as good as the first are compared.
        tensors: The weights.

    Returns:
        The candidates that answer differently from each other, and how many were not compared.
    """
    best = [candidate for candidate in found if candidate.fit is found[0].fit]
    answers: list[tuple[Candidate, Tensor]] = []
    for candidate in best[:MOST_COMPARED]:
        given = _built_answer(candidate, tensors)
        if given is None:
            continue
        place = next(
            (
                place
                for place, (kept, other) in enumerate(answers)
                if alike(given, other) and _scaled_alike(candidate, kept)
            ),
            None,
        )
        if place is None:
            answers.append((candidate, given))
        else:
            kept, other = answers[place]
            answers[place] = (replace(kept, message=_also(kept, candidate)), other)
    return tuple(candidate for candidate, _ in answers), max(0, len(best) - MOST_COMPARED)


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, Shape]:
    return {name: tuple(t.shape) for name, t in tensors.items() if not name.endswith(COUNTER)}


def _by_name(known: Known, shapes: Mapping[str, Shape]) -> _Match | None:
    if len(known.names) != len(shapes) or any(name not in shapes for name in known.names):
        return None
    return _match(known, [shapes[name] for name in known.names], by_name=True)


def _by_position(known: Known, ordered: Sequence[Shape]) -> _Match | None:
    return _match(known, ordered, by_name=False) if len(known.shapes) == len(ordered) else None


def _match(known: Known, given: Iterable[Shape], *, by_name: bool) -> _Match | None:
    sizes: dict[int, int] = {}
    for wanted, shape in zip(known.shapes, given, strict=True):
        if wanted == shape:
            continue
        if not _takes(wanted, shape):
            return None
        for size, found in zip(wanted, shape, strict=True):
            if size < 0 and sizes.setdefault(size, found) != found:
                return None
    classes = sizes.get(CLASS_AXIS, 0)
    channels = sizes.get(CHANNEL_AXIS, known.channels)
    return _Match(known, by_name, classes, channels) if classes and channels in (1, 3) else None


def _takes(wanted: Shape, shape: Shape) -> bool:
    """Say whether a tensor of the file has the shape wanted, where a person chose none."""
    return len(wanted) == len(shape) and all(
        size in (found, CLASS_AXIS, CHANNEL_AXIS) for size, found in zip(wanted, shape, strict=True)
    )


def _written(shape: Shape) -> str:
    return f"[{', '.join('any' if size < 0 else str(size) for size in shape)}]"


def _candidate(match: _Match, count: int) -> Candidate:
    known = match.known
    usual = 1000 if not known.architecture.startswith("oversure/") else None
    changes = []
    if usual and match.classes != usual:
        changes.append(f"{match.classes} classes instead of {usual}")
    if match.channels != known.channels:
        changes.append(f"{match.channels} input channels instead of {known.channels}")
    fit = Fit.EXACT if match.by_name and not changes else Fit.RESIZED
    fit = fit if match.by_name else Fit.POSITION
    how = "names and shapes" if match.by_name else "shapes, in their order and under other names,"
    message = f"All {count} tensors match by {how}".rstrip(",")
    message += f"; {', '.join(changes)}." if changes else "."
    settings, said = _settings(known, match.channels)
    return Candidate(
        architecture=known.architecture,
        fit=fit,
        classes=match.classes,
        channels=match.channels,
        height=settings.height,
        width=settings.width,
        preprocessing=settings,
        message=message + said,
    )


def _settings(known: Known, channels: int) -> tuple[Preprocessing, str]:
    """Return the published preprocessing, adapted where the file has other input channels."""
    lists = {k: tuple(v) for k, v in known.preprocessing.items() if isinstance(v, list)}
    settings = Preprocessing(**{**known.preprocessing, **lists})
    if channels == known.channels:
        return settings, ""
    said = f" Mean and std for {channels} channels are a guess; check them."
    mean = (sum(settings.mean) / len(settings.mean),) * channels
    std = (sum(settings.std) / len(settings.std),) * channels
    return replace(settings, colour=channels == 3, mean=mean, std=std), said


def _library(candidate: Candidate) -> int:
    return LIBRARIES.index(candidate.architecture.partition("/")[0])


def _shared(known: Known, shapes: Mapping[str, Shape]) -> float:
    matching = sum(
        shapes.get(name) == shape for name, shape in zip(known.names, known.shapes, strict=True)
    )
    return matching / (len(known.names) + len(shapes) - matching)


def _difference(known: Known, shapes: Mapping[str, Shape]) -> str:
    missing = [name for name in known.names if name not in shapes]
    extra = [name for name in shapes if name not in set(known.names)]
    other = [
        f"{name} is {list(shapes[name])} instead of {_written(shape)}"
        for name, shape in zip(known.names, known.shapes, strict=True)
        if name in shapes and not _takes(shape, shapes[name])
    ]
    parts = [
        f"{len(missing)} tensors missing (first {missing[0][:60]})" if missing else "",
        f"{len(extra)} too many (first {extra[0][:60]})" if extra else "",
        f"{len(other)} of another shape (first {other[0][:120]})" if other else "",
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


def _also(kept: Candidate, same: Candidate) -> str:
    said = f"{kept.message} {same.architecture} is the same network"
    if same.preprocessing == kept.preprocessing:
        return f"{said}."
    return f"{said}, published for other sizes: {same.preprocessing.summary}."


def alike(one: Tensor, other: Tensor) -> bool:
    """Say whether two networks' scores for the same image are the same."""
    if one.shape != other.shape:
        return False
    scale = float(other.abs().max()) or 1.0
    return float((one - other).abs().max()) <= TOLERANCE * scale
