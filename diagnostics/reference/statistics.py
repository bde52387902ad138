"""What was measured on known-good images: one half to fit scores, the other to judge them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from diagnostics.errors import InputError
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import Features, concatenated, head_weights
from diagnostics.reference.moments import UNKNOWN, check, demand, sums
from diagnostics.reference.shrinkage import shrunk
from diagnostics.schema.spec import Need

ROWS = 4096  # of each half that are kept one by one
NORMS = "batchnorm"
PARTS = ("logits", "features", NORMS, "layers", "shades")
SUMMED_AT_ONCE = 256
LEAST = 10
ADVISED = 50
FORMAT = "oversure reference 1"


@dataclass(frozen=True)
class Half:
    """Images seen one by one.

    Args:
        seen: What the network gave.
        labels: Index of each image's class, `UNKNOWN` where it has none.
    """

    seen: Features
    labels: Tensor


@dataclass(frozen=True)
class Reference:
    """What was measured on known-good images.

    Args:
        fit: Images that scores are fitted on, at most `ROWS`, drawn at random.
        calibration: Other images, on which the fitted scores are judged.
        moments: Sums over all images of the first half, and the last layer's weight and bias.
        about: What it was measured with, as JSON.
    """

    fit: Half
    calibration: Half
    moments: Mapping[str, Tensor]
    about: Mapping[str, Any]

    @cached_property
    def labelled(self) -> int:
        """How many images of the first half have a label."""
        return int((self.fit.labels != UNKNOWN).sum())

    def demand_for(self, classifier: TorchClassifier) -> None:
        """Hold a person to the model and the preprocessing that it was measured with.

        Raises:
            InputError: When it belongs to others.
        """
        if self.about["model"] != classifier.spec.sha256:
            raise InputError(
                f"The reference was measured with the weights {self.about['model'][:12]}…, and "
                f"{classifier.spec.name} has {classifier.spec.sha256[:12]}…; measure it again."
            )
        if self.about["preprocessing"] != _settings(classifier):
            raise InputError(
                "The reference was measured with another preprocessing; measure it again, or go "
                "back to those settings."
            )


class ReferenceBuilder:
    """Takes in known-good images, pass by pass, in memory that does not grow with their number.

    Args:
        classifier: The classifier that sees them.
    """

    def __init__(self, classifier: TorchClassifier) -> None:
        self._classifier = classifier
        self._halves: tuple[list[Half], list[Half]] = ([], [])
        self._counts = [0, 0]
        self._waiting: list[Half] = []
        self._moments: dict[str, Tensor] = {}
        self._head: dict[str, Tensor] = {}
        self._left_out = 0

    def add(self, seen: Features, labels: Tensor, pixels: Tensor, half: int) -> None:
        """Take in images of one half: 0 to fit on, 1 to judge on."""
        fine = seen.finite()
        self._left_out += int((~fine).sum())
        if not fine.all():
            seen, labels, pixels = seen.of(fine), labels[fine], pixels[fine.to(pixels.device)]
        room = max(0, ROWS - self._counts[half])
        self._counts[half] += len(labels)
        kept = torch.arange(min(room, len(labels)))
        if len(kept):
            self._halves[half].append(Half(seen.of(kept), labels[kept]))
        if half == 0 and len(labels):
            if not self._head and Need.HEAD in self._classifier.spec.offers:
                self._head = head_weights(self._classifier, pixels[:2])
            self._waiting.append(Half(seen, labels))
            if sum(len(part.labels) for part in self._waiting) >= SUMMED_AT_ONCE:
                self._sum()

    def done(self, about: Mapping[str, Any]) -> Reference:
        """Return the reference.

        Args:
            about: What else is to be known of it, as JSON.

        Raises:
            InputError: When there were too few images.
        """
        if min(self._counts) * 2 < LEAST:
            raise InputError(
                f"A reference needs {LEAST} readable images at least, better {ADVISED} or more; "
                f"got {sum(self._counts)}."
            )
        self._sum()
        spec = self._classifier.spec
        content = {
            "format": FORMAT,
            "model": spec.sha256,
            "model_name": spec.name,
            "preprocessing": _settings(self._classifier),
            "images": {"fit": self._counts[0], "calibration": self._counts[1]},
            "left_out": self._left_out,
            **about,
        }
        fit, calibration = (_whole(parts) for parts in self._halves)
        return Reference(fit, calibration, {**self._moments, **self._head}, content)

    def _sum(self) -> None:
        """Sum what waits; products of features cost as much for a few images as for many."""
        if self._waiting:
            whole, self._waiting = _whole(self._waiting), []
            for name, value in sums(whole.seen, whole.labels).items():
                self._moments[name] = self._moments.get(name, torch.zeros(())) + value


def class_means(reference: Reference, least: int) -> Tensor:
    """Return the mean feature of each class with at least so many labelled images."""
    counts = reference.moments["class_count"]
    enough = counts >= least
    means: Tensor = reference.moments["class_sum"][enough] / counts[enough, None]
    return means


def covariance(reference: Reference) -> Tensor:
    """Return the features' covariance, shape (d, d), shrunk where the images are few."""
    return _around(mean_feature(reference), "gram", reference, reference.fit.seen.features)


def tied_covariance(reference: Reference) -> Tensor:
    """Return the covariance around the classes' own means, shape (d, d), shrunk where few."""
    moments, labels = reference.moments, reference.fit.labels
    counts, sums = moments["class_count"].clamp_min(1), moments["class_sum"]
    by_class = sums / counts.sqrt()[:, None]
    labelled = float(moments["class_count"].sum())
    whole = (moments["labelled_gram"] - by_class.T @ by_class) / labelled
    known = labels != UNKNOWN
    centres = (sums / counts[:, None])[labels[known]]
    return _steady(whole, reference.fit.seen.features[known].double() - centres, labelled)


def layer_covariance(reference: Reference) -> Tensor:
    """Return the covariance of the early layer's statistics, shrunk where the images are few."""
    return _around(mean_layers(reference), "layer_gram", reference, reference.fit.seen.layers)


def mean_layers(reference: Reference) -> Tensor:
    """Return the mean of the early layer's statistics."""
    mean: Tensor = reference.moments["layer_sum"] / reference.moments["count"]
    return mean


def mean_feature(reference: Reference) -> Tensor:
    """Return the mean feature, shape (d,)."""
    mean: Tensor = reference.moments["sum"] / reference.moments["count"]
    return mean


def _around(mean: Tensor, products: str, reference: Reference, rows: Tensor) -> Tensor:
    """Return the covariance around a mean, out of the summed products of that name."""
    count = float(reference.moments["count"])
    whole = reference.moments[products] / count - torch.outer(mean, mean)
    return _steady(whole, rows.double() - mean, count)


def _steady(covariances: Tensor, centred: Tensor, count: float) -> Tensor:
    """Shrink a covariance that was measured on fewer than five images per feature."""
    return shrunk(covariances, centred) if count < 5 * len(covariances) else covariances


def dumps(reference: Reference) -> bytes:
    """Return a reference as the bytes of a .safetensors file."""
    tensors = {f"moments.{name}": value for name, value in reference.moments.items()}
    for name, half in (("fit", reference.fit), ("calibration", reference.calibration)):
        tensors |= {f"{name}.{part}": value for part, value in vars(half.seen).items()}
        tensors[f"{name}.labels"] = half.labels
    whole = {name: value.contiguous() for name, value in tensors.items()}
    return save(whole, {"reference": json.dumps(reference.about)})


def load(path: Path, name: str) -> Reference:
    """Read a reference.

    Args:
        path: The file.
        name: Name that sentences begin with.

    Raises:
        InputError: When the file is no reference.
    """
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("reference", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        fine = about.get("format") == FORMAT and isinstance(about.get("model"), str)
        demand(fine and isinstance(about.get("preprocessing"), dict))
        fit, calibration = (_half(tensors, part) for part in ("fit", "calibration"))
        moments = {
            key.removeprefix("moments."): value
            for key, value in tensors.items()
            if key.startswith("moments.")
        }
        demand(fit.seen.widths == calibration.seen.widths)
        check(moments, *fit.seen.widths)
    except (SafetensorError, OSError, ValueError, LookupError, AttributeError, TypeError):
        raise _damaged(name) from None
    except RecursionError:  # JSON that only nests
        raise _damaged(name) from None
    return Reference(fit, calibration, moments, about)


def _damaged(name: str) -> InputError:
    return InputError(
        f"{name} is no reference of Oversure, or it is damaged; build one from a folder."
    )


def _half(tensors: Mapping[str, Tensor], part: str) -> Half:
    """Read one half; every image must have a row of everything.

    Raises:
        ValueError: When it has not.
    """
    own = {name: tensors[f"{part}.{name}"] for name in (*PARTS, "labels")}
    labels = own.pop("labels")
    seen, count, classes = Features(**own), len(own["logits"]), own["logits"].shape[1]
    demand(all(one.ndim == 2 and len(one) == count for name, one in own.items() if name != NORMS))
    demand(own[NORMS].ndim == 1 and len(own[NORMS]) in (0, count))
    demand(all(one.is_floating_point() for one in own.values()))
    demand(labels.dtype == torch.int64 and labels.shape == (count,) and count > 1)
    demand(bool(((labels >= UNKNOWN) & (labels < classes)).all()))
    return Half(seen, labels)


def _whole(parts: list[Half]) -> Half:
    labels = torch.cat([part.labels for part in parts])
    return Half(concatenated([part.seen for part in parts]), labels)


def _settings(classifier: TorchClassifier) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(asdict(classifier.preprocessing)))
    return content
