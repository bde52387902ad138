"""Where the network looked: one method's map for each image, held to its family's promise."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.errors import NotOfferedError, OptionError
from diagnostics.execution.findings import InspectionRequest, InspectionResult
from diagnostics.methods import registry
from diagnostics.methods.context import ReportProgress
from diagnostics.models.classifier import Classifier, Counted, Margin
from diagnostics.schema.options import Value
from diagnostics.schema.request import STRONGEST
from diagnostics.schema.spec import ModelSpec

NO_MARGIN = "The class explained is the class that is subtracted, so nothing is left to explain."


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


def add_maps(
    found: Sequence[InspectionResult],
    classifier: Classifier,
    pixels: Tensor,
    wanted: InspectionRequest,
    identity: str,
    options: Mapping[str, Value],
    tell: ReportProgress | None = None,
) -> None:
    """Add each image's map; images that the network gave no ranking for get a note.

    Raises:
        NotOfferedError: When the model cannot answer the method.
        OptionError: When an option does not fit.
    """
    method, family = registry.find(identity), registry.family(identity)
    if method.info.kind != "map":
        raise OptionError(f"{identity} makes no map; only methods of attribution do.")
    missing = sorted(set(method.info.needs) - classifier.spec.offers)
    if missing:
        raise NotOfferedError(
            f"{method.info.title} needs {', '.join(missing)}, which this model does not offer."
        )
    settings = method.info.check(options)
    for option in method.info.options:
        if option.kind == "layer" and settings[option.name]:
            demand_layer(settings[option.name], classifier.spec)
    targets = [one.scores["target"] for one in found]
    target = torch.tensor([target or 0 for target in targets], device=pixels.device)
    if method.info.expensive:
        pixels = pixels.detach()
        if tell is not None:
            classifier = _counted(classifier, method, settings, len(pixels), tell)
    heatmap = method.function(classifier, pixels, target, **settings)
    family.check(heatmap, pixels)
    for row, (one, note) in enumerate(zip(found, family.notes(heatmap), strict=True)):
        if targets[row] is None or targets[row] == wanted.against:
            note = "The logits are not finite numbers." if targets[row] is None else NO_MARGIN
            add_map(one, wanted, identity, heatmap.layer, None, note)
        else:
            values = heatmap.values[row].detach().float().cpu().numpy()
            add_map(one, wanted, identity, heatmap.layer, values, note, signed=heatmap.signed)
            remark = "".join(heatmap.remarks[row : row + 1])
            one.scores["attributions"][-1] |= {"remark": remark, "any_class": heatmap.any_class}


def _counted(
    classifier: Classifier,
    method: registry.Method,
    settings: Mapping[str, Value],
    images: int,
    tell: ReportProgress,
) -> Classifier:
    """Return a classifier that tells how far a method is."""
    total, done = images * method.forward_passes(classifier.spec, **settings), 0

    def count(asked: int) -> None:
        nonlocal done
        done += asked
        tell(method.info.title, min(done / total, 1.0))

    return Counted(classifier, count)


def add_map(
    one: InspectionResult,
    wanted: InspectionRequest,
    identity: str,
    layer: str,
    values: NDArray[Any] | None,
    note: str,
    *,
    signed: bool = False,
) -> None:
    """Add one map, or why there is none."""
    maps = one.scores["attributions"]
    name = None if values is None else f"attribution/{len(maps)}"
    if name is not None and values is not None:
        one.arrays[name] = values
    maps.append(
        {
            "method": identity,
            "layer": layer,
            "target": one.scores["target"],
            "against": wanted.against,
            "signed": signed,
            "note": note,
            "remark": "",
            "any_class": False,
            "picture": name,
            "array": name,
        }
    )


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
