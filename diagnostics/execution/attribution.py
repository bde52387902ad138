"""Where the network looked: one method's heatmap of each image, held to its family's promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.methods.attribution import check, demand_method, notes
from diagnostics.methods.context import ReportProgress, report_passes
from diagnostics.models.classifier import Classifier, Counted
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
        classifier: The classifier whose logits are explained, see `explained_classifier`.
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
    method, settings = demand_method(identity, options, classifier.spec)
    target = torch.tensor([index or 0 for index in targets], device=pixels.device)
    if method.info.expensive:
        pixels = pixels.detach()
        if report is not None:
            total = len(pixels) * method.forward_passes(classifier.spec, **settings)
            classifier = Counted(classifier, report_passes(report, method.info.title, total))
    heatmap = method.function(classifier, pixels, target, **settings)
    check(heatmap, pixels)
    images = []
    for row, (index, note) in enumerate(zip(targets, notes(heatmap), strict=True)):
        if index is None or index == against:
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
