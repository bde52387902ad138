"""Whether models can answer together: the same classes, and the same picture before them."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostics.schema.spec import ModelSpec
from diagnostics.text import counted

# Settings of the picture itself, which all members of an ensemble must share.
SHARED = ("colour", "grey", "invert", "fit", "contrast", "blur", "threshold")


def why_apart(specs: Sequence[ModelSpec]) -> str:
    """Say why models cannot be averaged; empty where they can."""
    first, *others = specs
    for spec in others:
        both = f"{first.name} and {spec.name}"
        if len(spec.class_names) != len(first.class_names) or spec.channels != first.channels:
            return (
                f"{first.name} has {_shape(first)} and {spec.name} {_shape(spec)}; an ensemble "
                "needs models of the same classes and channels."
            )
        if spec.class_names != first.class_names:
            return (
                f"{both} name their classes differently, so their logits cannot be averaged; give "
                "both the same class names in the same order."
            )
        if spec.output.independent != first.output.independent:
            return (
                f"{both} mean different things by their outputs: in one of them each class is a "
                "yes or no of its own. Say what the outputs are when you open them."
            )
        settings, expected = spec.preprocessing, first.preprocessing
        if any(getattr(settings, name) != getattr(expected, name) for name in SHARED):
            return (
                f"{both} differ in how an image is turned, fitted or blurred before they see it; "
                "an ensemble sees one image. Mean and std may differ."
            )
    return ""


def _shape(spec: ModelSpec) -> str:
    classes = counted(len(spec.class_names), "class", "classes")
    return f"{classes} and {counted(spec.channels, 'channel')}"
