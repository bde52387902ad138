"""Answer requests: open the model, make pixels, call a method, and hold everyone to their promise.

Nobody else loads a model or calls a method.
"""

from __future__ import annotations

import importlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray

from diagnostics.data.image import Decoded, decode
from diagnostics.errors import ImageError, NotOfferedError, OptionError
from diagnostics.execution._remembered import copied
from diagnostics.execution.findings import InspectionRequest, InspectionResult
from diagnostics.execution.inspection_cache import InspectionCache, unchanged
from diagnostics.execution.progress import ProgressReporter
from diagnostics.loaders import index
from diagnostics.loaders.open import Model, open_model
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import find, methods
from diagnostics.models.activations import count_silent
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.receptive_field import receptive_field
from diagnostics.models.sample_networks import NETWORKS
from diagnostics.preprocessing.trace import Prepared, prepare
from diagnostics.reference import statistics
from diagnostics.reference.statistics import Reference
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import FIELD, INSPECT, OPEN, File, ModelSource, Request, Result
from diagnostics.schema.runner import ProgressCallback
from diagnostics.schema.spec import ModelSpec, Need, describe

BATCH = 8  # most images of one forward pass: all their activations are in memory together
MEMORY = 2 * 2**30
COPIES, BYTES = 3, 4
RANKING = 20  # images that rank the networks where the tensors cannot tell
BRIGHT_STROKES = tuple(f"oversure/{name}" for name in NETWORKS)
LIBRARIES = ("torch", "torchvision", "timm", "numpy", "pillow")


Opener: TypeAlias = Callable[[ModelSource, Sequence[Decoded]], Model]


class Executor:
    """Holds one open model and answers requests about it.

    Args:
        opener: Opens a model, with images at hand.
    """

    @staticmethod
    def warm_up() -> Iterator[str]:
        """Do, step by step, what every worker would otherwise do for itself after its start.

        Yields:
            What was done. The zygote takes a step whenever nobody asks it for a worker.
        """
        methods()
        yield "methods"
        for library in ("torchvision", "timm"):
            importlib.import_module(library)
            yield library
        index.read()
        yield "index"

    def __init__(self, opener: Opener = open_model) -> None:
        self._open_model = opener
        self._source: ModelSource | None = None
        self._model: Model | None = None
        self._prepared: OrderedDict[tuple[str, Preprocessing, bool], Prepared] = OrderedDict()
        self._answering = InspectionCache()
        self._known: tuple[str, Reference] | None = None  # by the hash of its file

    def execute(self, request: Request, watch: ProgressCallback | None = None) -> Result:
        """Return the answer to a request.

        Args:
            request: What is asked.
            watch: Called with the progress before each part of the work.

        Raises:
            OversureError: When the request cannot be answered; the text says why.
        """
        clock = ProgressReporter(watch)
        arrays: dict[str, NDArray[Any]] = {}
        if request.method == OPEN:
            scores = self._open(request, clock)
        elif request.method == FIELD:
            scores = self._field(request, clock)
        else:
            with torch.random.fork_rng(devices=()):  # it may be somebody's own process
                torch.manual_seed(request.seed)
                answer = self._look if _looks(request.method) else self._study
                scores = answer(request, clock, arrays)
        versions = {library: version(library) for library in LIBRARIES}
        return Result(request.key, arrays, scores, clock.seconds, versions)

    def _open(self, request: Request, clock: ProgressReporter) -> dict[str, Any]:
        clock.report("Reading the images", 0.0)
        decoded = map(_decode, request.images[:RANKING])
        images = [image for image in decoded if isinstance(image, Decoded)]
        spec = self._opened(request.model, images, clock).spec
        return {"model": describe(spec), "methods": [asdict(known.info) for known in methods()]}

    def _field(self, request: Request, clock: ProgressReporter) -> dict[str, Any]:
        classifier = self._opened(request.model, (), clock).classifier(request.preprocessing)
        clock.report("Finding what the cell can see", 0.2)
        with unchanged(classifier.network):
            field = receptive_field(classifier, **request.options)  # type: ignore[arg-type]
        return {"field": field and asdict(field)}

    def _holds(self, source: ModelSource) -> bool:
        """Say whether this very model is open and its network decided."""
        return self._source == source and self._model is not None and bool(self._model.network)

    def _opened(
        self, source: ModelSource, images: Sequence[Decoded], clock: ProgressReporter
    ) -> Model:
        if self._model is None or not self._holds(source):
            clock.report(f"Opening {source.file.name}", 0.1)
            self._model = None
            self._model, self._source = self._open_model(source, images), source
        return self._model

    def _look(
        self, request: Request, clock: ProgressReporter, arrays: dict[str, NDArray[Any]]
    ) -> dict[str, Any]:
        """Answer INSPECT or a method's request; a bad image does not spoil the others."""
        clock.report("Reading the images", 0.0)
        ranking = () if self._holds(request.model) else request.images[:RANKING]
        readable = [image for image in map(_decode, ranking) if isinstance(image, Decoded)]
        classifier = self._opened(request.model, readable, clock).classifier(request.preprocessing)
        entries: list[dict[str, Any]] = []
        seen: list[InspectionResult] = []
        leader = ""
        batch = _at_once(classifier.spec)
        wanted = InspectionRequest(target=request.target, against=request.against)
        if request.method == INSPECT:
            wanted = replace(wanted, **request.options)  # type: ignore[arg-type]
        for start in range(0, len(request.images), batch):
            files = request.images[start : start + batch]
            part = clock.part(start / len(request.images), len(files) / len(request.images))
            part("Making what the network receives", 0.0)
            prepared = [self._prepare(file, classifier) for file in files]
            part("Asking the network", 0.1)
            good = {
                file.sha256: made.pixels
                for file, made in zip(files, prepared, strict=True)
                if made.pixels is not None
            }
            leader = leader or next(iter(good), "")
            answers = self._answering.about(request, classifier, good, wanted, leader, part)
            for row, (file, made) in enumerate(zip(files, prepared, strict=True), start):
                answer = InspectionResult()
                if file.sha256 in answers:
                    answer = copied(answers[file.sha256])  # ours is asked for again
                    seen.append(answer)
                entries.append(_entry(file, made, answer, f"{row}/", arrays))
        count_silent([one.layers for one in seen])
        clock.report("Sending the answer", 0.9)
        return {"model": describe(classifier.spec), "images": entries}

    def _study(
        self, request: Request, clock: ProgressReporter, arrays: dict[str, NDArray[Any]]
    ) -> dict[str, Any]:
        """Answer a method that looks at many images at once."""
        method = find(request.method)
        if method.info.kind == "score":
            raise OptionError(f"{request.method} is asked for with all scores: ood/detect.")
        classifier = self._opened(request.model, (), clock).classifier(request.preprocessing)
        missing = [need for need in method.info.needs if need not in classifier.spec.offers]
        if missing:
            why = classifier.spec.why_not(Need(missing[0]))
            raise NotOfferedError(f"{method.info.title} cannot be had of this model. {why}")
        settings = method.info.check(request.options)  # type: ignore[arg-type]
        context = Context(
            classifier,
            files=request.images,
            folder=request.folder,
            ood_folder=request.ood_folder,
            reference=self._reference(request.reference, classifier),
            seed=request.seed,
            target=request.target,
            progress=clock.part(0.0, 1.0),
            partial=lambda make: clock.partial(_partial(request, classifier.spec, make, clock)),
        )
        with unchanged(classifier.network):
            outcome = method.function(context, **settings)
        outcome.check()
        clock.report("Sending the answer", 0.95)
        arrays |= outcome.arrays
        return {"model": describe(classifier.spec), **outcome.scores}

    def _reference(self, file: File | None, classifier: TorchClassifier) -> Reference | None:
        """Return a reference, read once, that was measured with this very classifier."""
        if file is None:
            return None
        if self._known is None or self._known[0] != file.sha256:
            self._known = file.sha256, statistics.load(Path(file.path), file.name)
        self._known[1].require_match(classifier)
        return self._known[1]

    def _prepare(self, file: File, classifier: TorchClassifier) -> Prepared:
        """Make an image what the network receives, or take it from those made last."""
        strokes = classifier.spec.architecture in BRIGHT_STROKES
        key = (file.sha256, classifier.preprocessing, strokes)
        made = self._prepared.pop(key, None) or prepare(
            _decode(file), classifier.preprocessing, dark_background=strokes
        )
        if not made.error:  # a file may come back, and an error names its file
            self._prepared[key] = made
        while len(self._prepared) > BATCH:
            self._prepared.popitem(last=False)
        return made


def _partial(
    request: Request, spec: ModelSpec, make: Callable[[], Outcome[Any]], clock: ProgressReporter
) -> Callable[[], Result]:
    """Return what makes a result of work that is not done."""

    def result() -> Result:
        outcome = make()
        outcome.check()
        scores = {"model": describe(spec), **outcome.scores}
        return Result(request.key, outcome.arrays, scores, clock.seconds, {})

    return result


def _looks(method: str) -> bool:
    """Say whether a request is about each image by itself."""
    return method == INSPECT or find(method).info.kind == "map"


def _at_once(spec: ModelSpec) -> int:
    """Return how many images' activations, with copies and gradients, may be in memory at once."""
    values = sum(math.prod(layer.shape) for layer in spec.layers)
    return max(1, min(BATCH, MEMORY // (COPIES * BYTES * values + 1)))


def _decode(file: File) -> Decoded | ImageError:
    try:
        return decode(Path(file.path).read_bytes(), file.name)
    except ImageError as error:
        return error
    except OSError:
        return ImageError(f"{file.name} is no longer there; add it again.")


def _entry(
    file: File,
    made: Prepared,
    answer: InspectionResult,
    prefix: str,
    arrays: dict[str, NDArray[Any]],
) -> dict[str, Any]:
    """Return one image's part of the JSON schema, its arrays added under the prefix."""
    pictures = {name: values.copy() for name, values in made.pictures.items()}  # we keep ours
    for name, values in {**pictures, **answer.arrays}.items():
        arrays[prefix + name] = values
    said = {"top": [], "margin": None, "layers": [], "attributions": [], **answer.scores}
    return {
        "file": file.name,
        "sha256": file.sha256,
        "error": made.error or None,
        "preprocessing": deepcopy(made.stages),
        **said,
        "warnings": [*made.warnings, *said.get("warnings", [])],
    }
