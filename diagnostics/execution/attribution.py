"""Where the network looked: one method's heatmap of each image, held to its family's promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.errors import NotOfferedError
from diagnostics.methods.attribution import (
    Heatmap,
    check,
    demand_against,
    demand_method,
    explained_classifier,
    notes,
    rival_class,
)
from diagnostics.methods.context import ReportProgress, report_passes
from diagnostics.models.classifier import (
    Classifier,
    Counted,
    Margin,
    SharedTrace,
    TorchClassifier,
    Trace,
)
from diagnostics.schema.options import Value

NO_MARGIN = "The class explained is the class that is subtracted, so nothing is left to explain."
NOT_FINITE = "The logits are not finite numbers."


@dataclass(frozen=True)
class ImageHeatmap:
    """One method's heatmap of one image, or why there is none.

    Args:
        layer: At which it was taken; empty for a map of pixels.
        values: Shape (h, w); None where there is none.
        note: Why there is none, or a warning.
        remark: What else people should read with it.
        signed: Whether values lie on both sides of zero.
        any_class: Whether it is the same for every class.
    """

    layer: str
    values: NDArray[Any] | None = None
    note: str = ""
    remark: str = ""
    signed: bool = False
    any_class: bool = False


def heatmaps(
    classifier: TorchClassifier,
    recorded: Trace,
    targets: Sequence[int | None],
    against: int | None,
    identity: str,
    options: Mapping[str, Value],
    report: ReportProgress | None = None,
) -> list[ImageHeatmap]:
    """Return one method's heatmap of each image.

    Args:
        classifier: The classifier.
        recorded: Its pass of the images, which methods that need no other one share.
        targets: Index of the class to explain of each image; None where its logits are not finite.
        against: Index of the class whose logit is subtracted, see `rival_class`, if one is.
        identity: The method's id.
        options: The method's settings.
        report: Called with the progress of an expensive method.

    Raises:
        NotOfferedError: When the model cannot answer the method.
        OptionError: When an option or the class that is subtracted does not fit.
    """
    method, settings = demand_method(identity, options, classifier.spec)
    if against is not None:
        demand_against(against, classifier.spec)
    counted: Classifier = classifier
    if method.info.expensive and report is not None:
        total = len(targets) * method.forward_passes(classifier.spec, **settings)
        classifier.expect(total)
        counted = Counted(classifier, report_passes(report, method.info.title, total))
    indices = [index or 0 for index in targets]
    rivals = [
        rival_class(logits, index, against)
        for logits, index in zip(recorded.logits, indices, strict=True)
    ]
    images: list[ImageHeatmap] = [ImageHeatmap("")] * len(targets)
    refusals: list[NotOfferedError] = []
    for rival in dict.fromkeys(rivals):
        rows = [row for row, other in enumerate(rivals) if other == rival]
        explained, pixels = _explained(counted, recorded, rival, rows)
        target = torch.tensor([indices[row] for row in rows], device=pixels.device)
        try:
            if method.info.expensive:
                pixels = pixels.detach()
            heatmap = method.function(explained, pixels, target, **settings)
            check(heatmap, pixels)
            found = _image_heatmaps(heatmap, [targets[row] for row in rows], rival)
        except NotOfferedError as error:
            refusals.append(error)
            found = [ImageHeatmap(str(settings.get("layer", "")), note=error.message)] * len(rows)
        for row, image in zip(rows, found, strict=True):
            images[row] = image
    if len(refusals) == len(set(rivals)):
        raise refusals[0]
    return images


def _explained(
    classifier: Classifier, recorded: Trace, rival: int | None, rows: Sequence[int]
) -> tuple[Classifier, Tensor]:
    """Return what is explained of some of the images, and their pixels."""
    explained = explained_classifier(classifier, rival)
    if len(rows) < len(recorded.pixels):
        return explained, recorded.pixels.detach()[list(rows)]
    trace = explained.over(recorded) if isinstance(explained, Margin) else recorded
    return SharedTrace(explained, trace), recorded.pixels


def _image_heatmaps(
    heatmap: Heatmap, targets: Sequence[int | None], rival: int | None
) -> list[ImageHeatmap]:
    """Return the heatmap of each image, or why there is none."""
    images = []
    for row, (index, note) in enumerate(zip(targets, notes(heatmap), strict=True)):
        if index is None or index == rival:
            images.append(
                ImageHeatmap(heatmap.layer, note=NOT_FINITE if index is None else NO_MARGIN)
            )
            continue
        images.append(
            ImageHeatmap(
                heatmap.layer,
                heatmap.values[row].detach().float().cpu().numpy(),
                note,
                remark="".join(heatmap.remarks[row : row + 1]),
                signed=heatmap.signed,
                any_class=heatmap.any_class,
            )
        )
    return images
