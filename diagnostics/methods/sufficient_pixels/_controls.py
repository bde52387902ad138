"""What must be asked before a small sufficient subset is believed: the controls beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diagnostics.errors import OptionError
from diagnostics.methods.sufficient_pixels._backward_selection import Path, Scene, Search, exact
from diagnostics.methods.sufficient_pixels._infill import Infill, make_infill
from diagnostics.models.log_odds import confidence
from diagnostics.schema.sufficient_pixels import FILLS, NOISES, RANDOM_SUBSETS, WRONG_CLASSES

Mask = NDArray[np.bool_]
Measured = dict[str, Any]

SWAPPED = ("dataset_mean", "black", "image_mean", "road")  # a blur would show what is hidden
NEARLY_SAME = 1 / 255
BOX = (
    "A box is four numbers from 0 to 100 (left, top, right, bottom in percent), such as "
    "20,10,80,90, with some of the image's pixels in it and not all."
)
EDGE = 0.1  # of the height and width, on each side


def sure(margin: float) -> Measured:
    """Return a margin as a probability, with its exact distance from one."""
    probability, distance = confidence(margin)
    return {"confidence": probability, "one_minus_p": distance}


def blank(scene: Scene) -> Measured:
    """Return how sure the model is with every pixel hidden."""
    return sure(float(scene.margins(np.zeros((1, *_size(scene)), bool))[0]))


def swapped(scene: Scene, kept: Mask, seed: int) -> Measured:
    """Return how sure the model is of the kept pixels on other fills, and the median of these.

    Args:
        scene: The image.
        kept: The subset, shape (h, w).
        seed: Seed of the noise; the median of a few draws is one of the fills.
    """
    found: list[tuple[Infill, float]] = []
    for name in SWAPPED:
        other = _made(scene, name, seed)
        if name != "road" and _same(other, scene.fill, [one for one, _ in found]):
            continue
        if name != scene.fill.name:
            found.append((other, float(scene.margins(kept[None], other)[0])))
    drawn = [_made(scene, "noise", seed + 1 + draw) for draw in range(NOISES)]
    noise = [float(scene.margins(kept[None], one)[0]) for one in drawn]
    found.append((drawn[0], float(np.median(noise))))
    each = [{"fill": one.name, "title": FILLS[one.name], **sure(margin)} for one, margin in found]
    return {"fills": each, **sure(float(np.median([margin for _, margin in found])))}


def dilated(scene: Scene, kept: Mask) -> Measured:
    """Return how sure the model is when the eight pixels around each kept one are kept too."""
    wider = widened(kept)
    return {"size": int(wider.sum()), **sure(float(scene.margins(wider[None])[0]))}


def widened(kept: Mask) -> Mask:
    """Return a subset with every pixel's eight neighbours, shape (h, w)."""
    padded = np.pad(kept, 1)
    height, width = kept.shape
    wider = np.zeros_like(kept)
    for down in range(3):
        for across in range(3):
            wider |= padded[down : down + height, across : across + width]
    return wider


def wrong_classes(scene: Scene, classes: int, seed: int) -> list[int]:
    """Return a few other classes, the same for one seed."""
    order = torch.randperm(classes, generator=torch.Generator().manual_seed(seed)).tolist()
    return [one for one in order if one != scene.target][:WRONG_CLASSES]


def searched_wrong(
    scene: Scene, wrong: list[int], step: int, keep: Callable[[], None] = lambda: None
) -> list[Path]:
    """Search the image for subsets of other classes.

    Args:
        scene: The image.
        wrong: Indices of the other classes.
        step: Pixels hidden at a time; 0 searches exactly, which needs no gradients.
        keep: Called after every step.
    """
    if not wrong:
        return []
    if not step:
        return [_exactly(scene, one, keep) for one in wrong]
    targets = torch.tensor(wrong, device=scene.classifier.device)
    fill = scene.fill.select([0] * len(wrong))
    search = Search(scene.classifier, fill, targets, step, spent=scene.spent)
    while search.advance():
        keep()
    return search.paths()


def _exactly(scene: Scene, wrong: int, keep: Callable[[], None]) -> Path:
    other = Scene(scene.classifier, scene.fill, wrong, scene.spent)

    def kept(path: Path) -> Path:
        keep()
        return path

    *_, last = map(kept, exact(other, np.ones(_size(scene), bool)))
    return last


def of_wrong(paths: list[Path], wrong: list[int], names: tuple[str, ...], tau: float) -> Measured:
    """Return for how many of the other classes a subset was found, and how large each is."""
    classes = [
        {
            "index": one,
            "name": names[one],
            "size": path.smallest(tau),
            **sure(float(np.nanmax(path.margins, initial=-np.inf))),
        }
        for one, path in zip(wrong, paths, strict=True)
    ]
    return {"classes": classes, "found": sum(one["size"] is not None for one in classes)}


def at_random(scene: Scene, count: int, seed: int) -> Measured:
    """Return how sure the model is of random pixels, as many as the subset has: a few draws."""
    random = np.random.default_rng(seed)
    height, width = _size(scene)
    masks = np.zeros((RANDOM_SUBSETS, height * width), bool)
    for mask in masks:
        mask[random.choice(height * width, count, replace=False)] = True
    found = scene.margins(masks.reshape(-1, height, width))
    probabilities = [confidence(float(one))[0] for one in found]
    return {
        "draws": RANDOM_SUBSETS,
        "mean": float(np.mean(probabilities)),
        "highest": sure(float(found.max())),
    }


def edge(height: int, width: int) -> Mask:
    """Return which pixels lie within a tenth of an edge, at least one pixel on each side."""
    down, across = max(1, round(EDGE * height)), max(1, round(EDGE * width))
    inside = np.zeros((height, width), bool)
    inside[down : height - down, across : width - across] = True
    return ~inside


def boxed(box: str, height: int, width: int) -> Mask | None:
    """Return which pixels lie in a box, shape (h, w); None without a box.

    Raises:
        OptionError: When it is no box, or has no pixel.
    """
    if not box.strip():
        return None
    try:
        left, top, right, bottom = (float(part) / 100 for part in box.split(","))
    except ValueError:
        raise OptionError(BOX) from None
    inside = np.zeros((height, width), bool)
    if not 0 <= left < right <= 1 or not 0 <= top < bottom <= 1:
        raise OptionError(BOX)
    rows = slice(round(top * height), round(bottom * height))
    inside[rows, slice(round(left * width), round(right * width))] = True
    if inside.all() or not inside.any():
        raise OptionError(BOX)
    return inside


def in_region(scene: Scene, kept: Mask, region: Mask) -> Measured:
    """Return how much of a subset lies in a region, and what hiding the region does.

    Args:
        scene: The image.
        kept: The subset, shape (h, w).
        region: Shape (h, w).

    Returns:
        "share" of the kept pixels in the region, its "area" as a share of the image, and how sure
        the model is of the "rest" alone, the region hidden, and of the region "itself".
    """
    rest, itself = scene.margins(np.stack([~region, region]))
    return {
        "share": float(region[kept].mean()) if kept.any() else 0.0,
        "area": float(region.mean()),
        "rest": sure(float(rest)),
        "itself": sure(float(itself)),
    }


def _size(scene: Scene) -> tuple[int, int]:
    height, width = scene.fill.pixels.shape[2:]
    return height, width


def _made(scene: Scene, name: str, seed: int) -> Infill:
    return make_infill(name, scene.classifier, scene.fill.pixels, seed)


def _same(fill: Infill, own: Infill, others: list[Infill]) -> bool:
    """Say whether a fill shows what one before it shows."""
    known = [one for one in (own, *others) if one.name != "road"]
    return any(float((fill.baseline - one.baseline).abs().max()) <= NEARLY_SAME for one in known)
