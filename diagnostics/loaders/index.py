"""The index of known networks: names and shapes of their tensors, made without their weights.

python -m diagnostics.loaders               make it anew (minutes)
python -m diagnostics.loaders --if-stale    only when the libraries' versions differ
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from diagnostics.errors import OptionError
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.presets import PRESETS

FILE = Path(__file__).with_name("index.json.xz")
LIBRARIES = ("timm", "torchvision")
COUNTER = "num_batches_tracked"

# Two builds that differ in these tell which dimension follows which.
CLASSES, CHANNELS = (1000, 7), (3, 1)
CLASS_AXIS, CHANNEL_AXIS = -1, -2

Shape = tuple[int, ...]


@dataclass(frozen=True)
class KnownNetwork:
    """One network of the index.

    Args:
        architecture: Id, "library/name".
        names: Names of its tensors, in their order, counters of BatchNorm left out.
        shapes: Their shapes; `CLASS_AXIS` and `CHANNEL_AXIS` stand for sizes that a person chose.
        channels: Input channels it was published for.
        preprocessing: How it was published to see its images.
    """

    architecture: str
    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    channels: int
    preprocessing: dict[str, Any]

    def preprocessing_for(self, channels: int) -> Preprocessing:
        """Return how it was published to see its images, with so many input channels."""
        lists = {key: tuple(v) for key, v in self.preprocessing.items() if isinstance(v, list)}
        settings = Preprocessing(**{**self.preprocessing, **lists})
        if channels == self.channels:
            return settings
        mean = (sum(settings.mean) / len(settings.mean),) * channels
        std = (sum(settings.std) / len(settings.std),) * channels
        return replace(settings, colour=channels == 3, mean=mean, std=std)


@dataclass(frozen=True)
class Index:
    """All known networks, the versions they were read from, and what could not be read."""

    versions: dict[str, str]
    networks: tuple[KnownNetwork, ...]
    skipped: dict[str, str]


def installed() -> dict[str, str]:
    """Return the installed versions of the libraries that the index describes."""
    return {library: version(library) for library in LIBRARIES}


@cache
def read(path: Path = FILE) -> Index:
    """Read the index from its file, once in a process."""
    content = json.loads(lzma.decompress(path.read_bytes()))
    shapes = [tuple(shape) for shape in content["shapes"]]
    names = [tuple(group) for group in content["names"]]
    networks = tuple(
        KnownNetwork(
            architecture,
            names[name_index],
            tuple(shapes[index] for index in shape_indices),
            channels,
            content["preprocessing"][settings_index],
        )
        for architecture, name_index, shape_indices, channels, settings_index in content["networks"]
    )
    return Index(content["versions"], networks, content["skipped"])


def is_called(architecture: str, name: str) -> bool:
    """Say whether a name is an architecture's id "library/name", or its name alone."""
    return name in (architecture, architecture.partition("/")[2])


def named_preprocessing(name: str, settings: Preprocessing) -> Preprocessing:
    """Return settings with the scaling of a preset, or as a known network was published.

    Args:
        name: Of a preset, or an architecture's id or name, as `oversure load` prints them.
        settings: Give the size of the images, and whether they have colours.

    Raises:
        OptionError: When there is no such name, or it may be several networks.
    """
    if name in PRESETS:
        return PRESETS[name].applied_to(settings)
    called = [known for known in read().networks if is_called(known.architecture, name)]
    if not called:
        presets = ", ".join(sorted(PRESETS))
        raise OptionError(
            f"There is no preset and no known network {name!r}; the presets are {presets}."
        )
    published = {known.preprocessing_for(3 if settings.colour else 1) for known in called}
    if len(published) > 1:
        ids = " or ".join(known.architecture for known in called)
        raise OptionError(f"{name} may be {ids}; write one of them.")
    (preprocessing,) = published
    resize_px = round(preprocessing.resize_px * settings.height / preprocessing.height)
    return replace(
        preprocessing,
        height=settings.height,
        width=settings.width,
        resize_px=max(1, resize_px),
    )


def write(index: Index, path: Path = FILE) -> None:
    """Write the index; equal lists of names, shapes and settings are kept once."""
    names: dict[tuple[str, ...], int] = {}
    shapes: dict[Shape, int] = {}
    settings: dict[str, int] = {}
    networks = []
    for known in index.networks:
        text = json.dumps(known.preprocessing, sort_keys=True)
        networks.append(
            [
                known.architecture,
                names.setdefault(known.names, len(names)),
                [shapes.setdefault(shape, len(shapes)) for shape in known.shapes],
                known.channels,
                settings.setdefault(text, len(settings)),
            ]
        )
    content = {
        "versions": index.versions,
        "skipped": index.skipped,
        "names": list(names),
        "shapes": list(shapes),
        "preprocessing": [json.loads(text) for text in settings],
        "networks": networks,
    }
    path.write_bytes(lzma.compress(json.dumps(content, separators=(",", ":")).encode(), preset=9))


def make() -> Index:
    """Build every network of every library on the meta device and note its tensors."""
    networks, skipped = [], {}
    for architecture in _architectures():
        try:
            networks.append(_known(architecture))
        except Exception as error:
            skipped[architecture] = f"{type(error).__name__}: {str(error)[:120]}"
            print(f"skipped {architecture}: {skipped[architecture]}", file=sys.stderr)
    return Index(installed(), tuple(networks), skipped)


def _architectures() -> Iterator[str]:
    import timm
    import torchvision

    from diagnostics.models.sample_networks import NETWORKS

    yield from (f"oversure/{name}" for name in NETWORKS)
    classifiers = torchvision.models.list_models(module=torchvision.models)
    yield from (f"torchvision/{name}" for name in classifiers)
    yield from (f"timm/{name}" for name in timm.list_models())


def _known(architecture: str) -> KnownNetwork:
    from diagnostics.loaders.building import published

    first = _shapes(architecture, CLASSES[0], None)
    settings = published(architecture)
    channels = settings["channels"]
    other = 1 if channels == 3 else 3
    second = _shapes(architecture, CLASSES[1], other)
    shapes = tuple(_marked(shape, second[name], channels, other) for name, shape in first.items())
    if not any(CLASS_AXIS in shape for shape in shapes):
        raise LookupError("it gives no class scores")
    preprocessing = asdict(Preprocessing(**settings["preprocessing"]))
    return KnownNetwork(architecture, tuple(first), shapes, channels, preprocessing)


def _shapes(architecture: str, classes: int, channels: int | None) -> dict[str, Shape]:
    import torch

    from diagnostics.loaders.building import build, unallocated

    try:
        with unallocated():
            network = build(architecture, classes, channels)
    except RuntimeError:  # it runs itself while it is built, which needs all of it in one place
        with torch.device("meta"):
            network = build(architecture, classes, channels)
    return {
        name: tuple(tensor.shape)
        for name, tensor in network.state_dict().items()
        if not name.endswith(COUNTER)
    }


def _marked(first: Shape, second: Shape, channels: int, other: int) -> Shape:
    """Mark the dimensions that followed the number of classes or of channels."""
    marks = {CLASSES: CLASS_AXIS, (channels, other): CHANNEL_AXIS}
    return tuple(a if a == b else marks.get((a, b), a) for a, b in zip(first, second, strict=True))


def main() -> None:
    """Make the index, or leave it when it fits the installed versions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--if-stale", action="store_true", help="only when versions differ")
    arguments = parser.parse_args()
    if arguments.if_stale and FILE.exists():
        with lzma.open(FILE) as stream:
            head = stream.read(200).decode(errors="ignore")
        if json.dumps(installed(), separators=(",", ":")) in head:
            return
    print("Making the index of known networks; this takes some minutes.")
    write(make())
