"""What is known of a model, as plain data that crosses process borders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from diagnostics.errors import OptionError
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.results.inspection import CandidateEntry, ModelEntry, Status

NO_BATCHNORM = (
    "No BatchNorm is visible in this network; an exporter may have folded it into the layers "
    "before it."
)


class Need(StrEnum):
    """Something a method needs and a model may offer."""

    GRADIENTS = "gradients"
    LAYERS = "layers"
    FEATURES = "features"
    HEAD = "head"
    ATTENTION = "attention"
    BATCHNORM = "batchnorm"


class Output(StrEnum):
    """What the numbers that leave the network are."""

    LOGITS = "logits"
    PROBABILITIES = "probabilities"
    LOG_PROBABILITIES = "log-probabilities"
    SIGMOID_LOGITS = "independent logits"
    SIGMOID_PROBABILITIES = "independent probabilities"

    @property
    def independent(self) -> bool:
        """Whether each class is a yes or no of its own, so that the sum need not be one."""
        return self in (Output.SIGMOID_LOGITS, Output.SIGMOID_PROBABILITIES)

    @property
    def sums_to_one(self) -> bool:
        """Whether it is probabilities, or their logarithms, of which exactly one class is true."""
        return self in (Output.PROBABILITIES, Output.LOG_PROBABILITIES)


def stated_output(text: str) -> str:
    """Return a kind of output that a person names; hyphens may join its words.

    Raises:
        OptionError: When there is no such kind.
    """
    kinds = {kind.replace(" ", "-"): kind.value for kind in Output}
    kind = kinds.get(text.strip().lower().replace(" ", "-"))
    if kind is None:
        raise OptionError(f"output must be one of {', '.join(kinds)}; got {text[:40]!r}.")
    return kind


class Fit(StrEnum):
    """How a network takes the tensors of a file."""

    EXACT = "exact"
    RESIZED = "other classes or channels"
    POSITION = "by position"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at when the model was opened."""

    name: str
    status: Status
    message: str


@dataclass(frozen=True)
class Candidate:
    """A known network whose tensors fit the file.

    Args:
        architecture: Id such as "torchvision/resnet18", "timm/tf_efficientnet_lite0" or
            "oversure/letters_conv".
        fit: How names and shapes match.
        classes: Number of outputs in the file.
        channels: Number of input channels in the file.
        height: Input height in px that the network was published for.
        width: Input width in px.
        preprocessing: How the network was published to see its images.
        message: One sentence: what matches and what does not.
        deviation: Mean BatchNorm deviation on the images at hand (lower fits better),
            or None when it was not measured.
        deviation_images: On how many images it was measured: those that could be read.
    """

    architecture: str
    fit: Fit
    classes: int
    channels: int
    height: int
    width: int
    preprocessing: Preprocessing
    message: str
    deviation: float | None = None
    deviation_images: int = 0


@dataclass(frozen=True)
class LayerInfo:
    """One layer: its name, its kind of module, and the shape it gives for one image."""

    name: str
    kind: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelSpec:
    """Everything that is known of an open model.

    Args:
        name: File name people gave.
        format: "safetensors", "state_dict" or "module".
        architecture: Id of the network, see `Candidate`; empty while several fit equally well
            and a person must choose.
        sha256: Hash of the file's bytes, in hexadecimal.
        parameters: Number of learned values.
        height: Input height in px.
        width: Input width in px.
        channels: Input channels, 1 or 3.
        class_names: One name per output, in the order of the outputs.
        output: What the network's numbers are.
        preprocessing: How the network was published to see its images.
        layers: Layers in the order in which they run.
        offers: What methods may use.
        checks: What was looked at while opening.
        candidates: Every known network that takes these tensors, best first.
        head: Name of the last layer, whose input are the features; empty where it cannot be told.
    """

    name: str
    format: str
    architecture: str
    sha256: str
    parameters: int
    height: int
    width: int
    channels: int
    class_names: tuple[str, ...]
    output: Output
    preprocessing: Preprocessing
    layers: tuple[LayerInfo, ...] = ()
    offers: frozenset[Need] = frozenset()
    checks: tuple[Check, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    head: str = ""

    @property
    def has_class_names(self) -> bool:
        """Whether any output has a name; otherwise all are numbered."""
        numbers = enumerate(self.class_names)
        return any(name != numbered_class(index) for index, name in numbers)

    def why_not(self, need: Need) -> str:
        """Say why the model does not offer something, as far as that is known."""
        if need is Need.HEAD:
            return "Its last layer does not make logits by weights and a bias alone."
        if need is Need.BATCHNORM:
            return NO_BATCHNORM
        if need is Need.ATTENTION and any(layer.kind == need for layer in self.layers):
            return (
                "Its attention works in windows, or on tokens that change from layer to layer, so "
                "it cannot be followed through to the image; each layer shows its own."
            )
        names = ("gradients",) if need is Need.GRADIENTS else ("layers", "batch")
        for check in self.checks:
            if check.name in names:
                return check.message
        return f"This network has no {need}."

    def layer(self, name: str) -> LayerInfo | None:
        """Return the layer of that name; None when there is none."""
        return next((layer for layer in self.layers if layer.name == name), None)


def numbered_class(index: int) -> str:
    """Return what an output is called that has no name."""
    return f"class {index}"


def describe(spec: ModelSpec) -> ModelEntry:
    """Return what is known of a model as the "model" part of an answer."""
    content = asdict(spec)
    return ModelEntry(
        name=spec.name,
        format=spec.format,
        architecture=spec.architecture or None,
        candidates=list(content["candidates"]),
        sha256=spec.sha256,
        parameters=spec.parameters,
        input={"channels": spec.channels, "height": spec.height, "width": spec.width},
        classes=list(spec.class_names),
        output=spec.output,
        preprocessing=content["preprocessing"],
        offers=sorted(spec.offers),
        checks=list(content["checks"]),
        layers=list(content["layers"]),
        head=spec.head or None,
    )


def read(description: ModelEntry) -> ModelSpec:
    """Return the spec that `describe` described."""
    return ModelSpec(
        name=description["name"],
        format=description["format"],
        architecture=description["architecture"] or "",
        sha256=description["sha256"],
        parameters=description["parameters"],
        **description["input"],
        class_names=tuple(description["classes"]),
        output=Output(description["output"]),
        preprocessing=preprocessing_from(description["preprocessing"]),
        layers=tuple(
            LayerInfo(layer["name"], layer["kind"], tuple(layer["shape"]))
            for layer in description["layers"]
        ),
        offers=frozenset(Need(need) for need in description["offers"]),
        checks=tuple(Check(**check) for check in description["checks"]),
        candidates=tuple(_candidate(entry) for entry in description["candidates"]),
        head=description["head"] or "",
    )


def _candidate(entry: CandidateEntry) -> Candidate:
    return Candidate(
        architecture=entry["architecture"],
        fit=Fit(entry["fit"]),
        classes=entry["classes"],
        channels=entry["channels"],
        height=entry["height"],
        width=entry["width"],
        preprocessing=preprocessing_from(entry["preprocessing"]),
        message=entry["message"],
        deviation=entry["deviation"],
        deviation_images=entry["deviation_images"],
    )


def preprocessing_from(content: Mapping[str, Any]) -> Preprocessing:
    """Return the settings that JSON, which knows no tuples, brought."""
    lists = {key: tuple(value) for key, value in content.items() if isinstance(value, list)}
    return Preprocessing(**{**content, **lists})
