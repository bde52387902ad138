"""Causes that hold only because another does: a frame, a background, a texture, a tone.

Each is told from the other by giving one to good images without the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from diagnostics.methods.diagnosis._background import background, give_background
from diagnostics.methods.diagnosis._case import Floats, ImageCase
from diagnostics.methods.diagnosis._regions import rings
from diagnostics.schema.results.diagnosis import Finding

GIVEN, TURNED = 24, 0.35  # good images, and the share of them that must turn
UNLIKE, SLACK, MIN_OBJECT = 1.0, 0.02, 8
BORDER, BACKGROUND = "shortcut.border", "shortcut.background"
EDGES, TEXTURE, TONE = "reliance.edges", "reliance.texture", "reliance.statistic"


def settle(image: ImageCase, findings: Sequence[Finding]) -> None:
    """Let go of causes that hold only because another does."""
    _edges_or_texture(_holding(findings))
    _border_or_background(image, _holding(findings))
    _texture_or_background(_holding(findings))
    _tone_or_background(image, _holding(findings))


def _holding(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {one["id"]: one for one in findings if one["holds"]}


def _let_go(found: Finding, why_not: str) -> None:
    found["holds"], found["why_not"] = False, why_not


def _edges_or_texture(holding: dict[str, Finding]) -> None:
    if EDGES in holding and TEXTURE in holding:
        _let_go(holding[TEXTURE], "What is fine in it are its hard edges.")


def _border_or_background(image: ImageCase, holding: dict[str, Finding]) -> None:
    """A background reaches the border; behind a frame there is nothing."""
    if BORDER not in holding or not holding.keys() & {BACKGROUND, TEXTURE, TONE}:
        return
    if _share(image, image.pixels, without_border=True) >= TURNED:
        _let_go(holding[BORDER], "The background does the same without the border.")
    elif BACKGROUND in holding:
        _let_go(holding[BACKGROUND], "Behind the border the background does nothing.")


def _texture_or_background(holding: dict[str, Finding]) -> None:
    """A background with a fine texture is named by the texture: a plain one has none."""
    if BACKGROUND in holding and TEXTURE in holding:
        _let_go(holding[BACKGROUND], "Its fine texture alone does the same.")


def _tone_or_background(image: ImageCase, holding: dict[str, Finding]) -> None:
    """The tone of an image is that of its object too; a background has an object before it."""
    behind = [holding[cause] for cause in (BORDER, BACKGROUND) if cause in holding]
    if TONE not in holding or not behind:
        return
    if _is_toned(image):
        for one in behind:
            _let_go(one, "The object itself is toned too.")
    elif BACKGROUND in holding:
        _let_go(holding[TONE], "The background alone does it: the object is toned as usual.")


def _share(image: ImageCase, source: Tensor, *, without_border: bool = False) -> float:
    """Return which share of good images a background turns."""
    known = image.model.known
    assert known is not None
    others = known.pixels[known.others(image.index, GIVEN)]
    given = give_background(others, source)
    if without_border:
        widest = rings(image.model.spec.height, image.model.spec.width)[-1]
        given = widest.paste(others, given)
    turned = image.model.network.logits(given).argmax(1) == image.index
    return float(turned.mean())


def _is_toned(image: ImageCase) -> bool:
    """Say whether the brightest parts of the object are unlike those of good images' objects."""
    known = image.model.known
    assert known is not None
    if "objects" not in image.model.memory:
        image.model.memory["objects"] = np.array([_brightest(one) for one in known.pixels])
    good: Floats = image.model.memory["objects"]
    middle = float(np.median(good))
    spread = 1.48 * float(np.median(np.abs(good - middle))) + SLACK
    return abs(_brightest(image.pixels) - middle) >= UNLIKE * spread


def _brightest(pixels: Tensor) -> float:
    """Return how bright the brightest parts of an image's object are."""
    inside = ~background(pixels)
    if int(inside.sum()) < MIN_OBJECT:
        inside = torch.ones_like(inside)
    return float(pixels.mean(0)[inside].quantile(0.98))
