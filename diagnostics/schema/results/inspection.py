"""What is known of a model, and what it answers about single images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

Settings: TypeAlias = dict[str, Any]  # the fields of a dataclass, as JSON
Status: TypeAlias = Literal["passed", "warned", "failed"]


class CheckEntry(TypedDict):
    """One thing that was looked at when the model was opened, see `spec.Check`."""

    name: str
    status: Status
    message: str


class CandidateEntry(TypedDict):
    """A known network whose tensors fit the file, see `spec.Candidate`."""

    architecture: str
    fit: str
    classes: int
    channels: int
    height: int
    width: int
    preprocessing: Settings
    message: str
    deviation: float | None
    deviation_images: int


class LayerInfoEntry(TypedDict):
    """A layer of the model, see `spec.LayerInfo`; `shape` is without the axis of images."""

    name: str
    kind: str
    shape: Sequence[int]


class InputSize(TypedDict):
    """What the network takes: channels, and height and width in px."""

    channels: int
    height: int
    width: int


class ModelEntry(TypedDict):
    """What is known of a model, see `spec.ModelSpec`.

    `architecture` is None while several networks fit equally well; `preprocessing` are the fields
    of `Preprocessing`; `head` is None where the last layer cannot be told.
    """

    name: str
    format: str
    architecture: str | None
    candidates: list[CandidateEntry]
    sha256: str
    parameters: int
    input: InputSize
    classes: list[str]
    output: str
    preprocessing: Settings
    offers: list[str]
    checks: list[CheckEntry]
    layers: list[LayerInfoEntry]
    head: str | None


class ModelAnswer(TypedDict):
    """What every answer says first: which model gave it."""

    model: ModelEntry


class OpenAnswer(ModelAnswer):
    """The answer to `OPEN`; `methods` are the fields of `options.MethodInfo`."""

    methods: list[Settings]


class ReadEntry(TypedDict):
    """An image file, and why it cannot be read; None where it can."""

    file: str
    sha256: str
    error: str | None


class ReadAnswer(TypedDict):
    """The answer to `READ`: the images in their order."""

    images: list[ReadEntry]


class Histogram(TypedDict):
    """Counts of each channel's values between common edges, one edge more than bins."""

    counts: list[list[int]]
    edges: list[float]


class StageEntry(TypedDict):
    """What one preprocessing stage made of an image.

    `shape` is (h, w, c), `mean` and `std` are one per channel, `clipped` counts values, `picture`
    names an array (h, w, c) that may be shrunk for the screen.
    """

    stage: str
    settings: str
    shape: list[int]
    low: float
    high: float
    mean: list[float]
    std: list[float]
    histogram: Histogram
    clipped: int
    signed: bool
    picture: str


# One class of a ranking, see `metrics.predictions.Prediction`; "class" is its name.
PredictionEntry = TypedDict(
    "PredictionEntry",
    {
        "class": str,
        "index": int,
        "probability": float,
        "one_minus_p": float,
        "logit": float,
        "margin": float | None,
    },
)


class SilentUnits(TypedDict):
    """How many of a layer's units no image of the answer moves."""

    units: int
    silent: int
    images: int


class LayerNumbers(TypedDict):
    """Statistics of a layer's values; None where they are not finite or mean nothing.

    `zeros` is the share of values that are zero, `participation` the participation ratio of the
    units, 1/n to 1.
    """

    low: float | None
    high: float | None
    mean: float | None
    std: float | None
    zeros: float | None
    participation: float | None


class LayerEntry(LayerNumbers):
    """What one layer gave for one image.

    `shape` is empty for a layer that did not run. `picture` names an array: maps (c, h, w), a
    vector (k,) or tokens (t, c). A layer that was to be drawn, or not captured, has a `layout`,
    see `layouts.layout`; one that was drawn has the numbers of its maps in `channels`, and a
    `note`.
    """

    name: str
    kind: str
    shape: list[int]
    silent: SilentUnits | None
    picture: str | None
    layout: NotRequired[str]
    channels: NotRequired[list[int]]
    note: NotRequired[str]


class AttributionEntry(TypedDict):
    """One method's heatmap of one image, or the `note` that says why there is none.

    `layer` is empty for a map of pixels; `target` and `against` are indices of classes, see
    `Request`; `any_class` tells a map that is the same for every class. `picture` and `array` name
    the array (h, w), which is below zero only if `signed`.
    """

    method: str
    layer: str
    target: int | None
    against: int | None
    signed: bool
    note: str
    remark: str
    any_class: bool
    picture: str | None
    array: str | None


class ImageEntry(TypedDict):
    """Everything that is known of one image.

    `error` says why it could not be read, and then the rest is empty. `top` ranks classes, and is
    empty where the logits are not finite; `margin` is the first logit minus the second; `target`
    is the index of the class that is explained.
    """

    file: str
    sha256: str
    error: str | None
    warnings: list[str]
    preprocessing: list[StageEntry]
    top: list[PredictionEntry]
    margin: float | None
    target: int | None
    layers: list[LayerEntry]
    attributions: list[AttributionEntry]


class InspectAnswer(ModelAnswer):
    """The answer to `INSPECT` and to every method that makes a map.

    Arrays are named after the image's index: "0/logits" (k,), "0/stage/1", "0/layer/conv1",
    "0/attribution/0".
    """

    images: list[ImageEntry]


class ReceptiveField(TypedDict):
    """The smallest rectangle of the input, in px, that can reach a cell; ends are exclusive."""

    top: int
    bottom: int
    left: int
    right: int


class FieldAnswer(TypedDict):
    """The answer to `FIELD`; None where no pixel reaches the cell."""

    field: ReceptiveField | None


class CostAnswer(TypedDict):
    """The answer of `inspection/cost`.

    Seconds for one image out of `images` that go through together; None without gradients.
    """

    forward_seconds: float
    backward_seconds: float | None
    images: int
    complete: bool


class FolderImagesAnswer(TypedDict):
    """The answer of `inspection/folder_images`; the bytes are in "image/0", "image/1" and so on."""

    names: list[str]
