"""What must hold of a method, its settings and a class before a heatmap is made."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from diagnostics.errors import NotOfferedError, OptionError
from diagnostics.methods.registry import Method, find
from diagnostics.models.classifier import Classifier, Margin
from diagnostics.schema.options import Value
from diagnostics.schema.request import STRONGEST
from diagnostics.schema.spec import ModelSpec


def demand_method(
    identity: str, options: Mapping[str, Value], spec: ModelSpec
) -> tuple[Method, dict[str, Value]]:
    """Return an attribution method, and the value of every option of it.

    Raises:
        NotOfferedError: When the model cannot answer the method.
        OptionError: When there is no such method, it makes no map, or an option does not fit.
    """
    method = find(identity)
    if method.info.kind != "map":
        raise OptionError(f"{identity} makes no map; only methods of attribution do.")
    missing = sorted(set(method.info.needs) - spec.offers)
    if missing:
        raise NotOfferedError(
            f"{method.info.title} needs {', '.join(missing)}, which this model does not offer."
        )
    settings = method.info.check(options)
    for option in method.info.options:
        if option.kind == "layer" and settings[option.name]:
            demand_layer(settings[option.name], spec)
    return method, settings


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


def demand_against(against: int, spec: ModelSpec) -> None:
    """Hold a person to the classes whose logit can be subtracted.

    Raises:
        OptionError: When there is no such class.
    """
    count = len(spec.class_names)
    if count < 2 or not STRONGEST <= against < count:
        raise OptionError(
            f"The class to compare with must lie between 0 and {count - 1}, or be "
            f"{STRONGEST} for the strongest other one of at least two; got {against}."
        )


def explained_classifier(classifier: Classifier, against: int | None) -> Classifier:
    """Return the classifier whose logits are explained: the margins, where a class is named.

    Args:
        classifier: The classifier.
        against: Index of the class that is subtracted, see `rival_class`; None subtracts nothing.
    """
    return classifier if against is None else Margin(classifier, against)


def rival_class(logits: Float[Tensor, " k"], target: int, against: int | None) -> int | None:
    """Return the index of the class whose logit is subtracted from an image's target.

    Args:
        logits: Of the image itself: the strongest other class is picked there, once and for all.
        target: Index of the class that is explained.
        against: What was asked for, an index or `STRONGEST`; None subtracts nothing.
    """
    if against != STRONGEST:
        return against
    others = logits.detach().clone()
    others[target] = -torch.inf
    return int(others.argmax())
