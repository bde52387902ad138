"""Everything Inspect shows of some images, from one forward and one backward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.errors import NotOfferedError, OptionError
from diagnostics.execution.attribution import (
    add_map,
    add_maps,
    demand_layer,
    explained_by,
)
from diagnostics.execution.findings import InspectionRequest, InspectionResult
from diagnostics.methods import registry
from diagnostics.methods.context import ReportProgress
from diagnostics.metrics.predictions import Prediction, rank
from diagnostics.models import activations
from diagnostics.models.classifier import Margin, SharedTrace, TorchClassifier, Trace
from diagnostics.schema.layouts import last_maps, representative
from diagnostics.schema.options import Value
from diagnostics.schema.spec import ModelSpec


def inspect(
    classifier: TorchClassifier, pixels: Tensor, wanted: InspectionRequest
) -> list[InspectionResult]:
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
    _add_attributions(found, classifier, trace, wanted)
    return found


def explain(
    classifier: TorchClassifier, pixels: Tensor, wanted: InspectionRequest
) -> list[InspectionResult]:
    """Return what `inspect` does, without the layers: only the methods' own are recorded.

    Args:
        classifier: The classifier asked.
        pixels: Shape (n, c, h, w), values in [0, 1].
        wanted: Which methods, and what they explain.

    Raises:
        OptionError: When a layer, class or method does not exist.
    """
    spec = classifier.spec
    written = [registry.parse(name)[1] for name in wanted.attributions]
    named = {str(options["layer"]) for options in written if options.get("layer")}
    trace = classifier.trace(pixels, {last_maps(spec), *named} - {""})
    found = _said(trace, spec, wanted)
    _add_attributions(found, classifier, trace, wanted)
    return found


def _add_attributions(
    found: Sequence[InspectionResult],
    classifier: TorchClassifier,
    trace: Trace,
    wanted: InspectionRequest,
) -> None:
    """Add what each method says, from one pass; one that cannot answer leaves a note instead."""
    explained = explained_by(classifier, wanted.against)
    recorded = explained.over(trace) if isinstance(explained, Margin) else trace
    shared = SharedTrace(explained, recorded)
    for name in wanted.attributions:
        identity, options = registry.parse(name)
        try:
            add_maps(found, shared, trace.pixels, wanted, identity, options)
        except NotOfferedError as error:
            for one in found:
                add_map(one, wanted, identity, str(options.get("layer", "")), None, error.message)


def attribute(
    classifier: TorchClassifier,
    pixels: Tensor,
    wanted: InspectionRequest,
    identity: str,
    options: Mapping[str, Value],
    tell: ReportProgress | None = None,
) -> list[InspectionResult]:
    """Return what the network said of each image, and one method's map of where it looked.

    Args:
        classifier: The classifier asked.
        pixels: Shape (n, c, h, w), values in [0, 1].
        wanted: How many classes to rank and which one to explain.
        identity: The method's id.
        options: The method's settings.
        tell: Called with what is being done, and which share of it is done, 0 to 1.

    Raises:
        OptionError: When the method, the class or an option does not exist.
        NotOfferedError: When this model cannot answer the method.
    """
    trace = classifier.trace(pixels, ())
    found = _said(trace, classifier.spec, wanted)
    explained = explained_by(classifier, wanted.against)
    add_maps(found, explained, trace.pixels, wanted, identity, options, tell)
    return found


def _said(trace: Trace, spec: ModelSpec, wanted: InspectionRequest) -> list[InspectionResult]:
    """Start each image's findings with its ranking and the class to explain."""
    count = len(spec.class_names)
    if wanted.target is not None and not 0 <= wanted.target < count:
        raise OptionError(
            f"The class to explain must lie between 0 and {count - 1}; got {wanted.target}."
        )
    logits = trace.logits.detach().double().cpu().numpy()
    return [_ranked(row, spec, wanted) for row in logits]


def _ranked(
    logits: NDArray[np.float64], spec: ModelSpec, wanted: InspectionRequest
) -> InspectionResult:
    top = rank(logits, spec, wanted.top)
    bad = int((~np.isfinite(logits)).sum())
    warning = f"{bad} of {len(logits)} outputs are not finite numbers; no ranking is shown."
    explained = top[0].index if top and wanted.target is None else wanted.target
    return InspectionResult(
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


def _scored(score: Prediction) -> dict[str, Any]:
    content = asdict(score)
    return {"class": content.pop("name"), **content}


def _drawn(spec: ModelSpec, layers: tuple[str, ...] | None) -> frozenset[str]:
    if layers is None:
        return frozenset(representative(spec.layers, (spec.height, spec.width)))
    known = {layer.name for layer in spec.layers}
    if layers == ("all",):
        return frozenset(known)
    for name in layers:
        demand_layer(name, spec)
    return frozenset(layers)


def _add_layers(
    found: Sequence[InspectionResult], trace: Trace, spec: ModelSpec, wanted: InspectionRequest
) -> None:
    """Add every layer's statistics, and the maps of the layers to draw."""
    seen = activations.view(
        spec.layers,
        trace.activations,
        _drawn(spec, wanted.layers),
        (spec.height, spec.width),
        len(found),
        most=wanted.maps,
        query=wanted.query,
        same_maps=wanted.same_maps if wanted.alike else None,
    )
    for one, views in zip(found, seen, strict=True):
        one.layers = views
        one.scores["layers"] = [layer.entry for layer in views]
        one.arrays |= {
            layer.entry["picture"]: layer.drawn for layer in views if layer.drawn is not None
        }
