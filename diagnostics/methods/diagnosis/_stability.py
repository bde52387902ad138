"""Whether an answer survives what changes nothing a person sees, as those to good images do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from diagnostics.methods.diagnosis._case import (
    HIGH,
    Floats,
    ImageCase,
    ModelCase,
    count,
    effect,
    finding,
    probabilities,
)
from diagnostics.methods.diagnosis._neighbours import nearest_pixels
from diagnostics.methods.diagnosis._properties import blurred, fineness, jpeg, median3, noise_floor
from diagnostics.methods.diagnosis._strangeness import early_distance
from diagnostics.schema.results.diagnosis import Effect, Finding

GOOD, FEW_GOOD = 32, 16  # images whose answers are tried the same way, once per model
MIN_DROP, MIN_CHANGES, MIN_UNSURE = 0.25, 2, 3
MANY_CHANGES = 4  # of the six
NEIGHBOURS, MAX_SAME, FEW_SAME, MANY_HOME = 10, 3, 2, 5
DECIDED = 0.6  # below which an answer is open anyway
UNSURE = 0.8  # below which answers are fragile by themselves
SURE = 0.5  # below which nothing was grown
GRAIN, FINER = 0.05, 1.1  # of a pattern that is also finer and stranger than every good image
SHUFFLES, ARRANGED = 32, 6.0  # orders, and standard deviations above the margins in them
SHIFT_PX, NOISE, QUALITY = 1, 0.06, 50


def _noisy(images: Tensor) -> Tensor:
    noise = torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(0))
    return (images + NOISE * noise).clamp(0, 1)


def _shifted(rows: int, columns: int) -> Callable[[Tensor], Tensor]:
    def shift(images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        y = (torch.arange(height) + rows).clamp(0, height - 1)
        x = (torch.arange(width) + columns).clamp(0, width - 1)
        return images[:, :, y][..., x]

    return shift


MILD: dict[str, Callable[[Tensor], Tensor]] = {
    "blurred by 0.8 px": lambda images: blurred(images, 0.8),
    "median of 3 × 3 px": median3,
    "moved by 1 px": _shifted(SHIFT_PX, SHIFT_PX),
    "moved back by 1 px": _shifted(-SHIFT_PX, -SHIFT_PX),
    f"noise of {NOISE:g} added": _noisy,
    f"JPEG of quality {QUALITY}": lambda images: jpeg(images, QUALITY),
}


def find(image: ImageCase) -> list[Finding]:
    """Return whether the answer hangs on what a person does not see."""
    model, network = image.model, image.model.network
    logits = network.logits(torch.cat([change(image.pixels[None]) for change in MILD.values()]))
    shares = probabilities(logits, model.spec)
    drops = image.p - shares[:, image.index]
    good = usual_drops(model)
    limits = np.quantile(good, HIGH, axis=0) if len(good) else np.full(len(MILD), np.inf)
    beyond = (drops > np.maximum(limits, 0)) & (drops >= MIN_DROP)
    return [
        _fooling(image),
        _adversarial(image, logits, drops, good, beyond),
    ]


def usual_drops(model: ModelCase) -> Floats:
    """Return how far answers to good images fall, shape (n, changes); measured once."""
    if "drops" not in model.memory:
        known = model.known
        if known is None or not model.has_examples:
            model.memory["drops"] = np.zeros((0, len(MILD)))
        else:
            rows = known.others(-1, FEW_GOOD if model.is_large else GOOD)
            pixels, first = known.pixels[rows], known.predicted[rows]
            before = probabilities(known.example_logits[rows], model.spec)
            changed = torch.cat([change(pixels) for change in MILD.values()])
            after = probabilities(model.network.logits(changed), model.spec)
            after = after.reshape(len(MILD), len(rows), -1)
            picked = np.arange(len(rows))
            model.memory["drops"] = (before[picked, first] - after[:, picked, first]).T
    drops: Floats = model.memory["drops"]
    return drops


def _effects(drops: Floats, good: Floats) -> list[Effect]:
    return [
        effect(f"p falls when {name}", float(drops[place]), good[:, place])
        for place, name in enumerate(MILD)
    ]


def _fooling(image: ImageCase) -> Finding:
    """Return whether it is a pattern grown for the model: grainy, and lost in another order."""
    network = image.model.network
    here, usual = early_distance(image)
    ratio = here / max(float(np.median(usual)), 1e-9) if len(usual) else 0.0
    grain, usual_grain = _grain(image)
    apart, shuffled_p = 0.0, None
    if usual_grain and image.p >= SURE and (image.is_noisy or _is_grown(image, grain, here, usual)):
        logits = network.logits(_shuffled(image.pixels))
        margins = _margins(logits, image.index)
        shuffled_p = float(probabilities(logits, image.model.spec)[:, image.index].mean())
        own = _margins(image.logits[None], image.index)
        apart = float((own[0] - margins.mean()) / max(margins.std(), 1e-6))
    holds = apart >= ARRANGED
    return finding(
        "image.fooling",
        holds=holds,
        confidence=min(1.0, apart / (2 * ARRANGED)),
        p_before=image.p,
        p_after=shuffled_p,
        done="With its pixels in another order,",
        sentence=(
            f"the image is no picture but a pattern that fits the model: it is grainier than every "
            f"good image, and {apart:.0f} standard deviations surer than noise of the same values"
        ),
        fix="refuse images that are so unlike the training images (a guard), before the model",
        why_not=(
            f"Behind the first layer it lies {ratio:.1f} times as far as good images usually do, "
            f"and its quietest parts have a grain of {grain:.2g}, theirs at most "
            f"{max(usual_grain):.2g}."
            if usual_grain and len(usual)
            else "Without good images it cannot be told from a picture."
        ),
        effects=[
            effect("distance behind the first layer", here, usual),
            effect("grain of the quietest parts", grain, usual_grain),
            effect("standard deviations above its own pixels in random orders", apart),
        ],
    )


def _is_grown(image: ImageCase, grain: float, here: float, usual: Floats) -> bool:
    """Say whether it is grainy, and finer and stranger behind the first layer than good images."""
    known = image.model.known
    if known is None or grain <= GRAIN or here <= usual.max():
        return False
    fine = float(fineness(image.pixels[None])[0])
    return fine > FINER * float(image.model.of_good("fineness", fineness).max())


def _grain(image: ImageCase) -> tuple[float, list[float]]:
    """Return how grainy the image is where it is quietest, and the good images that are held."""
    usual = image.model.of_good("grain", noise_floor).tolist()
    return float(noise_floor(image.pixels[None])[0]), usual


def _margins(logits: Floats, index: int) -> Floats:
    """Return the logit of a class minus the strongest other one, shape (n,)."""
    others = np.delete(logits, index, 1)
    margins: Floats = logits[:, index] - (others.max(1) if others.shape[1] else 0)
    return margins


def _shuffled(pixels: Tensor) -> Tensor:
    """Return an image with its pixels in random orders."""
    generator = torch.Generator().manual_seed(0)
    flat = pixels.flatten(1)
    return torch.stack(
        [
            flat[:, torch.randperm(flat.shape[1], generator=generator)].reshape(pixels.shape)
            for _ in range(SHUFFLES)
        ]
    )


def _adversarial(
    image: ImageCase, logits: Floats, drops: Floats, good: Floats, beyond: Floats
) -> Finding:
    """Return whether a change too small to be seen decides: mild changes take it back."""
    names = image.model.spec.class_names
    mean = probabilities(logits, image.model.spec).mean(0)
    mean[image.index] = -1
    home = int(mean.argmax())
    changed = logits.argmax(1) == home
    agree = int(changed.sum())
    near = nearest_pixels(image, NEIGHBOURS)
    same, of_home = int((near == image.index).sum()), int((near == home).sum())
    of_any = len(near) + 1
    count_beyond = int(np.sum(beyond))
    least = MIN_CHANGES if image.p >= UNSURE else MIN_UNSURE
    holds = (
        len(good) > 0
        and not image.is_noisy
        and image.p >= DECIDED
        and (
            (count_beyond >= least and agree > 0 and same <= MAX_SAME and of_home > same)
            or (count_beyond >= MANY_CHANGES and agree >= MANY_CHANGES - 1 and same < of_any / 2)
            or (agree >= MIN_CHANGES and same <= FEW_SAME and of_home >= MANY_HOME)
        )
    )
    strongest = int(np.argmax(drops))
    change = list(MILD.items())[strongest]
    pictures = []
    if holds:
        picture = change[1](image.pixels[None])[0]
        pictures = [image.picture("steadied", picture, logits[strongest], change[0], image.said)]
    return finding(
        "image.adversarial",
        holds=holds,
        confidence=agree / len(MILD),
        p_before=image.p,
        p_after=float(image.p - drops[strongest]),
        turned=count(changed),
        done=f"After {agree} of {len(MILD)} changes that nobody sees,",
        sentence=(
            f"the model says “{names[home]}”; of {len(near)} good images nearest in their pixels "
            f"{of_home} are “{names[home]}” and {same} are “{image.said}”"
        ),
        fix="do not act on this answer; smooth images before the network, or train with "
        "adversarial images",
        why_not=(
            f"{int(np.sum(beyond))} of {len(MILD)} mild changes lower the answer more than those "
            f"of 95 % of {len(good)} good images, and {same} of {len(near)} nearest good images "
            f"are “{image.said}”."
        ),
        effects=_effects(drops, good),
        evidence=pictures,
    )
