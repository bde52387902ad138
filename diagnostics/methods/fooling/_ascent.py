"""Gradient ascent to a class from nothing, with L2 decay and a learning rate free of scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from diagnostics.methods.context import Context
from diagnostics.methods.fooling._archive import GOAL, LEVELS, Record, picture_of
from diagnostics.models.infill import subtracted_colour
from diagnostics.models.log_odds import margin
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.text import counted

EARLY, LATE = 0.03, 0.1  # progress of p that a step aims at: so much, and this part of what is left
MOST = 2.0  # of the margin; what the same progress of p would ask for where p is hardly above zero
SPREAD = 1 / LEVELS  # of the noise at the start
# A step that gains less than half of its aim makes the next one so much longer, one that gains all
# of it shorter again: in large models the gradient turns, and rounding takes from small steps.
LONGER, LONGEST = 1.25, 16.0


def climb(record: Record, places: Sequence[int], *, steps: int, decay: float, go_on: bool) -> None:
    """Climb to several classes at once, and note every step.

    What is measured, and what the gradient is taken at, is the picture rounded to 8 bits.

    Args:
        record: Takes what is found.
        places: Of the classes among those that are meant.
        steps: How many at most.
        decay: Share of the picture's departure from the mean colour that is lost at each step.
        go_on: Whether a class that has reached .9999 goes on.
    """
    context, classifier = record.context, record.context.classifier
    classes = [record.classes[place] for place in places]
    left = torch.tensor(list(places), device=classifier.device)
    target = torch.tensor(classes, device=classifier.device)
    mean = mean_colour(classifier.preprocessing).to(classifier.device)
    pixels = start(context, classes).to(classifier.device)
    flat = 0
    reach = torch.ones(len(classes), dtype=torch.float64, device=classifier.device)
    hoped = torch.stack([reach, reach], 1) * torch.nan
    for step in range(steps + 1):
        levels = (pixels * LEVELS).round()
        margins, gradient = _asked(record, levels / LEVELS, target)
        record.trace(step, left.tolist(), margins.cpu().numpy())
        for place, value, one in zip(left.tolist(), margins.tolist(), levels, strict=True):
            if np.isfinite(value):
                record.offer(step, place, value, picture_of(one))
        done = (places[0] + len(places) * step / max(steps, 1)) / len(record.classes)
        record.tell(f"Step {step} of {steps}, {counted(len(left), 'class', 'classes')}", done)
        fine = margins.isfinite() & gradient.flatten(1).isfinite().all(1)
        moves = gradient.flatten(1).abs().amax(1) > 0
        record.not_finite += int((~fine).sum())
        flat += int((fine & ~moves).sum())
        keep = fine & moves & (go_on | (margins < GOAL))
        if not keep.any():
            break
        reach = lengthened(reach, margins - hoped[:, 0], hoped[:, 1])[keep]
        hoped = torch.stack([margins[keep], aim(margins[keep])], 1)
        pixels = moved(pixels[keep], reach * hoped[:, 1], gradient[keep])
        pixels = (mean + (1 - decay) * (pixels - mean)).clamp(0, 1)
        left, target = left[keep], target[keep]
    if flat:
        record.notes.append(
            f"For {counted(flat, 'class', 'classes')} no pixel changes the margin at all, so there "
            "is no way up; the picture is where the gradient ended."
        )


def aim(margins: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return by how much the next step should raise each margin.

    To first order p gains .03, or a tenth of what it lacks of one if that is less. It is the same
    aim whether it is told of p or of its margin, which has a gradient also where p has none.
    """
    p, lacking = margins.sigmoid(), (-margins).sigmoid()
    return torch.minimum(EARLY / (p * lacking), LATE / p).clamp(max=MOST)


def lengthened(
    reach: Float[Tensor, " n"], gained: Float[Tensor, " n"], aimed: Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Return how many times its aim each next step reaches for, from 1 to 16.

    Args:
        reach: The same of the step before.
        gained: What that step raised the margin by; NaN where there was none.
        aimed: What it aimed at.
    """
    longer = torch.where(gained < aimed / 2, reach * LONGER, reach)
    return torch.where(gained > aimed, longer / LONGER, longer).clamp(1, LONGEST)


def moved(
    pixels: Float[Tensor, "n c h w"],
    progress: Float[Tensor, " n"],
    gradient: Float[Tensor, "n c h w"],
) -> Float[Tensor, "n c h w"]:
    """Return pictures one step up the gradient, not clipped yet.

    Args:
        pixels: Values in [0, 1].
        progress: By how much each margin should rise, to first order.
        gradient: Of the margins with respect to the pixels.
    """
    size = gradient.double().square().sum((1, 2, 3))
    rate = torch.where(size > 0, progress / size, 0.0)
    return pixels + (rate[:, None, None, None] * gradient).to(pixels.dtype)


def start(context: Context, classes: Sequence[int]) -> Float[Tensor, "n c h w"]:
    """Return the first picture of each class: the mean colour and a grain of one grey level.

    Which other classes are meant makes no difference to it.
    """
    spec = context.classifier.spec
    shape = (spec.channels, spec.height, spec.width)
    drawn = [np.random.default_rng([context.seed, one]).standard_normal(shape) for one in classes]
    grain = torch.from_numpy(np.stack(drawn)).float()
    return (mean_colour(context.classifier.preprocessing) + SPREAD * grain).clamp(0, 1)


def mean_colour(settings: Preprocessing) -> Float[Tensor, "c 1 1"]:
    """Return the colour that the preprocessing subtracts; mid grey where it subtracts none."""
    colour = subtracted_colour(settings).float()
    if not any(settings.mean):
        colour = torch.full_like(colour, 0.5)
    return colour[:, None, None]


def _asked(record: Record, pixels: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return each picture's margin and its gradient."""
    classifier = record.context.classifier
    given = pixels.detach().requires_grad_()
    with torch.enable_grad():
        logits = classifier.logits(given)
        found = margin(logits, target, independent=classifier.spec.output.independent)
        (gradient,) = torch.autograd.grad(found.sum(), given)
    record.evaluations += len(pixels)
    return found.detach(), gradient
