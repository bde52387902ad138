"""What a method gets that looks at many images, and what it returns."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.data.folder import UNKNOWN, Entry, Folder
from diagnostics.data.image import Decoded, decode, unreadable
from diagnostics.errors import InputError
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.features import Features, batch_size, concatenate, extract_features
from diagnostics.preprocessing.pipeline import Pipeline
from diagnostics.reference.statistics import Reference
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import File
from diagnostics.schema.results.ood import ReferenceSource
from diagnostics.text import counted

ReportProgress: TypeAlias = Callable[[str, float], None]
Processed = TypeVar("Processed")
Answer = TypeVar("Answer", bound=Mapping[str, Any])

AHEAD = 3  # batches whose images are decoded before the network needs them
DECODERS = 2
PART_BYTES = 32 * 2**20  # of a file; the wire takes no larger array than twice that


@dataclass(frozen=True)
class Outcome(Generic[Answer]):
    """What a method returns.

    Args:
        scores: The answer as JSON, the TypedDict of its topic in `diagnostics.schema.results`.
        arrays: Named arrays.
    """

    scores: Answer
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    def check(self) -> None:
        """Hold a method to giving what crosses a process border.

        Raises:
            ValueError: When it is no JSON, or holds a number that is not finite.
        """
        json.dumps(self.scores, allow_nan=False)


def report_passes(report: ReportProgress, activity: str, total: int) -> Callable[[int], None]:
    """Return what is called with the number of images of each pass, and reports the share done.

    Args:
        report: Called with the activity and the share, 0 to 1.
        activity: What is being done.
        total: How many images there will be in all passes.
    """
    done = 0

    def count(images: int) -> None:
        nonlocal done
        done += images
        report(activity, min(done / total, 1.0))

    return count


ReportPartial: TypeAlias = Callable[[Callable[[], Outcome[Any]]], None]


def split_file(content: bytes) -> dict[str, NDArray[np.uint8]]:
    """Return a file as the arrays "file/0", "file/1" and so on."""
    values = np.frombuffer(content, np.uint8)
    starts = range(0, len(values), PART_BYTES)
    return {
        f"file/{index}": values[start : start + PART_BYTES] for index, start in enumerate(starts)
    }


@dataclass(frozen=True)
class Sample:
    """One image on its way to the network: its name, its label, and how its bytes are read."""

    name: str
    label: int
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Batch:
    """Images that go through the network together.

    Args:
        names: One per image.
        labels: Index of each image's class, `UNKNOWN` where it has none; shape (n,).
        pixels: Shape (n, c, h, w), values in [0, 1].
    """

    names: tuple[str, ...]
    labels: Tensor
    pixels: Tensor


class Context:
    """The classifier, the images and the settings that a method works with.

    Args:
        classifier: The classifier, with the preprocessing in force.
        files: Single images.
        folder: Many images, or None.
        ood_folder: Images that belong to no class, or None.
        reference: Statistics of known-good images, or None.
        seed: Seed of everything random.
        target: Index of the target class; None means each image's top class.
        progress: Called with what is being done, and which share of it is done, 0 to 1.
        memory: What was measured of this classifier on these images once, by name; it outlives
            the question.
        partial: Called with a function that makes the outcome as it would be if the work ended
            now; call it as often as you like, the listener decides how often it is made.
    """

    def __init__(
        self,
        classifier: TorchClassifier,
        *,
        files: Sequence[File] = (),
        folder: File | None = None,
        ood_folder: File | None = None,
        reference: Reference | None = None,
        seed: int = 0,
        target: int | None = None,
        progress: ReportProgress = lambda activity, done: None,
        partial: ReportPartial = lambda make: None,
        memory: dict[str, Any] | None = None,
    ) -> None:
        self.classifier, self.files, self.seed, self.progress = classifier, files, seed, progress
        self.reference, self.target, self.partial = reference, target, partial
        self.memory: dict[str, Any] = {} if memory is None else memory
        self._folder, self._ood_folder = folder, ood_folder
        self.notes: list[str] = []
        self._left_out: list[str] = []

    @property
    def preprocessing(self) -> Preprocessing:
        """How images become pixels."""
        return self.classifier.preprocessing

    def samples(self) -> list[Sample]:
        """Return the single images; they have no labels."""
        return [Sample(file.name, UNKNOWN, Path(file.path).read_bytes) for file in self.files]

    def in_distribution(self) -> list[Sample]:
        """Return the images of the folder, with the labels that it gives them.

        Raises:
            InputError: When no folder was given.
        """
        if self._folder is None:
            raise InputError("This needs a folder of known-good images; add one.")
        return self._labelled(self._folder)

    def out_of_distribution(self) -> list[Sample]:
        """Return the images of the folder of strangers; they have no labels.

        Raises:
            InputError: When no such folder was given.
        """
        if self._ood_folder is None:
            raise InputError("This needs a folder of images that belong to none of the classes.")
        folder = Folder(Path(self._ood_folder.path))
        self.notes += folder.notes
        return [Sample(entry.name, UNKNOWN, _reader(folder, entry)) for entry in folder.entries]

    @property
    def has_in_distribution(self) -> bool:
        """Whether a folder of known-good images was given."""
        return self._folder is not None

    @property
    def has_out_of_distribution(self) -> bool:
        """Whether a folder of strangers was given."""
        return self._ood_folder is not None

    def source(self) -> ReferenceSource:
        """Return which folder the in-distribution images are of."""
        if self._folder is None:
            return {"folder": None}
        return {"folder": {"name": self._folder.name, "sha256": self._folder.sha256}}

    def shuffled(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return samples in a random order that the seed alone decides."""
        order = np.random.default_rng(self.seed).permutation(len(samples))
        return [samples[index] for index in order]

    def decoded(self, samples: Iterable[Sample]) -> Iterator[tuple[Sample, Decoded]]:
        """Decode samples, some ahead; those that cannot be read are left out and noted."""
        return self._processed(samples, lambda image: image)

    def batches(
        self, samples: Sequence[Sample], activity: str = "", *, distinct: bool = False
    ) -> Iterator[Batch]:
        """Make samples what the network receives, as many at a time as go through it at once.

        Args:
            samples: In their order.
            activity: What is reported as being done; empty reports nothing.
            distinct: Leave out a sample whose bytes came before.
        """
        pipeline = Pipeline(self.preprocessing)
        processed = self._processed(samples, pipeline.run, distinct=distinct)
        done = 0
        while part := list(islice(processed, batch_size(self.classifier))):
            if activity:
                self.progress(activity, done / max(len(samples), 1))
            done += len(part)
            pixels = torch.from_numpy(np.stack([pixels for _, pixels in part]))
            yield Batch(
                tuple(sample.name for sample, _ in part),
                torch.tensor([sample.label for sample, _ in part]),
                pixels.to(self.classifier.device),
            )

    def features(
        self, samples: Sequence[Sample], activity: str
    ) -> tuple[tuple[str, ...], Tensor, Features]:
        """Return names, labels and features of every sample that can be read.

        Raises:
            InputError: When there is none.
        """
        names: list[str] = []
        labels, parts = [], []
        for batch in self.batches(samples, activity):
            names += batch.names
            labels.append(batch.labels)
            parts.append(extract_features(self.classifier, batch.pixels))
        if not parts:
            raise InputError(f"No image could be read. {''.join(self._left_out[:1])}".strip())
        return tuple(names), torch.cat(labels), concatenate(parts)

    def remarks(self) -> list[str]:
        """Return what should be known of the images, a sentence each."""
        remarks = list(dict.fromkeys(self.notes))
        if self._left_out:
            left_out = counted(len(self._left_out), "image")
            remarks.append(f"{left_out} left out; the first: {self._left_out[0]}")
        return remarks

    def _labelled(self, file: File) -> list[Sample]:
        folder = Folder(Path(file.path))
        labels = folder.labels(self.classifier.spec.class_names)
        self.notes += [*folder.notes, *labels.notes]
        return [
            Sample(entry.name, UNKNOWN if label is None else label, _reader(folder, entry))
            for entry, label in zip(folder.entries, labels.indices, strict=True)
        ]

    def _processed(
        self,
        samples: Iterable[Sample],
        process: Callable[[Decoded], Processed],
        *,
        distinct: bool = False,
    ) -> Iterator[tuple[Sample, Processed]]:
        """Read samples one after the other, and decode and process them a few ahead."""
        waiting: deque[tuple[Sample, Future[Processed]]] = deque()
        digests: set[bytes] = set()
        with ThreadPoolExecutor(DECODERS) as threads:
            for sample in samples:
                content = self._read(sample, digests if distinct else None)
                if content is not None:
                    future = threads.submit(_process, sample, content, process)
                    waiting.append((sample, future))
                while len(waiting) > AHEAD * DECODERS:
                    yield from self._next(waiting)
            while waiting:
                yield from self._next(waiting)

    def _next(
        self, waiting: deque[tuple[Sample, Future[Processed]]]
    ) -> Iterator[tuple[Sample, Processed]]:
        sample, future = waiting.popleft()
        try:
            yield sample, future.result()
        except InputError as error:
            self._left_out.append(error.message)

    def _read(self, sample: Sample, digests: set[bytes] | None) -> bytes | None:
        """Return a sample's bytes; None, and a note, where there are none or they came before."""
        try:
            content = sample.read()
        except InputError as error:
            self._left_out.append(error.message)
            return None
        except OSError as error:
            self._left_out.append(unreadable(sample.name, error).message)
            return None
        if digests is not None:
            digest = hashlib.sha256(content).digest()
            if digest in digests:
                self._left_out.append(f"{sample.name} has the same bytes as one before it.")
                return None
            digests.add(digest)
        return content


def _process(sample: Sample, content: bytes, process: Callable[[Decoded], Processed]) -> Processed:
    return process(decode(content, sample.name))


def _reader(folder: Folder, entry: Entry) -> Callable[[], bytes]:
    return lambda: folder.read(entry)
