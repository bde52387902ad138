"""The reference: one half of the images fits scores, the other judges them; and its file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from diagnostics.data.folder import UNKNOWN
from diagnostics.errors import InputError, OptionError
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import Features, concatenate, head_weights
from diagnostics.reference.examples import ExampleBuilder, Examples, check_examples
from diagnostics.reference.running_sums import check_sums, require, running_sums
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.results.ood import ReferenceImages, ReferenceInfo, ReferenceSource
from diagnostics.schema.results.preprocessing import Settings
from diagnostics.schema.spec import Need, preprocessing_from

MAX_ROWS = 4096  # of each half that are held one by one
SUM_BATCH = 256
MIN_IMAGES = 10
ADVISED_IMAGES = 50
FORMAT = "oversure reference 1"
# Names of tensors in files, where they differ from ours.
NAMES_IN_FILES = {
    "pixel_statistics": "shades",
    "predicted_count": "said_count",
    "predicted_sum": "said_sum",
}


@dataclass(frozen=True)
class Half:
    """Images held one by one.

    Args:
        outputs: What the network gave.
        labels: Index of each image's class, `UNKNOWN` where it has none.
    """

    outputs: Features
    labels: Tensor


@dataclass(frozen=True)
class Reference:
    """What a model gives for in-distribution images.

    Args:
        fit: Images that scores are fitted on, at most `MAX_ROWS`, drawn at random.
        calibration: Other images, on which the fitted scores are judged.
        sums: Running sums over all images of the first half, see
            `diagnostics.reference.running_sums`, and the last layer's "head_weight" (k, d) and
            "head_bias" (k,) where it has such.
        about: What it was measured with.
        examples: Some of the images themselves, of both halves; None in files that were written
            before references carried images.
        fitted: What scores fitted on it, by their names: each fits once.
    """

    fit: Half
    calibration: Half
    sums: Mapping[str, Tensor]
    about: ReferenceInfo
    examples: Examples | None = None
    fitted: dict[str, Mapping[str, Any]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def labelled(self) -> int:
        """How many images of the first half have a label."""
        return int((self.fit.labels != UNKNOWN).sum())

    def require_examples(self) -> Examples:
        """Return the images that it carries.

        Raises:
            InputError: When it carries none.
        """
        if self.examples is None:
            raise InputError(
                "This reference was built before references carried images; build it again."
            )
        return self.examples

    def require_match(self, classifier: TorchClassifier) -> None:
        """Hold a person to the model and the preprocessing that it was measured with.

        Raises:
            InputError: When it belongs to others.
        """
        if self.about["model"] != classifier.spec.sha256:
            raise InputError(
                f"The reference was measured with the weights {self.about['model'][:12]}…, and "
                f"{classifier.spec.name} has {classifier.spec.sha256[:12]}…; measure it again."
            )
        size = (classifier.spec.channels, classifier.spec.height, classifier.spec.width)
        if self.examples is not None and self.examples.pixels.shape[1:] != size:
            raise InputError(
                f"The reference carries images of {_size(self.examples.pixels.shape[1:])}, and "
                f"{classifier.spec.name} takes {_size(size)}; measure it again."
            )
        if differing := _differing(self.about["preprocessing"], classifier.preprocessing):
            raise InputError(
                f"The reference was measured with another preprocessing ({differing}); measure it "
                "again, or go back to those settings."
            )


class ReferenceBuilder:
    """Takes in images, batch by batch, in memory that does not grow with their number.

    Args:
        classifier: The classifier that the reference is of.
    """

    def __init__(self, classifier: TorchClassifier) -> None:
        self._classifier = classifier
        self._halves: tuple[list[Half], list[Half]] = ([], [])
        self._counts = [0, 0]
        self._to_sum: list[Half] = []
        self._sums: dict[str, Tensor] = {}
        self._head: dict[str, Tensor] = {}
        self._examples = ExampleBuilder()
        self._left_out = 0

    def add(self, outputs: Features, labels: Tensor, pixels: Tensor, half: int) -> None:
        """Take in images of one half: 0 to fit on, 1 to judge on; they come in turn."""
        finite = outputs.finite()
        self._left_out += int((~finite).sum())
        if not finite.all():
            outputs, labels = outputs.select(finite), labels[finite]
            pixels = pixels[finite.to(pixels.device)]
        order = 2 * (torch.arange(len(labels)) + self._counts[half]) + half
        self._examples.add(outputs, labels, pixels, order)
        room = max(0, MAX_ROWS - self._counts[half])
        self._counts[half] += len(labels)
        first = torch.arange(min(room, len(labels)))
        if len(first):
            self._halves[half].append(Half(outputs.select(first), labels[first]))
        if half == 0 and len(labels):
            if not self._head and Need.HEAD in self._classifier.spec.offers:
                self._head = head_weights(self._classifier, pixels[:2])
            self._to_sum.append(Half(outputs, labels))
            if sum(len(part.labels) for part in self._to_sum) >= SUM_BATCH:
                self._sum()

    def build(self, source: ReferenceSource) -> Reference:
        """Return the reference.

        Args:
            source: Which images these are.

        Raises:
            InputError: When there were too few images.
        """
        if min(self._counts) * 2 < MIN_IMAGES:
            raise InputError(
                f"A reference needs {MIN_IMAGES} readable images at least, better "
                f"{ADVISED_IMAGES} or more; got {sum(self._counts)}."
            )
        self._sum()
        spec = self._classifier.spec
        about = ReferenceInfo(
            format=FORMAT,
            model=spec.sha256,
            model_name=spec.name,
            preprocessing=_settings(self._classifier),
            images=ReferenceImages(fit=self._counts[0], calibration=self._counts[1]),
            left_out=self._left_out,
            **source,
        )
        fit, calibration = (_joined(parts) for parts in self._halves)
        sums = {**self._sums, **self._head}
        return Reference(fit, calibration, sums, about, self._examples.build())

    def _sum(self) -> None:
        """Sum what waits; products of features cost as much for a few images as for many."""
        if self._to_sum:
            joined, self._to_sum = _joined(self._to_sum), []
            for name, value in running_sums(joined.outputs, joined.labels).items():
                self._sums[name] = self._sums.get(name, torch.zeros(())) + value


def dumps(reference: Reference) -> bytes:
    """Return a reference as the bytes of a .safetensors file."""
    parts: dict[str, Mapping[str, Tensor]] = {"moments": reference.sums}
    for name, half in (("fit", reference.fit), ("calibration", reference.calibration)):
        parts[name] = {**vars(half.outputs), "labels": half.labels}
    if reference.examples is not None:
        parts["examples"] = vars(reference.examples)
    tensors = {
        f"{part}.{NAMES_IN_FILES.get(name, name)}": value.contiguous()
        for part, values in parts.items()
        for name, value in values.items()
    }
    return save(tensors, {"reference": json.dumps(reference.about)})


def load(path: Path, name: str) -> Reference:
    """Read a reference.

    Args:
        path: The file.
        name: Name that sentences begin with.

    Raises:
        InputError: When the file is no reference.
    """
    ours = {in_files: name for name, in_files in NAMES_IN_FILES.items()}
    parts: dict[str, dict[str, Tensor]] = {
        part: {} for part in ("moments", "fit", "calibration", "examples")
    }
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("reference", "{}"))
            for key in file.keys():  # noqa: SIM118
                part, _, tensor = key.partition(".")
                if part in parts:
                    parts[part][ours.get(tensor, tensor)] = file.get_tensor(key)
        require(about.get("format") == FORMAT and isinstance(about.get("model"), str))
        require(isinstance(about.get("preprocessing"), dict))
        fit, calibration = _half(parts["fit"]), _half(parts["calibration"])
        require(fit.outputs.widths == calibration.outputs.widths)
        check_sums(parts["moments"], *fit.outputs.widths)
        classes, features, _ = fit.outputs.widths
        held = parts["examples"]
        examples = check_examples(held, classes, features) if held else None
    except (SafetensorError, OSError, ValueError, LookupError, AttributeError, TypeError):
        raise _damaged(name) from None
    except RecursionError:  # JSON that only nests
        raise _damaged(name) from None
    return Reference(fit, calibration, parts["moments"], about, examples)


def _damaged(name: str) -> InputError:
    return InputError(
        f"{name} is no reference of Oversure, or it is damaged; build one from a folder."
    )


def _half(tensors: Mapping[str, Tensor]) -> Half:
    """Return one half of a file; every image must have a row of everything.

    Raises:
        ValueError: When it has not.
        KeyError: When something is missing.
    """
    labels = tensors["labels"]
    outputs = Features(**{one.name: tensors[one.name] for one in fields(Features)})
    count, classes = len(outputs.logits), outputs.logits.shape[1]
    for name, tensor in vars(outputs).items():
        require(tensor.is_floating_point())
        require(name == "batchnorm" or (tensor.ndim == 2 and len(tensor) == count))
    require(outputs.batchnorm.ndim == 1 and len(outputs.batchnorm) in (0, count))
    require(labels.dtype == torch.int64 and labels.shape == (count,) and count > 1)
    require(bool(((labels >= UNKNOWN) & (labels < classes)).all()))
    return Half(outputs, labels)


def _joined(parts: Sequence[Half]) -> Half:
    labels = torch.cat([part.labels for part in parts])
    return Half(concatenate([part.outputs for part in parts]), labels)


def _size(shape: Sequence[int]) -> str:
    channels, height, width = shape
    return f"{channels} × {height} × {width}"


def _differing(measured: Settings, preprocessing: Preprocessing) -> str:
    """Return the settings that change pixels and differ, with both values; empty where none do."""
    try:
        theirs = asdict(preprocessing_from(measured).effective)
    except (OptionError, TypeError):  # a file may bring anything
        return "its settings cannot be read"
    ours = asdict(preprocessing.effective)
    return ", ".join(
        f"{name} {theirs[name]}, now {ours[name]}" for name in ours if theirs[name] != ours[name]
    )


def _settings(classifier: TorchClassifier) -> Settings:
    content: Settings = json.loads(json.dumps(asdict(classifier.preprocessing)))
    return content
