"""What a sweep found, as JSON: each image at every step, and all images together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics.data.folder import UNKNOWN
from diagnostics.methods.corruption._grey_transitions import turns
from diagnostics.metrics.intervals import wilson
from diagnostics.metrics.predictions import probabilities, rank
from diagnostics.schema.spec import ModelSpec

TOP = 3
BANDS = (0.05, 0.5, 0.95)
NOT_FINITE = -1

Entry = dict[str, Any]


@dataclass
class Found:
    """What the network said of one image at every point.

    Args:
        name: Of the image.
        label: Index of its class, `UNKNOWN` where it has none.
        before: Logits of the image as it is, shape (k,).
        logits: At every point, shape (points, k); NaN where it was not asked.
        asked: At which points it was asked, shape (points,).
        pictures: Some of the altered images, 8 bit, by the number of their point.
    """

    name: str
    label: int
    before: NDArray[np.float32]
    logits: NDArray[np.float32]
    asked: NDArray[np.bool_]
    pictures: dict[int, NDArray[np.uint8]] = field(default_factory=dict)


def described(one: Found, spec: ModelSpec, target: int | None) -> Entry:
    """Return one image's part of the JSON, without what depends on the number of axes.

    Args:
        one: The image.
        spec: Of the model.
        target: Class that is meant; None means the one that comes first before any change.

    Returns:
        "before" and "top" rank classes as [index, probability, distance from one]; "said" is the
        first class at every point, `NOT_FINITE` where the answer is not finite, None where it was
        not asked; "curves" holds every class that is ever first, and the one meant.
    """
    ranked = [
        rank(row, spec, TOP) if asked else None
        for row, asked in zip(one.logits, one.asked, strict=True)
    ]
    first = rank(one.before, spec, TOP)
    said = [None if top is None else top[0].index if top else NOT_FINITE for top in ranked]
    meant = target if target is not None else first[0].index if first else NOT_FINITE
    before = first[0].index if first else NOT_FINITE
    shown = sorted({before, meant, *(now for now in said if now is not None)} - {NOT_FINITE})
    return {
        "file": one.name,
        "label": None if one.label == UNKNOWN else one.label,
        "before": [[top.index, top.probability, top.one_minus_p] for top in first],
        "meant": meant,
        "said": said,
        "top": [
            None if top is None else [[t.index, t.probability, t.one_minus_p] for t in top]
            for top in ranked
        ],
        "curves": _curves(one, shown, independent=spec.output.independent),
        "pictures": sorted(one.pictures),
    }


def with_turns(
    entry: Entry, neutral: int | None, steps: Sequence[str], names: Sequence[str]
) -> Entry:
    """Return an image's entry with where its answer changes along one axis, see `turns`.

    Args:
        entry: Of the image.
        neutral: Place of the step that leaves images as they are.
        steps: Every step in words, such as "slope 12.5".
        names: Of the classes.
    """
    before = entry["before"][0][0] if entry["before"] else NOT_FINITE
    found = turns(entry["said"], before, neutral)
    for one in found:
        was, now = (
            "no finite answer" if one[key] == NOT_FINITE else names[one[key]]
            for key in ("was", "now")
        )
        one["title"] = f"{was} becomes {now} at {steps[one['place']]}"
    return {**entry, "turns": found}


def bands(entries: Sequence[Entry], points: int) -> list[Entry]:
    """Return what all images do together at every point.

    Args:
        entries: Of the images; those without a finite answer before any change are left out.
        points: How many there are.

    Returns:
        At each point the number of images "n" and of those whose answer is "not_finite" there; the
        5th, 50th and 95th percentile of the probability of the class meant, and their "distances"
        from one; how many say the same
        class as before any change, and how many with a label say that, with 95 % intervals.
    """
    fine = [one for one in entries if one["before"]]
    return [_band(fine, place) for place in range(points)]


def named(entries: Sequence[Entry], names: Sequence[str]) -> dict[str, str]:
    """Return the name of every class that is ranked, meant or a label anywhere, by its index."""
    ranked = [top for one in entries for top in (one["before"], *one["top"]) if top]
    found = {entry[0] for top in ranked for entry in top}
    found |= {one[key] for one in entries for key in ("meant", "label")} - {NOT_FINITE, None}
    return {str(index): names[index] for index in sorted(found)}


def _curves(one: Found, classes: Sequence[int], *, independent: bool) -> dict[str, Entry]:
    """Return classes' probabilities and distances from one; None where the answer has none."""
    curves: dict[str, Entry] = {
        str(index): {"probability": [], "one_minus_p": []} for index in classes
    }
    for row in one.logits:
        fine = bool(np.isfinite(row).all())
        p, d = probabilities(row, independent=independent) if fine else (None, None)
        for index in classes:
            curve = curves[str(index)]
            curve["probability"].append(None if p is None else float(p[index]))
            curve["one_minus_p"].append(None if d is None else float(d[index]))
    return curves


def _band(entries: Sequence[Entry], place: int) -> Entry:
    there = [one for one in entries if one["said"][place] is not None]
    fine = [one for one in there if one["said"][place] != NOT_FINITE]
    sure, short = (
        [one["curves"][str(one["meant"])][key][place] for one in fine]
        for key in ("probability", "one_minus_p")
    )
    kept = sum(one["said"][place] == one["before"][0][0] for one in there)
    known = [one for one in there if one["label"] is not None]
    right = sum(one["said"][place] == one["label"] for one in known)
    return {
        "n": len(there),
        "not_finite": len(there) - len(fine),
        "quantiles": [float(one) for one in np.quantile(sure, BANDS)] if sure else None,
        "distances": [float(one) for one in np.quantile(short, BANDS[::-1])] if sure else None,
        "kept": {"hits": kept, "interval": list(wilson(kept, len(there)))},
        "right": {"hits": right, "n": len(known), "interval": list(wilson(right, len(known)))},
    }
