"""Whether a region is a shortcut: taken away here, and given to good images of other classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from diagnostics.methods.diagnosis._case import (
    MIN_OTHERS,
    ImageCase,
    ModelCase,
    count,
    effect,
    finding,
    pictures_of,
)
from diagnostics.methods.diagnosis._regions import SQUARES, Region, regions, rings, unit
from diagnostics.methods.diagnosis._search import (
    JUDGED,
    MIN_FALL,
    TRIMMED,
    Effects,
    Search,
)
from diagnostics.schema.results import Count
from diagnostics.schema.results.diagnosis import Finding, Picture
from diagnostics.text import probability

# Share of an image, the share of other good images that a part of it must turn, and how sure of
# another class the model must be without it, over how sure it usually is: a large part of an object
# turns others too, but what is left of the object is no other class.
BY_AREA = ((0.035, 0.5, 0.0), (0.09, 0.75, 0.6), (0.09, 0.9, 0.3), (0.16, 0.9, 0.75))
APART = (0.7, 0.5, 0.3)  # or so many, so far above parts of good images, and so sure a rival
STRIP_TURNS = 0.9
RING_TURNS, WIDE_RING_TURNS = 0.6, 0.8
ABOVE_PLACEBO = 0.25
PART_OF_BORDER = 0.8  # of what the border does, that a part of it does alone
CERTAIN = 0.96  # share that is needed where parts of good images turn nearly all
SAME_CLASS = 4  # good images of the class that are searched
ALIKE = 0.1  # mean difference of values of two images that show the same


@dataclass(frozen=True)
class Donor:
    """What the best regions of a good image do, the class of which it is.

    Args:
        index: Its class.
        shares: Which share of other good images its best square of each size turns, and its rings.
    """

    index: int
    shares: dict[int, float]


def suffices(one: Effects, height: int, width: int, sure: float) -> bool:
    """Say whether a region turns as many others, and leaves as sure a rival, as one of its size."""
    region = one.region
    if region.ring:
        narrow = region.ring <= 2 * unit(height, width)
        return one.share >= (RING_TURNS if narrow else WIDE_RING_TURNS)
    if region.kind == "strip":
        return one.share >= STRIP_TURNS and one.rival >= BY_AREA[-1][2] * sure
    share = region.share(height, width)
    return any(
        share <= limit and one.share >= turns and one.rival >= rival * sure
        for limit, turns, rival in BY_AREA
    )


def stands_apart(one: Effects, placebo: float, height: int, width: int, sure: float) -> bool:
    """Say whether a middling part turns far more others than parts of good images do."""
    share, above, rival = APART
    middling = not one.region.ring and one.region.share(height, width) <= BY_AREA[1][0]
    return middling and one.share >= max(share, placebo + above) and one.rival >= rival * sure


def find(image: ImageCase, *, closer: bool, box: Region | None = None) -> list[Finding]:
    """Return whether a part, or the border, of an image explains its answer.

    Args:
        image: The image.
        closer: Whether every region is removed, or only those that a gradient proposes.
        box: A region of the person's own, which alone is asked.
    """
    search = _search(image)
    if search is None:
        return []
    if box is not None:
        found = [search.effects([box], search.remove([box]), JUDGED)[0]]
        donors = _donors(image.model)
    else:
        if not closer and not image.model.gradients:
            return []
        candidates = regions(search.height, search.width) if closer else search.proposed()
        found = _best(search, candidates)
        donors = _donors(image.model) if found else []
    local = _finding(image, search, [one for one in found if not one.region.ring], donors)
    border = _finding(image, search, [one for one in found if one.region.ring], donors, ring=True)
    if border["holds"] and _as_strong(local, border):
        if not local["holds"]:
            best = next(one for one in found if one.region.box == local["box"])
            local["holds"], local["why_not"] = True, ""
            local["evidence"] = _pictures(image, search, best)
        border["holds"] = False
        border["why_not"] = "A part of it does the same alone."
    return [local, border]


def _as_strong(local: Finding, border: Finding) -> bool:
    """Say whether a part of the border does nearly what all of it does."""
    if local["holds"]:
        return True
    one, other, box = local["turned"], border["turned"], local["box"]
    if not one or not other or box is None or local["p_after"] is None:
        return False
    before, after = border["p_before"] or 0.0, border["p_after"] or 0.0
    falls = before - local["p_after"], before - after
    return one["hits"] >= PART_OF_BORDER * other["hits"] and falls[0] >= PART_OF_BORDER * falls[1]


def _search(image: ImageCase) -> Search | None:
    known = image.model.known
    if known is None or not image.model.has_examples or image.p < MIN_FALL:
        return None
    rows = known.others(image.index, JUDGED)
    if len(rows) < MIN_OTHERS:
        return None
    return Search(image.model.network, image.pixels, image.index, image.p, known.pixels[rows])


def _best(search: Search, candidates: Sequence[Region]) -> list[Effects]:
    """Return the best parts, trimmed, and the best ring, as all good images judge them."""
    parts = [one for one in candidates if not one.ring]
    found = [one for one in search.screen(parts) if one.share > 0]
    if not found:
        search.smooth = True
        found = [one for one in search.screen(parts) if one.share > 0]
        search.smooth = bool(found)
    chosen: list[Effects] = []
    for one in found:
        if len(chosen) < TRIMMED and all(_apart(one.region, other.region) for other in chosen):
            chosen.append(one)
    best = [search.judge(search.trim(one)) for one in chosen]
    around = search.screen(rings(search.height, search.width))
    narrow = sorted(around, key=lambda one: (-one.share, one.region.pixels))[:1]
    return best + [search.judge(one) for one in narrow]


def _apart(one: Region, other: Region) -> bool:
    """Say whether the middle of one lies outside the other."""
    x, y = (one.left + one.right) / 2, (one.top + one.bottom) / 2
    return not (other.left <= x < other.right and other.top <= y < other.bottom)


def _donors(model: ModelCase) -> list[Donor]:
    """Return what the same search finds in good images, once per model."""
    found: list[Donor] | None = model.memory.get("donors")
    if found is None:
        found = model.memory["donors"] = _measure_donors(model)
    return found


def _measure_donors(model: ModelCase) -> list[Donor]:
    known = model.known
    assert known is not None
    donors = []
    for row in model.donors():
        index, pixels = int(known.classes[row]), known.pixels[row]
        others = known.pixels[known.others(index, JUDGED)]
        p = float(model.network.probability(pixels[None], index)[0])
        donors.append(_donor(Search(model.network, pixels, index, p, others)))
    return donors


def _donor(search: Search) -> Donor:
    """Return what the best square of each size, and the best ring, of a good image does."""
    u, shares = unit(search.height, search.width), {}
    found = search.screen(regions(search.height, search.width))
    for size in (*SQUARES, 0):
        same = [one for one in found if _size(one.region, u) == size]
        shares[size] = search.judge(same[0]).share if same else 0.0
    return Donor(search.index, shares)


def _size(region: Region, u: int) -> int:
    """Return the size of the smallest square that has as many pixels; 0 for rings and strips."""
    if region.ring or region.kind == "strip":
        return 0
    return next((size for size in SQUARES if region.pixels <= (size * u) ** 2), SQUARES[-1])


def _placebo(region: Region, index: int, donors: Sequence[Donor], u: int) -> float:
    """Return what regions as large turn, of good images of other classes."""
    size = _size(region, u)
    shares = [
        max((share for other, share in one.shares.items() if other <= size), default=0.0)
        if size
        else one.shares[0]
        for one in donors
        if one.index != index
    ]
    return second_largest(shares)


def second_largest(shares: Sequence[float]) -> float:
    """Return the second largest share: one class may well have a shortcut of its own."""
    return sorted(shares)[-2] if len(shares) > 1 else max(shares, default=0.0)


def _is_of_class(image: ImageCase, search: Search, one: Effects) -> bool:
    """Say whether parts of good images of the class do the same, each its own and elsewhere.

    Then it is what the class looks like. A cue looks the same, and lies at the same place, in every
    image that carries it.
    """
    known = image.model.known
    assert known is not None
    rows = np.flatnonzero((known.classes == image.index) & (known.predicted == image.index))
    u, other = unit(search.height, search.width), 0
    largest = max(_size(one.region, u), SQUARES[0])
    candidates = [
        region
        for region in regions(search.height, search.width)
        if region.kind == "part" and _size(region, u) <= largest
    ]
    for row in rows[:SAME_CLASS]:
        pixels = known.pixels[row]
        p = float(image.model.network.probability(pixels[None], image.index)[0])
        same = Search(search.network, pixels, search.index, p, search.others)
        found = same.screen(candidates)
        if not found:
            continue
        best = same.judge(found[0])
        alike = _alike(one.region, search.pixels, pixels)
        other += best.share >= one.share - ABOVE_PLACEBO and not alike
    return other * 2 >= max(len(rows[:SAME_CLASS]), 1)


def _alike(region: Region, one: Tensor, other: Tensor) -> bool:
    """Say whether two images show the same in a region."""
    window = (slice(None), slice(region.top, region.bottom), slice(region.left, region.right))
    difference = float((one[window] - other[window]).abs().mean())
    return difference < ALIKE


def _finding(
    image: ImageCase,
    search: Search,
    found: Sequence[Effects],
    donors: Sequence[Donor],
    *,
    ring: bool = False,
) -> Finding:
    cause = "shortcut.border" if ring else "shortcut.local"
    what = "the border" if ring else "one part"
    if not found:
        return finding(
            cause,
            holds=False,
            p_before=image.p,
            why_not=f"No removal of {what} lowered the answer by {100 * MIN_FALL:.0f} points.",
        )
    u = unit(search.height, search.width)
    height, width = search.height, search.width
    sure = image.model.usual_confidence

    def holding(one: Effects) -> bool:
        placebo = _placebo(one.region, image.index, donors, u)
        return (
            image.p - one.after >= MIN_FALL
            and (
                suffices(one, height, width, sure)
                or stands_apart(one, placebo, height, width, sure)
            )
            and one.share >= min(placebo + ABOVE_PLACEBO, CERTAIN)
            and (one.region.ring > 0 or not _is_of_class(image, search, one))
        )

    holds = [one for one in found if holding(one)]
    best = min(holds, key=lambda one: one.region.pixels) if holds else max(found, key=_strength)
    region = best.region
    same = _same_of_others(search, region)
    of_class = holding(best) and best.share - same["hits"] / same["n"] >= ABOVE_PLACEBO
    turned = count(best.turned)
    where = region.where(height, width)
    usual = _placebo(region, image.index, donors, u)
    return finding(
        cause,
        holds=of_class,
        confidence=turned["interval"][0],
        p_before=image.p,
        p_after=best.after,
        turned=turned,
        placebo=same,
        done=f"Without {where} ({search.filling(region)} in its place),",
        sentence=f"the model reads {where}, not the rest of the image",
        fix=(
            f"look at training images of “{image.said}” for the same mark; crop or cover it, add "
            "it to other classes, and train again"
        ),
        why_not=(
            f"Without {where} the answer falls to {probability(best.after, 1 - best.after)}, but "
            f"{turned['hits']} of {turned['n']} other good images become “{image.said}” with "
            f"it, and parts as large of good images do so for {100 * usual:.0f} %."
        ),
        box=region.box,
        effects=[
            effect("p falls by", image.p - best.after),
            effect(
                "share of other good images that turn",
                best.share,
                [_placebo(region, image.index, [one], u) for one in donors],
            ),
        ],
        evidence=_pictures(image, search, best) if of_class else [],
    )


def _strength(one: Effects) -> float:
    return one.share - one.after


def _same_of_others(search: Search, region: Region) -> Count:
    """Return how many good images become the class with the same region of another good image."""
    source = search.others.roll(len(search.others) // 2 + 1, 0)
    logits = search.network.logits(region.paste(source, search.others))
    return count(logits.argmax(1) == search.index)


def _pictures(image: ImageCase, search: Search, best: Effects) -> list[Picture]:
    region, name = best.region, "ring" if best.region.ring else "part"
    return pictures_of(
        image,
        name,
        search.without(region),
        search.others,
        best.turned,
        lambda others: region.paste(search.pixels.expand_as(others), others),
    )
