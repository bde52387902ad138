"""Where the network looked: one method's heatmap of each image, held to its family's promise."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.errors import NotOfferedError, OptionError
from diagnostics.methods import registry
from diagnostics.methods.context import ReportProgress
from diagnostics.models.classifier import Classifier, Counted, Margin
from diagnostics.schema.options import Value
from diagnostics.schema.request import STRONGEST
from diagnostics.schema.spec import ModelSpec

NO_MARGIN = "The class explained is the class that is subtracted, so nothing is left to explain."
NOT_FINITE = "The logits are not finite numbers."


@dataclass(frozen=True)
class ImageHeatmap:
    """One method's heatmap of one image, or why there is none.

    Args:
        layer: At which it was taken; empty for a map of pixels.
        values: Shape (h, w); None where there is none.
        note: Why there is none, or what should be seen of it.
        remark: What else is said of it.
        signed: Whether values lie on both sides of zero.
        any_class: Whether it is the same for every class.
    """

    layer: str
    values: NDArray[Any] | None = None
    note: str = ""
    remark: str = ""
    signed: bool = False
    any_class: bool = False


def explained_by(classifier: Classifier, against: int | None) -> Classifier:
    """Return the classifier whose logits are explained: the margins, where a class is named.

    Raises:
        OptionError: When there is no such class.
    """
    if against is None:
        return classifier
    count = len(classifier.spec.class_names)
    if count < 2 or not STRONGEST <= against < count:
        raise OptionError(
            f"The class to compare with must lie between 0 and {count - 1}, or be "
            f"{STRONGEST} for the strongest other one of at least two; got {against}."
        )
    return Margin(classifier, None if against == STRONGEST else against)


def heatmaps(
    classifier: Classifier,
    pixels: Tensor,
    targets: Sequence[int | None],
    against: int | None,
    identity: str,
    options: Mapping[str, Value],
    report: ReportProgress | None = None,
) -> list[ImageHeatmap]:
    """Return one method's heatmap of each image.

    Args:
        classifier: The classifier whose logits are explained, see `explained_by`.
        pixels: Shape (n, c, h, w), values in [0, 1].
        targets: Index of the class to explain of each image; None where its logits are not finite.
        against: Index of the class whose logit is subtracted, if one is.
        identity: The method's id.
        options: The method's settings.
        report: Called with the progress of an expensive method.

    Raises:
        NotOfferedError: When the model cannot answer the method.
        OptionError: When an option does not fit.
    """
    method, family = registry.find(identity), registry.family(identity)
    settings = _settings(method, options, classifier.spec)
    target = torch.tensor([index or 0 for index in targets], device=pixels.device)
    if method.info.expensive:
        pixels = pixels.detach()
        if report is not None:
            classifier = _counted(classifier, method, settings, len(pixels), report)
    heatmap = method.function(classifier, pixels, target, **settings)
    family.check(heatmap, pixels)
    found = []
    for row, (index, note) in enumerate(zip(targets, family.notes(heatmap), strict=True)):
        if index is None or index == against:
            found.append(
                ImageHeatmap(heatmap.layer, note=NOT_FINITE if index is None else NO_MARGIN)
            )
            continue
        found.append(
            ImageHeatmap(
                heatmap.layer,
                heatmap.values[row].detach().float().cpu().numpy(),
                note,
                remark="".join(heatmap.remarks[row : row + 1]),
                signed=heatmap.signed,
                any_class=heatmap.any_class,
            )
        )
    return found


def demand_layer(name: Value, spec: ModelSpec) -> None:
    """Hold a person to the layers there are.

    Raises:
        OptionError: When there is no such layer; the text names a close one.
    """
    names = [layer.name for layer in spec.layers]
    if name in names:
        return
    close = difflib.get_close_matches(str(name), names, 1)
    hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(names[:8])} …"
    raise OptionError(f"The model has no layer {name!r}; {hint}")


def _settings(
    method: registry.Method, options: Mapping[str, Value], spec: ModelSpec
) -> dict[str, Value]:
    """Return the checked settings of a method that makes maps, and that this model can answer."""
    if method.info.kind != "map":
        raise OptionError(f"{method.info.id} makes no map; only methods of attribution do.")
    missing = sorted(set(method.info.needs) - spec.offers)
    if missing:
        raise NotOfferedError(
            f"{method.info.title} needs {', '.join(missing)}, which this model does not offer."
        )
    settings = method.info.check(options)
    for option in method.info.options:
        if option.kind == "layer" and settings[option.name]:
            demand_layer(settings[option.name], spec)
    return settings


def _counted(
    classifier: Classifier,
    method: registry.Method,
    settings: Mapping[str, Value],
    images: int,
    report: ReportProgress,
) -> Classifier:
    """Return a classifier that reports how far a method is."""
    total, done = images * method.forward_passes(classifier.spec, **settings), 0

    def count(images_passed: int) -> None:
        nonlocal done
        done += images_passed
        report(method.info.title, min(done / total, 1.0))

    return Counted(classifier, count)
