"""Everything Inspect shows of some images, from one forward and one backward pass."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics import method as registry
from diagnostics.classifier import Classifier, SharedTrace, TorchClassifier, Trace
from diagnostics.errors import NotOfferedError, OptionError
from diagnostics.options import Value
from diagnostics.predictions import Score, rank
from diagnostics.shapes import layout, representative
from diagnostics.spec import ModelSpec

TILES = 24
STANDARD = ("attribution/gradient", "attribution/grad_cam")


@dataclass(frozen=True)
class Wanted:
    """What to show of each image.

    Args:
        top: How many classes to rank.
        layers: Layers to draw; None takes a representative few, "all" takes every one.
        attributions: Methods with their settings, "attribution/grad_cam?layer=conv2".
        target: Class to explain; None takes each image's top class.
    """

    top: int = 5
    layers: tuple[str, ...] | None = None
    attributions: tuple[str, ...] = STANDARD
    target: int | None = None


@dataclass
class Findings:
    """What was found for one image: named arrays, and everything else as JSON.

    Args:
        arrays: Layer maps and heatmaps, by the name that `scores` gives as their picture.
        scores: "top", "margin", "warnings", "layers", "attributions" of the JSON schema.
    """

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)


def inspect(classifier: TorchClassifier, pixels: Tensor, wanted: Wanted) -> list[Findings]:
    """Return what the network said, what each layer did and where it looked, for each image.

    Args:
        classifier: The classifier asked.
        pixels: Shape (n, c, h, w), values in [0, 1].
        wanted: What to show. A method that this model cannot answer leaves a note instead.

    Returns:
        One entry per image, in their order.

    Raises:
        OptionError: When a layer, class or method does not exist.
    """
    spec = classifier.spec
    drawn = _drawn(spec, wanted.layers)
    trace = classifier.trace(pixels, [layer.name for layer in spec.layers])
    found = _said(trace, spec, wanted)
    _add_layers(found, trace, spec, drawn)
    shared = SharedTrace(classifier, trace)
    for name in wanted.attributions:
        identity, options = registry.parse(name)
        try:
            _attribute(found, shared, trace.pixels, identity, options)
        except NotOfferedError as error:
            for one in found:
                _add_map(one, identity, str(options.get("layer", "")), None, error.message)
    return found


def attribute(
    classifier: TorchClassifier,
    pixels: Tensor,
    wanted: Wanted,
    identity: str,
    options: Mapping[str, Value],
) -> list[Findings]:
    """Return what the network said of each image, and one method's map of where it looked.

    Args:
        classifier: The classifier asked.
        pixels: Shape (n, c, h, w), values in [0, 1].
        wanted: How many classes to rank and which one to explain.
        identity: The method's id.
        options: The method's settings.

    Raises:
        OptionError: When the method, the class or an option does not exist.
        NotOfferedError: When this model cannot answer the method.
    """
    trace = classifier.trace(pixels, ())
    found = _said(trace, classifier.spec, wanted)
    _attribute(found, classifier, trace.pixels, identity, options)
    return found


def _attribute(
    found: Sequence[Findings],
    classifier: Classifier,
    pixels: Tensor,
    identity: str,
    options: Mapping[str, Value],
) -> None:
    """Add each image's map; images that the network gave no ranking for get a note."""
    method, family = registry.find(identity), registry.family(identity)
    missing = sorted(set(method.info.needs) - classifier.spec.offers)
    if missing:
        raise NotOfferedError(
            f"{method.info.title} needs {', '.join(missing)}, which this model does not offer."
        )
    settings = method.info.check(options)
    for option in method.info.options:
        if option.kind == "layer" and settings[option.name]:
            _demand_layer(settings[option.name], classifier.spec)
    targets = [one.scores["target"] for one in found]
    target = torch.tensor([target or 0 for target in targets], device=pixels.device)
    heatmap = method.function(classifier, pixels, target, **settings)
    family.check(heatmap, pixels)
    for row, (one, note) in enumerate(zip(found, family.notes(heatmap), strict=True)):
        if targets[row] is None:
            _add_map(one, identity, heatmap.layer, None, "The logits are not finite numbers.")
        else:
            values = heatmap.values[row].detach().float().cpu().numpy()
            _add_map(one, identity, heatmap.layer, values, note, signed=heatmap.signed)


def _add_map(
    one: Findings,
    identity: str,
    layer: str,
    values: NDArray[Any] | None,
    note: str,
    *,
    signed: bool = False,
) -> None:
    maps = one.scores["attributions"]
    name = None if values is None else f"attribution/{len(maps)}"
    if name is not None and values is not None:
        one.arrays[name] = values
    maps.append(
        {
            "method": identity,
            "layer": layer,
            "target": one.scores["target"],
            "signed": signed,
            "note": note,
            "picture": name,
            "array": name,
        }
    )


def _said(trace: Trace, spec: ModelSpec, wanted: Wanted) -> list[Findings]:
    """Start each image's findings with its ranking and the class to explain."""
    count = len(spec.class_names)
    if wanted.target is not None and not 0 <= wanted.target < count:
        raise OptionError(
            f"The class to explain must lie between 0 and {count - 1}; got {wanted.target}."
        )
    logits = trace.logits.detach().double().cpu().numpy()
    return [_ranked(row, spec, wanted) for row in logits]


def _ranked(logits: NDArray[np.float64], spec: ModelSpec, wanted: Wanted) -> Findings:
    top = rank(logits, spec, wanted.top)
    bad = int((~np.isfinite(logits)).sum())
    warning = f"{bad} of {len(logits)} outputs are not finite numbers; no ranking is shown."
    explained = top[0].index if top and wanted.target is None else wanted.target
    return Findings(
        arrays={"logits": logits},
        scores={
            "warnings": [warning] if bad else [],
            "top": [_scored(score) for score in top],
            "margin": top[0].margin if top else None,
            "target": explained if top else None,
            "layers": [],
            "attributions": [],
        },
    )


def _scored(score: Score) -> dict[str, Any]:
    content = asdict(score)
    return {"class": content.pop("name"), **content}


def _drawn(spec: ModelSpec, layers: tuple[str, ...] | None) -> frozenset[str]:
    if layers is None:
        return frozenset(representative(spec.layers, (spec.height, spec.width)))
    known = {layer.name for layer in spec.layers}
    if layers == ("all",):
        return frozenset(known)
    for name in layers:
        _demand_layer(name, spec)
    return frozenset(layers)


def _demand_layer(name: Value, spec: ModelSpec) -> None:
    names = [layer.name for layer in spec.layers]
    if name in names:
        return
    close = difflib.get_close_matches(str(name), names, 1)
    hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(names[:8])} …"
    raise OptionError(f"The model has no layer {name!r}; {hint}")


@torch.no_grad()
def _add_layers(
    found: Sequence[Findings], trace: Trace, spec: ModelSpec, drawn: frozenset[str]
) -> None:
    """Add every layer's statistics, and the maps of the layers to draw."""
    for layer in spec.layers:
        values = trace.activations.get(layer.name)
        if values is None:
            for one in found:
                one.scores["layers"].append(_not_captured(layer.name, layer.kind))
            continue
        table = _statistics(values)
        for row, one in enumerate(found):
            keys = ("low", "high", "mean", "std", "zeros")
            entry: dict[str, Any] = {
                "name": layer.name,
                "kind": layer.kind,
                "shape": list(values.shape[1:]),
                **{key: _finite(value) for key, value in zip(keys, table[row], strict=True)},
                "picture": None,
            }
            if layer.name in drawn:
                entry |= _draw(one, layer.name, values[row], spec)
            one.scores["layers"].append(entry)


def _statistics(values: Tensor) -> list[list[float]]:
    """Return lowest, highest, mean, standard deviation and share of zeros of each image.

    The order of the values does not matter, so channels-last memory is read as it lies; the
    centred values are summed in a second pass, which is exact and faster than Welford's way.
    """
    last = values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last)
    rows = (values.movedim(1, -1) if last else values).flatten(1).float()
    low, high = rows.amin(1), rows.amax(1)
    mean = rows.mean(1)
    std = torch.linalg.vector_norm(rows - mean[:, None], dim=1) / rows.shape[1] ** 0.5
    zeros = (rows == 0).float().mean(1)
    return torch.stack([low, high, mean, std, zeros], dim=1).cpu().tolist()


def _draw(one: Findings, name: str, values: Tensor, spec: ModelSpec) -> dict[str, Any]:
    """Keep what a picture of the layer needs: its strongest maps, or the whole vector."""
    arranged = layout(values.shape, (spec.height, spec.width))
    picture = f"layer/{name}"
    channels: list[int] = []
    if arranged == "channels last":
        values, arranged = values.permute(2, 0, 1), "channels"
    if arranged == "channels":
        strength = values.abs().flatten(1).mean(1)
        strongest = torch.argsort(strength, descending=True, stable=True)[:TILES]
        values, channels = values[strongest], strongest.tolist()
    if arranged in ("not captured", "other"):
        return {"layout": arranged}
    one.arrays[picture] = values.detach().float().cpu().numpy()
    return {"layout": arranged, "channels": channels, "picture": picture}


def _not_captured(name: str, kind: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("low", "high", "mean", "std", "zeros", "picture"))
    return {"name": name, "kind": kind, "shape": [], **nothing, "layout": "not captured"}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
