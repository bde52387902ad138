"""Why is the model so sure of each image, and should it be? The answer of `diagnosis/why`.

A cause is what explains an answer; a finding is what its intervention did, to one image or to the
whole model. Arrays hold the pictures, each what the network receives before it normalises, uint8,
shape (h, w, c):

- "i/image": image i.
- "i/NAME": the picture that a finding of image i calls NAME: the image without the cause, other
  images with it.
- "good/j": known-good image j, where it is among some image's nearest.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

from diagnostics.schema.results import Count

Verdict: TypeAlias = Literal["trust", "distrust", "cannot_tell"]
# Left, top, right and bottom in px of what the network receives; right and bottom lie outside.
Box: TypeAlias = list[int]


class Picture(TypedDict):
    """A picture of an intervention, and what the model says of it.

    `array` names it among the arrays. `said` is the class that comes first, `p` its probability, 0
    to 1, `one_minus_p` the exact complement; `p_cause` is the probability of the class that image i
    was said to be. `before` is the class that came first without the intervention; empty for the
    image itself.
    """

    array: str
    caption: str
    said: str
    p: float
    one_minus_p: float
    p_cause: float
    before: str


class Effect(TypedDict):
    """A number beside the same number of good images that had the same done to them.

    `good_median` and `good_high` are the median and the 95 % quantile over `n` good images, None
    where there are none. More is more of an effect, unless `name` says otherwise.
    """

    name: str
    value: float
    unit: str
    good_median: float | None
    good_high: float | None
    n: int


class Finding(TypedDict):
    """What one intervention did.

    `holds` says whether its rule held; else `why_not` says what spoke against it. `confidence`, 0
    to 1, orders causes that hold. `p_before` and `p_after` are the probability of the class that
    was said, without and with the intervention; None where it is not about one image. `turned`
    counts the good images of other classes that become that class when they are given the cause,
    `placebo` those that become it when they are given the same of another good image. `box` is
    where the cause lies. `done` is what was done, as the beginning of a sentence.
    """

    id: str
    holds: bool
    confidence: float
    p_before: float | None
    p_after: float | None
    turned: Count | None
    placebo: Count | None
    done: str
    sentence: str
    fix: str
    why_not: str
    box: Box | None
    effects: list[Effect]
    evidence: list[Picture]


class Tried(TypedDict):
    """An intervention that did not explain the answer, and why not."""

    id: str
    title: str
    p_after: float | None
    why_not: str


class Neighbour(TypedDict):
    """A known-good image near an image, in the features.

    `array` names its picture, empty where none is held. `distance` is Euclidean; `said` is what the
    model says of it, `label` what it is.
    """

    array: str
    label: str
    said: str
    distance: float


class ImageVerdict(TypedDict):
    """Whether the answer to one image should be trusted, why, and what to do.

    `said` is the class that comes first, `p` its probability, `one_minus_p` the exact complement.
    `causes` hold, the most certain first; `tried` did not explain it; `unasked` says what could not
    be asked, and `needs` what would let it tell, empty where nothing is missing. An image that
    cannot be read has an `error`, and "cannot_tell".
    """

    file: str
    error: str | None
    verdict: Verdict
    said: str
    index: int
    p: float
    one_minus_p: float
    sentence: str
    causes: list[Finding]
    tried: list[Tried]
    unasked: list[str]
    needs: str
    neighbours: list[Neighbour]


class ModelVerdict(TypedDict):
    """What is wrong with the model whatever the image: its causes, on `n` labelled images.

    `right` counts those that it answers right as it is set now; None without labels.
    """

    causes: list[Finding]
    tried: list[Tried]
    n: int
    right: Count | None
    sentence: str


class Cost(TypedDict):
    """What looking closer would take: passes of all images together, and seconds here."""

    passes: int
    seconds: float


class WhyAnswer(TypedDict):
    """Answer of `diagnosis/why`.

    `passes` counts the images that went through the network, `remembered` those that need not,
    because they were asked about before. `closer` is what looking closer would cost; None where it
    was done, or cannot be.
    """

    images: list[ImageVerdict]
    diagnosis: ModelVerdict
    passes: int
    remembered: int
    closer: Cost | None
    notes: list[str]


class ImageFindings(TypedDict):
    """What one intervention did to an image; an image that cannot be read has an `error`."""

    file: str
    error: str | None
    findings: list[Finding]


class FindingsAnswer(TypedDict):
    """Answer of every method of this topic but `diagnosis/why`.

    `causes` are findings about the model, on the good images.
    """

    images: list[ImageFindings]
    causes: list[Finding]
    passes: int
    notes: list[str]
