"""What an OOD score registers of itself, and why a model or a reference lacks a score."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import torch
from torch import Tensor

from diagnostics.methods.registry import method
from diagnostics.models.features import Features
from diagnostics.reference.statistics import Reference
from diagnostics.schema.spec import ModelSpec, Need, Output

Fitted: TypeAlias = Mapping[str, Any]  # tensors by name; a guard holds counts as int
Fit: TypeAlias = Callable[[Reference], dict[str, Tensor]]
Function = TypeVar("Function", bound=Callable[..., Any])

LABELS_PER_CLASS = 5
ATTENTION = "attention"  # kind of the layers that attend


@runtime_checkable
class Outputs(Protocol):
    """What a score reads of n images that a guard has too: a part of `Features`."""

    @property
    def logits(self) -> Tensor:
        """Shape (n, k)."""

    @property
    def features(self) -> Tensor:
        """What the last layer receives, shape (n, d)."""

    @property
    def layers(self) -> Tensor:
        """Mean and deviation of every channel of an early layer, shape (n, 2 channels)."""


@dataclass(frozen=True)
class Score:
    """Decorator that registers an OOD score, a function of `Outputs` and `Fitted`.

    Args:
        title: The name people read.
        source: Paper the score comes from.
        blind: What it cannot see, a sentence.
        needs: What the model must offer.
        fit: Makes its statistics from a reference; None where it needs no images.
        labels_per_class: How many labelled images it needs of each class.
        compares_classes: Whether it compares the classes with each other.
        needs_covariance: Whether it needs the features' covariance.
        needs_early_layer: Whether it needs an early layer's statistics.
        needs_class_probabilities: Whether it needs each predicted class's mean probabilities.
        needs_raw_logits: Whether it reads the size of the logits, which a softmax takes away.
        exportable: Whether a guard may ship it; it then reads nothing but `Outputs`, and uses
            nothing but torch and what `standalone_source` takes along.
        misleads_transformers: Why it is left out where the network attends; empty where it is not.
    """

    title: str
    _: KW_ONLY
    source: str
    blind: str
    needs: Collection[Need] = ()
    fit: Fit | None = None
    labels_per_class: int = 0
    compares_classes: bool = False
    needs_covariance: bool = False
    needs_early_layer: bool = False
    needs_class_probabilities: bool = False
    needs_raw_logits: bool = False
    exportable: bool = True
    misleads_transformers: str = ""

    def __call__(self, function: Function) -> Function:
        """Register the function, see `diagnostics.methods.registry.method`."""
        SCORES[function.__name__] = self
        return method(self.title, kind="score", source=self.source, needs=self.needs)(function)


SCORES: dict[str, Score] = {}


def why_not(name: str, spec: ModelSpec, reference: Reference | None) -> str:
    """Say why a score cannot be given, or would mislead; empty when it is fine."""
    score = SCORES[name]
    if score.needs_raw_logits and spec.output in (Output.PROBABILITIES, Output.LOG_PROBABILITIES):
        return "The network ends in softmax, which takes away what this score reads."
    if spec.output.independent and score.compares_classes:
        return "Its classes are independent of each other; this score compares them."
    if score.misleads_transformers and any(layer.kind == ATTENTION for layer in spec.layers):
        return score.misleads_transformers
    missing = [need for need in sorted(score.needs) if need not in spec.offers]
    if missing:
        return spec.why_not(missing[0])
    if Need.BATCHNORM in score.needs and reference and not _has_batchnorm(reference):
        return "The reference was made before BatchNorm was seen in this format; make it anew."
    if score.fit is None:
        return ""
    if reference is None:
        return "It needs a folder of known-good images."
    return why_lacking(name, reference)


def _has_batchnorm(reference: Reference) -> bool:
    return all(len(half.outputs.batchnorm) for half in (reference.fit, reference.calibration))


def why_lacking(name: str, reference: Reference) -> str:
    """Say what a reference lacks for a score; empty when it lacks nothing."""
    score = SCORES[name]
    if score.needs_covariance and "gram" not in reference.sums:
        return "The last layer receives too many features for their covariance to be measured."
    if score.needs_class_probabilities and "predicted_count" not in reference.sums:
        return "The model has too many classes for each one's mean percentages to be measured."
    if score.needs_early_layer and "layer_gram" not in reference.sums:
        return "No early layer of this network gives maps or tokens."
    if score.labels_per_class:
        counts = reference.sums.get("class_count", torch.zeros(0))
        if int((counts >= score.labels_per_class).sum()) < 2:
            return (
                f"It needs {score.labels_per_class} labelled images of two classes at least in the "
                "half of the reference that scores are fitted on."
            )
    return ""


def measure(function: Callable[..., Any]) -> str:
    """Return what a score's number is: what its docstring says that it returns."""
    _, _, section = (inspect.getdoc(function) or "").partition("Returns:\n")
    return " ".join(section.partition("\n\n")[0].split())


def check(values: Tensor, outputs: Features) -> None:
    """Hold a score to the topic's promise.

    Raises:
        ValueError: When the shape is not as promised, or a number is not finite.
    """
    if values.shape != (len(outputs.logits),):
        raise ValueError(f"Expected one number per image; got {tuple(values.shape)}.")
    if not bool(values[outputs.finite()].isfinite().all()):
        raise ValueError("A score of finite logits came out not finite.")
