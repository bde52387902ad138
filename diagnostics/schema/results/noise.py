"""What `noise/noise`, `noise/noise_images` and `noise/depth` answer."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from diagnostics.schema.results import Estimate

SinkVerdict: TypeAlias = Literal["sink", "no sink", "can't tell"]
OffsetSource: TypeAlias = Literal["labels", "last layer"]


class MajorityClass(TypedDict):
    """The class predicted most often, with its share and its 95 % interval, 0 to 1.

    Where draws were made from fewer images than there are draws, the interval counts the images.
    """

    name: str
    index: int
    share: float
    low: float
    high: float


class Sink(TypedDict):
    """Whether a class gets noise because of what the network adds to it whatever the image is.

    `index` is the class that gets most of the noise, every family that was drawn weighing the same,
    and `share` its share, 0 to 1. `offset` is what the network adds to the class's logit beyond the
    others, measured on the "labels" of real images or by the bias of the "last layer", which
    `offset_from` says; `share_without` is the share once that is taken away. All three are None
    where nothing tells the offset.
    """

    verdict: SinkVerdict
    index: int
    share: float
    offset: float | None
    offset_from: OffsetSource | None
    share_without: float | None


class NoiseSummary(TypedDict):
    """What a model predicts for n images; all but the counts is absent where n is 0.

    `not_finite` images gave no finite logits and are left out. The lists have an entry an image:
    `number` is its place among all images or draws, `predicted` the class's index. `entropy` is
    that of the predicted classes, 0 (always the same) to 1 (all classes alike).
    """

    n: int
    not_finite: int
    number: NotRequired[list[int]]
    confidence: NotRequired[list[float]]
    one_minus_p: NotRequired[list[float]]
    predicted: NotRequired[list[int]]
    mean_confidence: NotRequired[Estimate]
    majority_class: NotRequired[MajorityClass]
    entropy: NotRequired[float]


class NoiseFamily(NoiseSummary):
    """A family of noise, or of images to compare with, which alone have `files`, by number.

    `sources` is from how many images the draws were made, one after the other; 0 for none.
    """

    family: str
    title: str
    description: str
    files: list[str]
    sources: int


class NoiseAnswer(TypedDict):
    """What `noise/noise` answers; `levels` is the grey level of each blank image, 0 to 255.

    `sink` is None where no answer to drawn noise is finite.
    """

    families: list[NoiseFamily]
    sink: Sink | None
    classes: list[str]
    levels: list[int]
    notes: list[str]


class NoiseImages(TypedDict):
    """What `noise/noise_images` answers, with the numbers of the draws in its arrays."""

    family: str
    draws: list[int]


class LayerShares(TypedDict):
    """To which class's mean the noise is nearest at a layer.

    `shares` has the share of the draws, 0 to 1, by the class's index as text. `accuracy` is how
    often a labelled image, left out of its mean, is nearest to the mean of its class, 0 to 1.
    """

    layer: str
    shares: dict[str, float]
    accuracy: float


class DepthAnswer(TypedDict):
    """What `noise/depth` answers, from the input to the output.

    `n` labelled images give the means; `classes` are the names of those that have one, by index.
    """

    family: str
    draws: int
    n: int
    classes: dict[str, str]
    layers: list[LayerShares]
    notes: list[str]
