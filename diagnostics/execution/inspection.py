"""Everything Inspect shows of some images, from one forward and one backward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.errors import NotOfferedError, OptionError
from diagnostics.execution.attribution import ImageHeatmap, heatmaps
from diagnostics.methods import registry
from diagnostics.methods.attribution import demand_layer
from diagnostics.methods.context import ReportProgress
from diagnostics.metrics.predictions import rank
from diagnostics.models import activations
from diagnostics.models.activations import LayerView
from diagnostics.models.classifier import TorchClassifier, Trace
from diagnostics.schema.layouts import last_maps, representative
from diagnostics.schema.options import Value
from diagnostics.schema.results.inspection import AttributionEntry, PredictionEntry
from diagnostics.schema.spec import ModelSpec

MAX_MAPS = 24
ENTRY_BYTES = 2048  # about what one entry takes beside its arrays
DEFAULT_METHODS = ("attribution/gradient", "attribution/grad_cam")


@dataclass(frozen=True)
class InspectionRequest:
    """What to show of each image.

    Args:
        top: How many classes to rank.
        layers: Layers to draw; None takes a representative few, "all" takes every one.
        attributions: Methods with their settings, "attribution/grad_cam?layer=conv2".
        target: Class to explain; None takes each image's top class.
        against: Class whose logit is subtracted, or `STRONGEST`; None explains the logit alone.
        maps: Most maps to draw of a layer, the strongest first.
        query: Token whose attention is drawn; None takes the class token, or the middle one.
        shared_maps: Draw of every image the maps that are strongest in the first one.
        channels: Those maps by layer, kept from one batch of images to the next.
    """

    top: int = 5
    layers: tuple[str, ...] | None = None
    attributions: tuple[str, ...] = DEFAULT_METHODS
    target: int | None = None
    against: int | None = None
    maps: int = MAX_MAPS
    query: int | None = None
    shared_maps: bool = False
    channels: dict[str, list[int]] = field(default_factory=dict)

    def share_maps_of(self, first: ForwardResult) -> None:
        """Draw of every image the maps that were drawn of this one."""
        for layer in first.layers:
            if "channels" in layer.entry:
                self.channels.setdefault(layer.entry["name"], layer.entry["channels"])


@dataclass
class ForwardResult:
    """What the forward pass gave for one image; it stays the same whatever is explained.

    Args:
        arrays: "logits", and what is drawn of the layers.
        top: The classes ranked first; empty where the logits are not finite.
        margin: First logit minus the second; None where there is none.
        warnings: What people should know of the logits.
        layers: What each layer gave.
    """

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    top: list[PredictionEntry] = field(default_factory=list)
    margin: float | None = None
    warnings: list[str] = field(default_factory=list)
    layers: list[LayerView] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        """About what it takes in memory."""
        extremes = [view.extremes for view in self.layers if view.extremes is not None]
        return (
            ENTRY_BYTES * (1 + len(self.layers))
            + sum(values.nbytes for values in self.arrays.values())
            + sum(values.nbytes for values in extremes)
        )

    def copy(self) -> ForwardResult:
        """Return a copy that may be written to, without what only the drawing needed."""
        return ForwardResult(
            arrays=_copies(self.arrays),
            top=deepcopy(self.top),
            margin=self.margin,
            warnings=list(self.warnings),
            layers=[_copy(view) for view in self.layers],
        )


@dataclass
class AttributionResult:
    """What methods of attribution gave for one image.

    Args:
        arrays: The heatmaps, by the names that the entries give.
        target: Index of the class explained; None where the logits are not finite.
        entries: The methods, in the order of the request.
    """

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    target: int | None = None
    entries: list[AttributionEntry] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        """About what it takes in memory."""
        return ENTRY_BYTES + sum(values.nbytes for values in self.arrays.values())

    def copy(self) -> AttributionResult:
        """Return a copy that may be written to."""
        return AttributionResult(_copies(self.arrays), self.target, deepcopy(self.entries))


@dataclass
class InspectionResult:
    """What was found for one image."""

    forward: ForwardResult = field(default_factory=ForwardResult)
    attributions: AttributionResult = field(default_factory=AttributionResult)

    def copy(self) -> InspectionResult:
        """Return a copy that may be written to."""
        return InspectionResult(self.forward.copy(), self.attributions.copy())


def _copies(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Copy arrays, which may be views on a whole batch."""
    return {name: np.array(values) for name, values in arrays.items()}


def _copy(view: LayerView) -> LayerView:
    entry = view.entry.copy()  # many times faster than a deep copy
    entry["shape"] = list(entry["shape"])
    if "channels" in entry:
        entry["channels"] = list(entry["channels"])
    extremes = None if view.extremes is None else np.array(view.extremes)
    return replace(view, entry=entry, values=None, extremes=extremes)


def inspect(
    classifier: TorchClassifier, pixels: Tensor, inspection: InspectionRequest
) -> list[InspectionResult]:
    """Return what the network predicts, what each layer did and where it looked, for each image.

    Args:
        classifier: The classifier.
        pixels: Shape (n, c, h, w), values in [0, 1].
        inspection: What to show. A method that this model cannot answer leaves a note instead.

    Returns:
        One entry per image, in their order.

    Raises:
        OptionError: When a layer, class or method does not exist.
    """
    spec = classifier.spec
    _drawn_layers(spec, inspection.layers)  # refuse unknown layers before the forward pass
    trace = classifier.trace(pixels, [layer.name for layer in spec.layers])
    results = _results(trace, spec, inspection)
    _add_layers(results, trace, spec, inspection)
    _add_attributions(results, classifier, trace, inspection)
    return results


def explain(
    classifier: TorchClassifier, pixels: Tensor, inspection: InspectionRequest
) -> list[InspectionResult]:
    """Return what `inspect` does, without the layers: only the methods' own are recorded.

    Args:
        classifier: The classifier.
        pixels: Shape (n, c, h, w), values in [0, 1].
        inspection: Which methods, and what they explain.

    Raises:
        OptionError: When a layer, class or method does not exist.
    """
    spec = classifier.spec
    options = [registry.parse(name)[1] for name in inspection.attributions]
    named = {str(settings["layer"]) for settings in options if settings.get("layer")}
    trace = classifier.trace(pixels, {last_maps(spec), *named} - {""})
    results = _results(trace, spec, inspection)
    _add_attributions(results, classifier, trace, inspection)
    return results


def attribute(
    classifier: TorchClassifier,
    pixels: Tensor,
    inspection: InspectionRequest,
    identity: str,
    options: Mapping[str, Value],
    report: ReportProgress | None = None,
) -> list[InspectionResult]:
    """Return what the network predicts for each image, and one method's map of where it looked.

    Args:
        classifier: The classifier.
        pixels: Shape (n, c, h, w), values in [0, 1].
        inspection: How many classes to rank and which one to explain.
        identity: The method's id.
        options: The method's settings.
        report: Called with what is being done, and which share of it is done, 0 to 1.

    Raises:
        OptionError: When the method, the class or an option does not exist.
        NotOfferedError: When this model cannot answer the method.
    """
    trace = classifier.trace(pixels, ())
    results = _results(trace, classifier.spec, inspection)
    targets = [result.attributions.target for result in results]
    against = inspection.against
    maps = heatmaps(classifier, trace, targets, against, identity, options, report)
    for result, heatmap in zip(results, maps, strict=True):
        _add_heatmap(result.attributions, heatmap, identity, against)
    return results


def _results(
    trace: Trace, spec: ModelSpec, inspection: InspectionRequest
) -> list[InspectionResult]:
    """Start each image's result with its ranking and the class to explain."""
    count = len(spec.class_names)
    if inspection.target is not None and not 0 <= inspection.target < count:
        raise OptionError(
            f"The class to explain must lie between 0 and {count - 1}; got {inspection.target}."
        )
    logits = trace.logits.detach().double().cpu().numpy()
    return [_ranked(row, spec, inspection) for row in logits]


def _ranked(
    logits: NDArray[np.float64], spec: ModelSpec, inspection: InspectionRequest
) -> InspectionResult:
    top = rank(logits, spec, inspection.top)
    bad = int((~np.isfinite(logits)).sum())
    warning = f"{bad} of {len(logits)} outputs are not finite numbers; no ranking is shown."
    forward = ForwardResult(
        arrays={"logits": logits},
        top=[prediction.entry() for prediction in top],
        margin=top[0].margin if top else None,
        warnings=[warning] if bad else [],
    )
    target = top[0].index if top and inspection.target is None else inspection.target
    return InspectionResult(forward, AttributionResult(target=target if top else None))


def _drawn_layers(spec: ModelSpec, layers: tuple[str, ...] | None) -> frozenset[str]:
    if layers is None:
        return frozenset(representative(spec.layers, (spec.height, spec.width)))
    if layers == ("all",):
        return frozenset(layer.name for layer in spec.layers)
    for name in layers:
        demand_layer(name, spec)
    return frozenset(layers)


def _add_layers(
    results: Sequence[InspectionResult],
    trace: Trace,
    spec: ModelSpec,
    inspection: InspectionRequest,
) -> None:
    """Add every layer's statistics, and the maps of the layers to draw."""
    views = activations.view(
        spec.layers,
        trace.activations,
        _drawn_layers(spec, inspection.layers),
        (spec.height, spec.width),
        len(results),
        max_maps=inspection.maps,
        query=inspection.query,
        shared_maps=inspection.channels if inspection.shared_maps else None,
    )
    for result, layers in zip(results, views, strict=True):
        result.forward.layers = layers
        for layer in layers:
            picture = layer.entry["picture"]
            if picture is not None and layer.values is not None:
                result.forward.arrays[picture] = layer.values


def _add_attributions(
    results: Sequence[InspectionResult],
    classifier: TorchClassifier,
    trace: Trace,
    inspection: InspectionRequest,
) -> None:
    """Add each method's heatmap, from one pass; one that cannot answer leaves a note instead."""
    against = inspection.against
    targets = [result.attributions.target for result in results]
    for name in inspection.attributions:
        identity, options = registry.parse(name)
        try:
            maps = heatmaps(classifier, trace, targets, against, identity, options)
        except NotOfferedError as error:
            layer = str(options.get("layer", ""))
            maps = [ImageHeatmap(layer, note=error.message)] * len(results)
        for result, heatmap in zip(results, maps, strict=True):
            _add_heatmap(result.attributions, heatmap, identity, against)


def _add_heatmap(
    attributions: AttributionResult, heatmap: ImageHeatmap, identity: str, against: int | None
) -> None:
    name = None
    if heatmap.values is not None:
        name = f"attribution/{len(attributions.entries)}"
        attributions.arrays[name] = heatmap.values
    attributions.entries.append(
        AttributionEntry(
            method=identity,
            layer=heatmap.layer,
            target=attributions.target,
            against=against,
            signed=heatmap.signed,
            note=heatmap.note,
            remark=heatmap.remark,
            any_class=heatmap.any_class,
            picture=name,
            array=name,
        )
    )
