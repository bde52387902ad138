"""Gradient ascent to a class from nothing, with L2 decay and a learning rate free of scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.fooling._archive import (
    GOAL_MARGIN,
    LEVELS,
    Archive,
    as_images,
    target_indices,
)
from diagnostics.methods.registry import method
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import batch_size
from diagnostics.models.infill import mean_colour
from diagnostics.models.log_odds import margin
from diagnostics.schema.options import Range
from diagnostics.schema.results.fooling import FoolingAnswer
from diagnostics.schema.spec import Need
from diagnostics.text import counted

EARLY, LATE = 0.03, 0.1  # a step aims at so much of p, and at this part of what p lacks of one
MAX_GAIN = 2.0  # of the margin; where p is hardly above zero, the aim at p would ask for more
GRAIN = 1 / LEVELS  # standard deviation of the noise at the start
# A step that gains less than half of its aim makes the next one so much longer, one that gains all
# of it shorter again: in large models the gradient turns, and rounding takes from small steps.
LONGER, MAX_STRETCH = 1.25, 16.0


@method(
    "Gradient ascent",
    source="Nguyen, Yosinski & Clune 2015, arXiv:1412.1897",
    needs={Need.GRADIENTS},
)
def gradient_ascent(
    context: Context,
    *,
    targets: str = "",
    steps: Annotated[int, Range(1, 2000)] = 300,
    decay: Annotated[float, Range(0.0, 0.3)] = 0.003,
    go_on: bool = False,
) -> Outcome[FoolingAnswer]:
    """A picture of nothing, changed step by step until the model is sure of a class.

    It begins at the mean colour with a grain of one grey level. A step aims at what Nguyen et al.
    aim at, told of the margin; where it gains less than half of that, the next one is longer.

    Args:
        context: Gives model, seed and, where no classes are named, the class that is meant.
        targets: Indices of classes, separated by commas; empty means the class that is explained,
            or all.
        steps: How many at most.
        decay: Share of the picture's departure from the mean colour that is lost at each step;
            larger leaves softer pictures, that may stay less sure.
        go_on: Go on after .9999 is reached.

    Returns:
        For each class the most confident image, its probability, and the step at which it was above
        one half, .99, .999 and .9999.

    Raises:
        InputError: When the model has one class only.
        OptionError: When a class is none of the model's.
    """
    indices = target_indices(targets, context)
    archive = Archive(
        context, indices, algorithm="gradient ascent", unit="step", max_iterations=steps
    )
    size = batch_size(context.classifier)
    for start in range(0, len(indices), size):
        columns = range(len(indices))[start : start + size]
        ascend(archive, columns, steps=steps, decay=decay, go_on=go_on)
    return archive.outcome(complete=True)


def ascend(
    archive: Archive, columns: Sequence[int], *, steps: int, decay: float, go_on: bool
) -> None:
    """Climb to several classes at once, and note every step.

    The model is asked about the image rounded to 8 bits, and the gradient is taken there.

    Args:
        archive: Takes the images.
        columns: Of the classes.
        steps: How many at most.
        decay: Share of the image's departure from the mean colour that is lost at each step.
        go_on: Whether a class that has reached .9999 goes on.
    """
    context, device = archive.context, archive.context.classifier.device
    indices = [archive.targets[column] for column in columns]
    left, targets = torch.tensor(columns, device=device), torch.tensor(indices, device=device)
    mean = start_colour(context.classifier).to(device)
    pixels = start_pixels(context, indices).to(device)
    stretch = torch.ones(len(indices), dtype=torch.float64, device=device)
    expected, gains = torch.full_like(stretch, torch.nan), torch.full_like(stretch, torch.nan)
    without_gradient = 0
    for step in range(steps + 1):
        levels = (pixels * LEVELS).round()
        margins, gradient = _margins_and_gradient(archive, levels / LEVELS, targets)
        _take(archive, step, left.tolist(), margins, levels)
        done = (columns[0] + len(columns) * step / max(steps, 1)) / len(archive.targets)
        archive.report(f"Step {step} of {steps}, {counted(len(left), 'class', 'classes')}", done)
        finite = margins.isfinite() & gradient.flatten(1).isfinite().all(1)
        moves = gradient.flatten(1).abs().amax(1) > 0
        archive.not_finite += int((~finite).sum())
        without_gradient += int((finite & ~moves).sum())
        keep = finite & moves & (go_on | (margins < GOAL_MARGIN))
        if not keep.any():
            break
        stretch = next_stretch(stretch, margins - expected, gains)[keep]
        left, targets, gradient = left[keep], targets[keep], gradient[keep]
        expected, gains = margins[keep], target_gain(margins[keep])
        pixels = step_up(pixels[keep], stretch * gains, gradient)
        pixels = (mean + (1 - decay) * (pixels - mean)).clamp(0, 1)
    if without_gradient:
        archive.notes.append(
            f"For {counted(without_gradient, 'class', 'classes')} no pixel changes the margin at "
            "all, so there is no way up; the picture is where the gradient ended."
        )


def target_gain(margins: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return by how much the next step should raise each margin.

    To first order p gains .03, or a tenth of what it lacks of one if that is less. It is the same
    aim whether it is told of p or of its margin, which has a gradient also where p has none.
    """
    p, one_minus_p = margins.sigmoid(), (-margins).sigmoid()
    return torch.minimum(EARLY / (p * one_minus_p), LATE / p).clamp(max=MAX_GAIN)


def next_stretch(
    stretch: Float[Tensor, " n"], gain: Float[Tensor, " n"], aim: Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Return how many times its aim each next step reaches for, from 1 to 16.

    Args:
        stretch: The same of the step before.
        gain: What that step raised the margin by; NaN where there was none.
        aim: What it aimed at.
    """
    longer = torch.where(gain < aim / 2, stretch * LONGER, stretch)
    return torch.where(gain > aim, longer / LONGER, longer).clamp(1, MAX_STRETCH)


def step_up(
    pixels: Float[Tensor, "n c h w"],
    gain: Float[Tensor, " n"],
    gradient: Float[Tensor, "n c h w"],
) -> Float[Tensor, "n c h w"]:
    """Return images one step up the gradient, not clipped yet.

    Args:
        pixels: Values in [0, 1].
        gain: By how much each margin should rise, to first order.
        gradient: Of the margins with respect to the pixels.
    """
    square = gradient.double().square().sum((1, 2, 3))
    rate = torch.where(square > 0, gain / square, 0.0)
    return pixels + (rate[:, None, None, None] * gradient).to(pixels.dtype)


def start_pixels(context: Context, indices: Sequence[int]) -> Float[Tensor, "n c h w"]:
    """Return the first image of each class: the mean colour and a grain of one grey level.

    Which other classes are targets makes no difference to it.
    """
    spec = context.classifier.spec
    shape = (spec.channels, spec.height, spec.width)
    generators = [np.random.default_rng([context.seed, index]) for index in indices]
    drawn = [generator.standard_normal(shape) for generator in generators]
    grain = torch.from_numpy(np.stack(drawn)).float()
    return (start_colour(context.classifier) + GRAIN * grain).clamp(0, 1)


def start_colour(classifier: TorchClassifier) -> Float[Tensor, "c 1 1"]:
    """Return the mean colour of the training images; mid grey where none is subtracted."""
    colour = mean_colour(classifier).float()
    if not colour.any():
        colour = torch.full_like(colour, 0.5)
    return colour[:, None, None]


def _take(
    archive: Archive,
    step: int,
    columns: Sequence[int],
    margins: Float[Tensor, " n"],
    levels: Float[Tensor, "n c h w"],
) -> None:
    """Note the margins of a step, and offer the images whose margin is a number."""
    archive.trace(step, columns, margins.cpu().numpy())
    for column, value, image in zip(columns, margins.tolist(), as_images(levels), strict=True):
        if np.isfinite(value):
            archive.offer(step, column, value, image)


def _margins_and_gradient(
    archive: Archive, pixels: Float[Tensor, "n c h w"], targets: Int[Tensor, " n"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n c h w"]]:
    classifier = archive.context.classifier
    pixels = pixels.detach().requires_grad_()
    with torch.enable_grad():
        logits = classifier.logits(pixels)
        margins = margin(logits, targets, independent=classifier.spec.output.independent)
        (gradient,) = torch.autograd.grad(margins.sum(), pixels)
    archive.evaluations += len(pixels)
    return margins.detach(), gradient
