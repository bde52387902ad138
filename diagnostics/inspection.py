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

from diagnostics import activations
from diagnostics import method as registry
from diagnostics.activations import LayerView
from diagnostics.classifier import Classifier, SharedTrace, TorchClassifier, Trace
from diagnostics.errors import NotOfferedError, OptionError
from diagnostics.options import Value
from diagnostics.predictions import Score, rank
from diagnostics.shapes import representative
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
        maps: Most maps to draw of a layer, the strongest first.
        query: Token whose attention is drawn; None takes the class token, or the middle one.
    """

    top: int = 5
    layers: tuple[str, ...] | None = None
    attributions: tuple[str, ...] = STANDARD
    target: int | None = None
    maps: int = TILES
    query: int | None = None


@dataclass
class Findings:
    """What was found for one image: named arrays, and everything else as JSON.

    Args:
        arrays: Layer maps and heatmaps, by the name that `scores` gives as their picture.
        scores: "top", "margin", "warnings", "layers", "attributions" of the JSON schema.
        layers: What each layer gave.
    """

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    layers: list[LayerView] = field(default_factory=list)


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
    _drawn(spec, wanted.layers)  # ask for what exists, before the network is asked
    trace = classifier.trace(pixels, [layer.name for layer in spec.layers])
    found = _said(trace, spec, wanted)
    _add_layers(found, trace, spec, wanted)
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


def _add_layers(found: Sequence[Findings], trace: Trace, spec: ModelSpec, wanted: Wanted) -> None:
    """Add every layer's statistics, and the maps of the layers to draw."""
    seen = activations.view(
        spec.layers,
        trace.activations,
        _drawn(spec, wanted.layers),
        (spec.height, spec.width),
        len(found),
        most=wanted.maps,
        query=wanted.query,
    )
    for one, views in zip(found, seen, strict=True):
        one.layers = views
        one.scores["layers"] = [layer.entry for layer in views]
        one.arrays |= {
            layer.entry["picture"]: layer.drawn for layer in views if layer.drawn is not None
        }
