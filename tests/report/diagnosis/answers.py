"""Verdicts on five images, one of each kind, with the pictures that they rest on."""

from __future__ import annotations

import numpy as np

from diagnostics.metrics.intervals import wilson
from diagnostics.schema.results import Count
from diagnostics.schema.results.diagnosis import (
    Cost,
    Effect,
    Finding,
    ImageVerdict,
    ModelVerdict,
    Neighbour,
    Picture,
    Tried,
    WhyAnswer,
)

SIDE, BOX = 28, [22, 3, 25, 6]
SAYS = "The model says “x” with 99.8 %."
GOOD = f"{SAYS} Nothing that was tried explains it away; 9 of 10 nearest good images are x."


def count(hits, n):
    return Count(hits=hits, n=n, interval=list(wilson(hits, n)))


def picture(array, caption, said, p, p_cause, before=""):
    return Picture(
        array=array,
        caption=caption,
        said=said,
        p=p,
        one_minus_p=1 - p,
        p_cause=p_cause,
        before=before,
    )


def finding(cause="shortcut.local", **changes):
    """Return a finding of image 1: a patch that turns other images into its class."""
    found = Finding(
        id=cause,
        holds=True,
        confidence=0.9,
        p_before=0.998,
        p_after=0.04,
        turned=count(24, 24),
        placebo=count(1, 24),
        done="Without 3 × 3 px at the upper right (replaced by the median of others)",
        sentence="the model reads 3 × 3 px at the upper right, not the rest of the image",
        fix="cover the mark, add it to other classes, and train again",
        why_not="",
        box=BOX,
        effects=[
            Effect(
                name="Fall without it",
                value=0.958,
                unit="probability",
                good_median=0.01,
                good_high=0.06,
                n=24,
            )
        ],
        evidence=[
            picture("1/without", "without the part", "p", 0.9, 0.04, before="x"),
            picture("1/other0", "another image with it", "x", 0.97, 0.97, before="b"),
            picture("1/other1", "another image with it", "x", 0.95, 0.95, before="k"),
        ],
    )
    return Finding({**found, **changes})


def verdict(file, kind, **changes):
    image = ImageVerdict(
        file=file,
        error=None,
        verdict=kind,
        said="x",
        index=23,
        p=0.998,
        one_minus_p=0.002,
        sentence=GOOD,
        causes=[],
        tried=[
            Tried(
                id="image.adversarial",
                title="A tiny change decides",
                p_after=0.97,
                why_not="Blur leaves the answer as it is.",
            )
        ],
        unasked=[],
        needs="",
        neighbours=[
            Neighbour(array="good/0", label="x", said="x", distance=1.25),
            Neighbour(array="", label="x", said="k", distance=2.5),
        ],
    )
    return ImageVerdict({**image, **changes})


def answer(*images, causes=()):
    return WhyAnswer(
        images=list(images) or [trusted(), patched(), untold(), unread()],
        diagnosis=ModelVerdict(
            causes=list(causes),
            tried=[],
            n=254,
            right=count(250, 254),
            sentence="One class is preferred whatever the image."
            if causes
            else "Nothing is wrong.",
        ),
        passes=310,
        remembered=0,
        closer=Cost(passes=4200, seconds=3.0),
        notes=[],
    )


def trusted():
    none = finding(
        "none.justified",
        done="",
        sentence="nothing that was tried explains it away",
        fix="",
        p_after=None,
        turned=None,
        placebo=None,
        box=None,
        effects=[],
        evidence=[],
    )
    return verdict("letter.png", "trust", causes=[none])


def patched():
    return verdict(
        "patched.png", "distrust", sentence=f"{SAYS} A small part decides.", causes=[finding()]
    )


def untold():
    return verdict(
        "untold.png",
        "cannot_tell",
        sentence="Without known-good images it cannot be told.",
        unasked=["preprocessing.scale", "Whether classes are confused."],
        needs="Add 20 known-good images or more.",
        neighbours=[],
        tried=[],
    )


def unread():
    return verdict(
        "broken.png",
        "cannot_tell",
        error="broken.png is no image that can be read.",
        said="",
        index=-1,
        p=0.0,
        one_minus_p=1.0,
        sentence="",
        tried=[],
        neighbours=[],
    )


def arrays():
    chance = np.random.default_rng(0)
    names = ("1/image", "1/without", "1/other0", "1/other1", "0/image", "2/image", "good/0")
    return {name: chance.integers(0, 256, (SIDE, SIDE, 1), np.uint8) for name in names}
