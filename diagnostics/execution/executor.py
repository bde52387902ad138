"""Answer requests: open the model, make pixels, call a method, and hold everyone to their promise.

Nobody else loads a model or calls a method.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import PIL.Image
import torch
from cachetools import LRUCache
from numpy.typing import NDArray

from diagnostics.data.image import Decoded, decode, unreadable
from diagnostics.errors import ImageError, NotOfferedError, OptionError
from diagnostics.execution.inspection import InspectionRequest, InspectionResult
from diagnostics.execution.inspection_cache import Inspection, InspectionCache
from diagnostics.execution.progress import ProgressReporter
from diagnostics.loaders import index
from diagnostics.loaders.open import Model, open_model
from diagnostics.loaders.registry import loaders
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import Method, find, methods
from diagnostics.models.activations import count_silent
from diagnostics.models.classifier import TorchClassifier, unchanged
from diagnostics.models.engine import Engine
from diagnostics.models.receptive_field import receptive_field
from diagnostics.models.sample_networks import NETWORKS
from diagnostics.preprocessing.trace import Prepared, prepare
from diagnostics.reference import statistics
from diagnostics.reference.statistics import Reference
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import (
    FIELD,
    INSPECT,
    OPEN,
    OPENING,
    READ,
    File,
    ModelSource,
    Request,
    Result,
)
from diagnostics.schema.results.inspection import (
    FieldAnswer,
    ImageEntry,
    InspectAnswer,
    OpenAnswer,
    ReadAnswer,
    ReadEntry,
)
from diagnostics.schema.runner import ProgressCallback
from diagnostics.schema.spec import ModelSpec, Need, describe

MAX_BATCH = 8  # images of one forward pass: all their activations are in memory together
MAX_REMEMBERED = 4  # models with their known images, of which methods remember what they measured
MEMORY_BYTES = 2 * 2**30
COPIES, VALUE_BYTES = 3, 4
RANKING_IMAGES = 20  # that rank the networks where the tensors cannot tell
DARK_BACKGROUND = tuple(f"oversure/{name}" for name in NETWORKS)  # trained on bright strokes on it
LIBRARIES = ("torch", "torchvision", "timm", "numpy", "pillow")

Opener: TypeAlias = Callable[[ModelSource, Sequence[Decoded]], Model]


class Executor:
    """Holds one open model and answers requests about it.

    Args:
        opener: Opens a model, with images that may rank the networks that fit.
    """

    @staticmethod
    def warm_up() -> Iterator[str]:
        """Do, step by step, what every worker would otherwise do for itself after its start.

        Yields:
            What was done. The zygote takes the first step at once, because every first answer needs
            it, and another whenever nobody asks it for a worker.
        """
        loaders()
        PIL.Image.preinit()
        importlib.import_module("numpy.ma")  # which numpy itself waits with until it is needed
        yield "what opens models and images"
        methods()
        yield "methods"
        for library in ("torchvision", "timm"):
            importlib.import_module(library)
            yield library
        index.read()
        yield "index"

    def __init__(self, opener: Opener = open_model) -> None:
        self._opener = opener
        self._source: ModelSource | None = None
        self._model: Model | None = None
        self._engine: Engine | None = None  # of the open model
        self._prepared: MutableMapping[tuple[str, Preprocessing, bool], Prepared] = LRUCache(
            MAX_BATCH
        )
        self._cache = InspectionCache()
        self._reference: tuple[str, Reference] | None = None  # the last one, and its file's hash
        self._memory: MutableMapping[str, dict[str, Any]] = LRUCache(MAX_REMEMBERED)

    def execute(self, request: Request, on_progress: ProgressCallback | None = None) -> Result:
        """Return the answer to a request.

        Args:
            request: The request.
            on_progress: Called with the progress before each part of the work.

        Raises:
            OversureError: When the request cannot be answered; the text says why.
        """
        progress = ProgressReporter(on_progress)
        if self._engine is not None:
            self._engine.begin()
        with torch.random.fork_rng(devices=()):  # it may be a person's process
            torch.manual_seed(request.seed)
            outcome = self._answer(request, progress)
        versions = dict(_versions())
        engine = self._engine.sentence() if self._engine else ""
        return Result(
            request.key, outcome.arrays, outcome.scores, progress.seconds, versions, engine
        )

    def _answer(self, request: Request, progress: ProgressReporter) -> Outcome[Any]:
        if request.method == OPEN:
            return self._describe_model(request, progress)
        if request.method == FIELD:
            return self._receptive_field(request, progress)
        if request.method == READ:
            return _read(request.images, progress)
        if request.method == INSPECT or find(request.method).info.kind == "map":
            return self._inspect(request, progress)
        return self._analyse(request, progress)

    def _describe_model(self, request: Request, progress: ProgressReporter) -> Outcome[OpenAnswer]:
        progress.report("Reading the images", 0.0)
        images = _readable(request.images[:RANKING_IMAGES])
        spec = self._open(request.model, images, progress).spec
        known = [asdict(method.info) for method in methods()]
        return Outcome(OpenAnswer(model=describe(spec), methods=known))

    def _receptive_field(
        self, request: Request, progress: ProgressReporter
    ) -> Outcome[FieldAnswer]:
        classifier = self._open(request.model, (), progress).classifier(request.preprocessing)
        progress.report("Finding what the cell can see", 0.2)
        with unchanged(classifier.network):
            field = receptive_field(classifier, **request.options)  # type: ignore[arg-type]
        return Outcome(FieldAnswer(field=field))

    def _inspect(self, request: Request, progress: ProgressReporter) -> Outcome[InspectAnswer]:
        """Answer INSPECT, or a method that makes maps; a bad image does not spoil the others."""
        progress.report("Reading the images", 0.0)
        ranking = () if self._is_open(request.model) else request.images[:RANKING_IMAGES]
        model = self._open(request.model, _readable(ranking), progress)
        classifier = self._classifier(model, request)
        settings = InspectionRequest(target=request.target, against=request.against)
        if request.method == INSPECT:
            settings = replace(settings, **request.options)  # type: ignore[arg-type]
        entries: list[ImageEntry] = []
        results: list[InspectionResult] = []
        arrays: dict[str, NDArray[Any]] = {}
        first_image = ""
        count, step = len(request.images), _batch_size(classifier.spec)
        for start in range(0, count, step):
            files = request.images[start : start + step]
            report = progress.part(start / count, len(files) / count)
            prepared = []
            for place, file in enumerate(files):
                report(f"Reading image {start + place + 1} of {count}", 0.5 * place / len(files))
                prepared.append(self._prepare(file, classifier))
            report("Asking the network", 0.5)
            pixels = {
                file.sha256: image.pixels
                for file, image in zip(files, prepared, strict=True)
                if image.pixels is not None
            }
            first_image = first_image or next(iter(pixels), "")
            leader = first_image if settings.shared_maps else ""
            inspection = Inspection(request, classifier, settings, leader, report)
            inspected = self._cache.inspect(inspection, pixels)
            for row, (file, image) in enumerate(zip(files, prepared, strict=True), start):
                result = InspectionResult()
                if file.sha256 in inspected:
                    result = inspected[file.sha256].copy()  # the cache keeps the original
                    results.append(result)
                entries.append(_image_entry(file, image, result))
                arrays |= _image_arrays(f"{row}/", image, result)
        count_silent([result.forward.layers for result in results])
        progress.report("Sending the answer", 0.9)
        return Outcome(InspectAnswer(model=describe(classifier.spec), images=entries), arrays)

    def _analyse(self, request: Request, progress: ProgressReporter) -> Outcome[Any]:
        """Answer a method that looks at many images together."""
        method = find(request.method)
        if method.info.kind == "score":
            raise OptionError(f"{request.method} is asked for with all scores: ood/detect.")
        classifier = self._classifier(self._open(request.model, (), progress), request)
        _demand_offered(method, classifier.spec)
        settings = method.info.check(request.options)  # type: ignore[arg-type]
        described = describe(classifier.spec)

        def partial(make: Callable[[], Outcome[Any]]) -> None:
            progress.partial(lambda: _partial_result(request, make(), described, progress.seconds))

        context = Context(
            classifier,
            files=request.images,
            folder=request.folder,
            ood_folder=request.ood_folder,
            reference=self._load_reference(request.reference, classifier),
            seed=request.seed,
            target=request.target,
            progress=progress.part(0.0, 1.0),
            partial=partial,
            memory=self._remembered(request),
        )
        with unchanged(classifier.network):
            outcome = method.function(context, **settings)
        outcome.check()
        progress.report("Sending the answer", 0.95)
        return Outcome({"model": described, **outcome.scores}, outcome.arrays)

    def _remembered(self, request: Request) -> dict[str, Any]:
        """Return what methods remember of this model, preprocessing and these known images."""
        images = replace(request, method="", images=(), options={}, target=None, against=None)
        return self._memory.setdefault(images.key, {})

    def _is_open(self, source: ModelSource) -> bool:
        """Say whether this very model is open and its network decided."""
        return self._source == source and self._model is not None and bool(self._model.network)

    def _open(
        self, source: ModelSource, images: Sequence[Decoded], progress: ProgressReporter
    ) -> Model:
        """Return the model, opened now unless it is open."""
        if self._model is None or not self._is_open(source):
            progress.report(f"{OPENING} {source.file.name}", 0.1)
            self._model = self._engine = None
            self._model, self._source = self._opener(source, images), source
        return self._model

    def _classifier(self, model: Model, request: Request) -> TorchClassifier:
        """Return the classifier that a request asks, with the open model's engine if it may."""
        classifier = model.classifier(request.preprocessing)
        if request.engine == "auto":
            self._engine = self._engine or classifier.make_engine()
            classifier.engine = self._engine
        return classifier

    def _load_reference(self, file: File | None, classifier: TorchClassifier) -> Reference | None:
        """Return a reference, read once, that was measured with this very classifier."""
        if file is None:
            return None
        if self._reference is None or self._reference[0] != file.sha256:
            self._reference = file.sha256, statistics.load(Path(file.path), file.name)
        self._reference[1].require_match(classifier)
        return self._reference[1]

    def _prepare(self, file: File, classifier: TorchClassifier) -> Prepared:
        """Make an image what the network receives, or take it from those made last."""
        dark = classifier.spec.architecture in DARK_BACKGROUND
        key = (file.sha256, classifier.preprocessing, dark)
        if key in self._prepared:
            return self._prepared[key]
        image = prepare(_decode(file), classifier.preprocessing, dark_background=dark)
        if not image.error:  # a file may come back, and an error names its file
            self._prepared[key] = image
        return image


@cache
def _versions() -> dict[str, str]:
    """Return the versions of the libraries that computed, which are looked for on the disk."""
    return {library: version(library) for library in LIBRARIES}


def _batch_size(spec: ModelSpec) -> int:
    """Return how many images' activations, with copies and gradients, may be in memory at once."""
    values = sum(math.prod(layer.shape) for layer in spec.layers)
    return max(1, min(MAX_BATCH, MEMORY_BYTES // (COPIES * VALUE_BYTES * values + 1)))


def _demand_offered(method: Method, spec: ModelSpec) -> None:
    """Refuse a method that needs what the model does not offer.

    Raises:
        NotOfferedError: With the reason, as far as it is known.
    """
    missing = [need for need in method.info.needs if need not in spec.offers]
    if missing:
        why = spec.why_not(Need(missing[0]))
        raise NotOfferedError(f"{method.info.title} cannot be had of this model. {why}")


def _partial_result(request: Request, outcome: Outcome[Any], model: Any, seconds: float) -> Result:
    """Return the result of work that is not done."""
    outcome.check()
    return Result(request.key, outcome.arrays, {"model": model, **outcome.scores}, seconds, {})


def _read(files: Sequence[File], progress: ProgressReporter) -> Outcome[ReadAnswer]:
    """Say of each image why it cannot be read, without a model."""
    entries = []
    for place, file in enumerate(files):
        progress.report(f"Reading image {place + 1} of {len(files)}", place / len(files))
        image = _decode(file)
        error = image.message if isinstance(image, ImageError) else None
        entries.append(ReadEntry(file=file.name, sha256=file.sha256, error=error))
    return Outcome(ReadAnswer(images=entries))


def _readable(files: Sequence[File]) -> list[Decoded]:
    """Return the decoded images, those left out that cannot be read."""
    return [image for image in map(_decode, files) if isinstance(image, Decoded)]


def _decode(file: File) -> Decoded | ImageError:
    try:
        return decode(Path(file.path).read_bytes(), file.name)
    except ImageError as error:
        return error
    except OSError as error:
        return unreadable(file.name, error)


def _image_entry(file: File, image: Prepared, result: InspectionResult) -> ImageEntry:
    forward, attributions = result.forward, result.attributions
    return ImageEntry(
        file=file.name,
        sha256=file.sha256,
        error=image.error or None,
        warnings=[*image.warnings, *forward.warnings],
        preprocessing=deepcopy(image.stages),
        top=forward.top,
        margin=forward.margin,
        target=attributions.target,
        layers=[layer.entry for layer in forward.layers],
        attributions=attributions.entries,
    )


def _image_arrays(
    prefix: str, image: Prepared, result: InspectionResult
) -> dict[str, NDArray[Any]]:
    """Return one image's arrays, their names behind the prefix."""
    stages = {name: values.copy() for name, values in image.pictures.items()}  # we keep ours
    named = {**stages, **result.forward.arrays, **result.attributions.arrays}
    return {prefix + name: values for name, values in named.items()}
