"""Scores of strangeness: how unlike the images that a network knows is this one.

Promise of every score here: one number per image, higher for stranger images, finite wherever the
logits are. A number means nothing by itself: what it means is how many known-good images are less
strange, see `diagnostics.methods.ood.detector`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor

from diagnostics.methods.registry import method
from diagnostics.models.features import Features
from diagnostics.reference.statistics import Reference
from diagnostics.schema.spec import ModelSpec, Need, Output

Fitted: TypeAlias = Mapping[str, Tensor]
Fit: TypeAlias = Callable[[Reference], dict[str, Tensor]]
Function = TypeVar("Function", bound=Callable[..., Any])

LABELS_PER_CLASS = 5
ATTENTION = "attention"  # kind of the layers that attend


@dataclass(frozen=True)
class Details:
    """What else is to be known of a score.

    Args:
        blind: What it cannot see, a sentence.
        fit: Makes its statistics from a reference; None where it needs no images.
        labels: How many labelled images it needs of each class.
        compares: Whether it compares the classes with each other.
        covariance: Whether it needs the features' covariance.
        early: Whether it needs an early layer's statistics.
        said: Whether it needs each class's mean probabilities.
        raw_logits: Whether it reads the size of the logits, which a softmax takes away.
        alone: Whether what it reads is in every image's logits and features.
        misleads_transformers: Why it is left out where the network attends; empty where it is not.
    """

    blind: str
    fit: Fit | None = None
    labels: int = 0
    compares: bool = False
    covariance: bool = False
    early: bool = False
    said: bool = False
    raw_logits: bool = False
    alone: bool = True
    misleads_transformers: str = ""


DETAILS: dict[str, Details] = {}


def score(
    title: str, *, source: str, needs: Collection[Need] = (), **details: Any
) -> Callable[[Function], Function]:
    """Register a score, see `diagnostics.methods.registry.method` and `Details`."""

    def register(function: Function) -> Function:
        DETAILS[function.__name__] = Details(**details)
        return method(title, kind="score", source=source, needs=needs)(function)

    return register


def why_not(name: str, spec: ModelSpec, reference: Reference | None) -> str:
    """Say why a score cannot be given, or would mislead; empty when it is fine."""
    details = DETAILS[name]
    if details.raw_logits and spec.output in (Output.PROBABILITIES, Output.LOG_PROBABILITIES):
        return "The network ends in softmax, which takes away what this score reads."
    if spec.output.independent and details.compares:
        return "Its classes are independent of each other; this score compares them."
    if details.misleads_transformers and any(one.kind == ATTENTION for one in spec.layers):
        return details.misleads_transformers
    missing = [need for need in _needs(name) if need not in spec.offers]
    if missing:
        return spec.why_not(Need(missing[0]))
    if details.fit is None:
        return ""
    if reference is None:
        return "It needs a folder of known-good images."
    return why_lacking(name, reference)


def why_lacking(name: str, reference: Reference) -> str:
    """Say what a reference lacks for a score; empty when it lacks nothing."""
    details = DETAILS[name]
    if details.covariance and "gram" not in reference.moments:
        return "The last layer receives too many features for their covariance to be measured."
    if details.said and "said_count" not in reference.moments:
        return "The model has too many classes for each one's mean percentages to be measured."
    if details.early and "layer_gram" not in reference.moments:
        return "No early layer of this network gives maps or tokens."
    if details.labels:
        counts = reference.moments.get("class_count", torch.zeros(0))
        if int((counts >= details.labels).sum()) < 2:
            return (
                f"It needs {details.labels} labelled images of two classes at least in the half "
                "of the reference that scores are fitted on."
            )
    return ""


def _needs(name: str) -> tuple[str, ...]:
    from diagnostics.methods.registry import find

    return find(f"ood/{name}").info.needs


def check(values: Tensor, seen: Features) -> None:
    """Hold a score to the family's promise.

    Raises:
        ValueError: When the shape is not as promised, or a number is not finite.
    """
    if values.shape != (len(seen.logits),):
        raise ValueError(f"Expected one number per image; got {tuple(values.shape)}.")
    if not bool(values[seen.finite()].isfinite().all()):
        raise ValueError("A score of finite logits came out not finite.")
