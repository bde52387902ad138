"""What must be measured before a small sufficient subset is believed: the controls beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from diagnostics.errors import OptionError
from diagnostics.methods.sufficient_pixels._backward_selection import (
    BatchedGradientSearch,
    MaskedImage,
    SelectionPath,
    exact_paths,
)
from diagnostics.methods.sufficient_pixels._infill import Infill, make_infill
from diagnostics.methods.sufficient_pixels._sis import Mask
from diagnostics.metrics import predictions
from diagnostics.schema.results.sufficient_pixels import (
    Confidence,
    FillConfidence,
    OtherFills,
    RandomPixels,
    Region,
    WidenedSubset,
    WrongClass,
    WrongClasses,
)
from diagnostics.schema.sufficient_pixels import (
    FILLS,
    NOISES,
    RANDOM_SUBSETS,
    WRONG_CLASSES,
)

SWAPPED = ("dataset_mean", "black", "image_mean", "road")
"""Fills that the kept pixels are also shown on, with noise; a blur would show what is hidden."""
NEARLY_SAME = 1 / 255
BOX = (
    "A box is four numbers from 0 to 100 (left, top, right, bottom in percent), such as "
    "20,10,80,90, with some of the image's pixels in it and not all."
)
EDGE = 0.1  # of the height and width, on each side


def confidence(margin: float) -> Confidence:
    """Return a margin as a probability, with its exact complement."""
    p, one_minus_p = predictions.confidence(margin)
    return {"confidence": p, "one_minus_p": one_minus_p}


def other_fills(image: MaskedImage, kept: Mask, seed: int) -> OtherFills:
    """Return how sure the model is of the kept pixels on other fills, and the lowest of these.

    Args:
        image: The image.
        kept: The subset, shape (h, w).
        seed: Seed of the noise; the median of a few draws is one of the fills.
    """
    used = image.infill
    others: list[Infill] = []
    margins: list[float] = []
    for name in SWAPPED:
        other = make_infill(name, image.classifier, used.pixels, seed)
        if name == used.name or (name != "road" and _looks_like_one_of(other, [used, *others])):
            continue
        others.append(other)
        margins.append(float(image.margins(kept[None], other)[0]))
    draws = [
        make_infill("noise", image.classifier, used.pixels, seed + 1 + draw)
        for draw in range(NOISES)
    ]
    others.append(draws[0])
    margins.append(float(np.median([image.margins(kept[None], draw)[0] for draw in draws])))
    fills = [
        FillConfidence(fill=other.name, title=FILLS[other.name], **confidence(margin))
        for other, margin in zip(others, margins, strict=True)
    ]
    return OtherFills(fills=fills, **confidence(min(margins)))


def _looks_like_one_of(infill: Infill, others: Sequence[Infill]) -> bool:
    """Whether an infill shows what one of the others shows."""
    return any(
        float((infill.baseline - other.baseline).abs().max()) <= NEARLY_SAME
        for other in others
        if other.name != "road"  # whose baseline is noise that is added
    )


def widened_subset(image: MaskedImage, kept: Mask) -> WidenedSubset:
    """Return how sure the model is when the eight pixels around each kept one are kept too."""
    widened = dilate(kept)
    margin = float(image.margins(widened[None])[0])
    return WidenedSubset(size=int(widened.sum()), **confidence(margin))


def dilate(mask: Mask) -> Mask:
    """Return a mask with every pixel's eight neighbours, shape (h, w)."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    dilated = np.zeros_like(mask)
    for down in range(3):
        for across in range(3):
            dilated |= padded[down : down + height, across : across + width]
    return dilated


def draw_wrong_classes(target: int, class_count: int, seed: int) -> list[int]:
    """Return a few other classes than the target, the same for one seed."""
    order = torch.randperm(class_count, generator=torch.Generator().manual_seed(seed)).tolist()
    return [index for index in order if index != target][:WRONG_CLASSES]


def search_wrong_classes(
    image: MaskedImage,
    indices: Sequence[int],
    step: int,
    report_partial: Callable[[], None] = lambda: None,
) -> list[SelectionPath]:
    """Search the image for subsets of other classes.

    Args:
        image: The image.
        indices: Of the other classes.
        step: Pixels hidden at a time; 0 searches exactly, which needs no gradients.
        report_partial: Called after every step.
    """
    if not indices:
        return []
    if not step:
        return [_search_exactly(image, index, report_partial) for index in indices]
    targets = torch.tensor(indices, device=image.classifier.device)
    infill = image.infill.select([0] * len(indices))
    search = BatchedGradientSearch(
        image.classifier, infill, targets, step, count_passes=image.count_passes
    )
    while search.advance():
        report_partial()
    return search.paths()


def _search_exactly(
    image: MaskedImage, index: int, report_partial: Callable[[], None]
) -> SelectionPath:
    other = MaskedImage(image.classifier, image.infill, index, image.count_passes)
    for path in exact_paths(other, np.ones(image.shape, bool)):
        last = path
        report_partial()
    return last


def wrong_classes(
    paths: Sequence[SelectionPath], indices: Sequence[int], names: Sequence[str], tau: float
) -> WrongClasses:
    """Return for how many of the other classes a subset was found, and how large each is.

    Args:
        paths: One per class.
        indices: Of the classes.
        names: Of all classes of the model.
        tau: Probability that a subset reaches.
    """
    classes = [
        WrongClass(
            index=index,
            name=names[index],
            size=path.smallest_size(tau),
            **confidence(float(np.nanmax(path.margins, initial=-np.inf))),
        )
        for index, path in zip(indices, paths, strict=True)
    ]
    return {"classes": classes, "n_found": sum(one["size"] is not None for one in classes)}


def random_pixels(image: MaskedImage, count: int, seed: int) -> RandomPixels:
    """Return how sure the model is of random pixels, as many as the subset has: a few draws."""
    rng = np.random.default_rng(seed)
    height, width = image.shape
    masks = np.zeros((RANDOM_SUBSETS, height * width), bool)
    for mask in masks:
        mask[rng.choice(height * width, count, replace=False)] = True
    margins = image.margins(masks.reshape(-1, height, width))
    return {
        "draws": RANDOM_SUBSETS,
        "mean": float(np.mean([confidence(float(one))["confidence"] for one in margins])),
        "highest": confidence(float(margins.max())),
    }


def border_mask(height: int, width: int) -> Mask:
    """Return which pixels lie within a tenth of an edge, at least one pixel on each side."""
    down, across = max(1, round(EDGE * height)), max(1, round(EDGE * width))
    border = np.ones((height, width), bool)
    border[down : height - down, across : width - across] = False
    return border


def box_mask(box: str, height: int, width: int) -> Mask | None:
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


def measure_region(image: MaskedImage, kept: Mask, region: Mask) -> Region:
    """Return how much of a subset lies in a region, and what hiding the region does.

    Args:
        image: The image.
        kept: The subset, shape (h, w).
        region: Shape (h, w).
    """
    hidden, alone = image.margins(np.stack([~region, region]))
    return {
        "share": float(region[kept].mean()) if kept.any() else 0.0,
        "area": float(region.mean()),
        "region_hidden": confidence(float(hidden)),
        "region_alone": confidence(float(alone)),
    }
