"""What a verdict takes, beside as many bare passes as it says that it took."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path

import torch

from diagnostics.data import samples
from diagnostics.data.folder import UNKNOWN
from diagnostics.loaders.open import open_model
from diagnostics.methods.context import Context, Sample
from diagnostics.methods.diagnosis.why import why
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.request import ModelSource
from diagnostics.schema.results.diagnosis import WhyAnswer
from tests.benchmarks import bare
from tests.benchmarks.figure import Figure
from tests.benchmarks.networks import LITE, Timed, efficientnet_lite0, letters
from tests.benchmarks.timing import beside, in_turn, seconds_of

LIMIT, WITHIN, LETTERS_SECONDS, PHOTO_SECONDS = 1.2, 1.25, 1.0, 8.0
LITE0 = "timm/tf_efficientnet_lite0"


class _Photos(Context):
    """foolbox's photographs, whose names end in their class, and one more that they lack."""

    def __init__(self, timed: Timed, memory: dict[str, object]) -> None:
        settings = open_model(
            ModelSource(samples.file_at(_weights()), LITE0), ()
        ).spec.preprocessing
        spec = replace(timed.classifier.spec, preprocessing=settings)
        super().__init__(TorchClassifier(timed.classifier.network, spec, settings), memory=memory)
        paths = sorted(
            Path(str(distribution("foolbox").locate_file("foolbox/data"))).glob("imagenet_*")
        )
        self._good = [
            Sample(one.name, int(one.stem.split("_")[-1]), one.read_bytes) for one in paths
        ]
        coffee = Path(str(distribution("scikit-image").locate_file("skimage/data/coffee.png")))
        self._image = Sample(coffee.name, UNKNOWN, coffee.read_bytes)

    @property
    def has_in_distribution(self) -> bool:
        """Whether there are good images: always."""
        return True

    def in_distribution(self) -> list[Sample]:
        """Return the good images."""
        return self._good

    def samples(self) -> list[Sample]:
        """Return the image that is asked about."""
        return [self._image]


def _weights() -> Path:
    return Path(str(distribution(LITE[0]).locate_file(LITE[1])))


def figures() -> Iterator[Figure]:
    """Yield a card's time on the sample letters and on a network for photographs."""
    yield from _letters()
    yield from _photos()


def _letters() -> Iterator[Figure]:
    """Yield the first card of the sample model with its folder of good images, and later ones."""
    timed = letters()
    model = samples.model_files()["letters_conv"]
    good, probe = samples.known_good(model), samples.image_files()["letter-x-fuzzy"]
    classifier = open_model(ModelSource(model), ()).classifier()
    memory: dict[str, object] = {}

    def ask() -> WhyAnswer:
        return why(Context(classifier, files=[probe], folder=good, memory=memory)).scores

    first = seconds_of(ask)
    yield Figure("the first card of letters, with what is measured of the model once", first, "s")
    yield from _later(timed, ask, LETTERS_SECONDS)


def _photos() -> Iterator[Figure]:
    timed = efficientnet_lite0()
    memory: dict[str, object] = {}
    context = _Photos(timed, memory)

    def ask(*, closer: bool = False) -> WhyAnswer:
        return why(context, closer=closer).scores

    first = seconds_of(ask)
    title = f"the first card on {timed.name}, with what is measured of the model once"
    yield Figure(title, first, "s")
    yield from _later(timed, ask, PHOTO_SECONDS)
    stated = ask()["closer"]
    if stated is not None:
        taken = seconds_of(lambda: ask(closer=True))
        ratio = max(taken / stated["seconds"], stated["seconds"] / taken)
        title = (
            f"what looking closer took on {timed.name} and what it said, the larger over the other"
        )
        yield Figure(title, ratio, "x", limit=WITHIN)


def _later(timed: Timed, ask: object, limit: float) -> Iterator[Figure]:
    assert callable(ask)
    passes = ask()["passes"]
    forward = bare.best_forward(timed.network, timed.shape)
    ours, theirs = in_turn(ask, lambda: forward.run(passes))
    threads = torch.get_num_threads()
    yield beside(
        f"a card on {timed.name}, beside its {passes} bare passes",
        ours,
        theirs,
        limit=LIMIT,
        engine=timed.engine,
        threads=threads,
    )
    median = sorted(ours)[len(ours) // 2]
    yield Figure(f"a card on {timed.name}", median, "s", limit=limit, n=len(ours), threads=threads)
