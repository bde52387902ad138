"""Several models that answer together: the mean of their logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from diagnostics.errors import ModelError
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.ensemble import why_apart
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import ModelSource
from diagnostics.schema.spec import Check, ModelSpec, Output

MEMBERS = "members."  # what the names of their layers begin with


class EnsembleNetwork(nn.Module):
    """Gives the mean of its members' logits, for pixels in [0, 1].

    Every member's channel order, value range, mean and std are applied inside; a member of another
    size receives the pixels resized to it.

    Args:
        classifiers: The members, with their preprocessing.
    """

    def __init__(self, classifiers: Sequence[TorchClassifier]) -> None:
        super().__init__()
        self.members = nn.ModuleList(member.network for member in classifiers)
        self.classifiers = tuple(classifiers)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the mean logits, shape (n, k)."""
        logits = [member.logits(_resized(pixels, member.spec)) for member in self.classifiers]
        return torch.stack([values.to(pixels.dtype) for values in logits]).mean(0)


def ensemble_spec(source: ModelSource, classifiers: Sequence[TorchClassifier]) -> ModelSpec:
    """Return what is known of an ensemble before it is looked at.

    Raises:
        ModelError: When its members do not see the same images or name other classes.
    """
    specs = [member.spec for member in classifiers]
    if why := why_apart(specs):
        raise ModelError(why)
    first = specs[0]
    sizes = {(spec.height, spec.width) for spec in specs}
    message = f"{len(classifiers)} models; the mean of their logits is the answer."
    if len(sizes) > 1:
        message += f" Pixels are made {first.width} x {first.height} and resized for the others."
    return ModelSpec(
        name=source.name,
        format="ensemble",
        architecture=" + ".join(spec.architecture for spec in specs),
        sha256=source.sha256,
        parameters=sum(spec.parameters for spec in specs),
        height=first.height,
        width=first.width,
        channels=first.channels,
        class_names=first.class_names,
        output=Output.SIGMOID_LOGITS if first.output.independent else Output.LOGITS,
        preprocessing=_pixels_only(classifiers[0]),
        checks=(Check("ensemble", "passed", message),),
    )


def _resized(pixels: Tensor, spec: ModelSpec) -> Tensor:
    size = (spec.height, spec.width)
    if tuple(pixels.shape[2:]) == size:
        return pixels
    return interpolate(pixels, size, mode="bilinear", antialias=True, align_corners=False)


def _pixels_only(classifier: TorchClassifier) -> Preprocessing:
    """Return settings whose values reach the ensemble as pixels in [0, 1]."""
    zeros, ones = (0.0,) * classifier.spec.channels, (1.0,) * classifier.spec.channels
    return replace(classifier.preprocessing, bgr=False, value_range=1, mean=zeros, std=ones)
