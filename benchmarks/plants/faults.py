"""Plants in a healthy network: its head, its statistics, its output, its names, its settings."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.plants.grounds import KNOWN, Ground, Trainer
from benchmarks.plants.plant import (
    Plant,
    accuracy,
    demand,
    files,
    labels_of,
    listed,
    probabilities,
)
from diagnostics.data.folder import UNKNOWN
from diagnostics.methods.context import Sample
from diagnostics.models.batchnorm import batchnorm_layers
from diagnostics.models.classifier import TorchClassifier
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.spec import Output
from tests.benchmarks.preprocessing import plants as settings
from tests.benchmarks.preprocessing.worlds import classifier_of

PROBES = 3
VISIBLE = 0.10  # of accuracy that a fault costs at least
MOVED = 0.3  # of the usual image's p, where it costs no accuracy
VISIBLE_HEAD = 0.03

Change = Callable[[nn.Module], None]


def faulty(
    name: str,
    trainer: Trainer,
    ground: Ground,
    break_: Callable[[TorchClassifier], TorchClassifier],
    truth: tuple[str, ...],
    visible: float = VISIBLE,
) -> Plant:
    """Return a healthy network with a fault.

    Args:
        name: Of the fault.
        trainer: Trains the network.
        ground: What it stands on.
        break_: Returns the classifier with the fault.
        truth: The causes that are right.
        visible: What it costs at least, of accuracy.
    """
    twin = trainer.healthy(ground)
    classifier = break_(twin)
    drawings, labels = ground.held_out()
    pictures = [one.picture for one in drawings]
    labelled = files(pictures[:KNOWN], labels[:KNOWN])
    others = files(pictures[KNOWN : KNOWN + 250], labels[KNOWN : KNOWN + 250])
    probes = _worst(classifier, twin, others)
    outputs = probabilities(classifier, probes).shape[1]
    known = [
        one if one.label < outputs else replace(one, label=UNKNOWN) for one in labelled
    ]  # as a folder is read whose classes the model does not know

    def prove() -> str:
        right, healthy = accuracy(classifier, labelled), accuracy(twin, labelled)
        shift = abs(_usual(classifier, labelled) - _usual(twin, labelled))
        p, p_twin = (probabilities(one, probes).max(1) for one in (classifier, twin))
        return demand(
            healthy >= 0.8 and (healthy - right >= visible or shift >= MOVED),
            f"{right:.0%} right, {healthy:.0%} without; the usual p differs by {shift:.2f}; "
            f"p {listed(p)}, without {listed(p_twin)}",
        )

    return Plant(f"{name}: {ground.name}", classifier, known, probes, truth, prove, None, twin)


def _usual(classifier: TorchClassifier, samples: list[Sample]) -> float:
    return float(np.median(probabilities(classifier, samples).max(1)))


def _worst(
    classifier: TorchClassifier, twin: TorchClassifier, samples: list[Sample]
) -> list[Sample]:
    """Return images whose wrong answers are surest, then those whose p changes most."""
    p, p_twin = probabilities(classifier, samples), probabilities(twin, samples)
    labels = labels_of(samples)
    rows = np.arange(len(samples))
    healed = (p_twin.argmax(1) == labels) & (p.argmax(1) != labels)
    if p.shape[1] != p_twin.shape[1]:
        return samples[:PROBES]
    worth = p.max(1) * healed + np.abs(p - p_twin).max(1) * (p_twin.argmax(1) == labels)
    return [samples[row] for row in rows[np.argsort(-worth, kind="stable")][:PROBES]]


def with_settings(
    change: Callable[[Preprocessing], Preprocessing],
) -> Callable[[TorchClassifier], TorchClassifier]:
    """Return what sets another preprocessing, as a user would who knows no better."""
    return lambda one: settings.with_settings(one, change(one.preprocessing))


def rebuilt(change: Change) -> Callable[[TorchClassifier], TorchClassifier]:
    """Return what changes a copy of the network."""
    return lambda one: settings.rebuilt(one, change)


def doubled(preprocessing: Preprocessing) -> Preprocessing:
    """Feed 0 to 2 instead of 0 to 1, which half of the mean and of the std does as well."""
    mean, std = preprocessing.mean, preprocessing.std
    half = tuple(value / 2 for value in mean)
    return replace(preprocessing, mean=half, std=tuple(value / 2 for value in std))


def raw(preprocessing: Preprocessing) -> Preprocessing:
    """Feed 0 to 255 instead of 0 to 1, with mean and std as they were."""
    return replace(preprocessing, value_range=255)


def divided_twice(preprocessing: Preprocessing) -> Preprocessing:
    """Feed 0 to 1/255, with mean and std as they were."""
    return settings.twice(preprocessing)


def not_normalised(preprocessing: Preprocessing) -> Preprocessing:
    """Leave mean and std out."""
    return settings.plain(preprocessing)


def inverted(preprocessing: Preprocessing) -> Preprocessing:
    """Exchange black and white."""
    return replace(preprocessing, invert=True)


def bgr(preprocessing: Preprocessing) -> Preprocessing:
    """Exchange red and blue."""
    return replace(preprocessing, bgr=True)


def stretched(preprocessing: Preprocessing) -> Preprocessing:
    """Stretch the whole picture instead of cropping it."""
    return replace(preprocessing, fit="stretch")


def letterboxed(preprocessing: Preprocessing) -> Preprocessing:
    """Show the whole picture with bars instead of cropping it."""
    return replace(preprocessing, fit="letterbox")


def exchanged(preprocessing: Preprocessing) -> Preprocessing:
    """Take the mean for the std, and the std for the mean."""
    return replace(preprocessing, mean=preprocessing.std, std=preprocessing.mean)


def head_bias(index: int, size: float) -> Change:
    """Add to the bias of one class."""
    return lambda network: _add(network, index, size)


def _add(network: nn.Module, index: int, size: float) -> None:
    settings.last(network).bias[index] += size


def sharpened(factor: float) -> Change:
    """Multiply every logit."""

    def change(network: nn.Module) -> None:
        head = settings.last(network)
        head.weight.mul_(factor)
        head.bias.mul_(factor)

    return change


def forgotten(network: nn.Module) -> None:
    """Set the running statistics back to what they are before training."""
    for layer in batchnorm_layers(network):
        layer.mean.zero_()
        layer.variance.fill_(1)


def shaken(network: nn.Module) -> None:
    """Multiply running variances and move running means at random."""
    generator = torch.Generator().manual_seed(5)
    for layer in batchnorm_layers(network):
        noise = torch.randn(2, len(layer.mean), generator=generator)
        layer.variance.mul_((1.2 * noise[0]).exp())
        layer.mean.add_(noise[1] * layer.variance.sqrt())


def fresh(seed: int) -> Change:
    """Give every layer weights as before training."""

    def change(network: nn.Module) -> None:
        torch.manual_seed(seed)
        for module in network.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()

    return change


def deaf(network: nn.Module) -> None:
    """Take away all that the last layer hears."""
    settings.last(network).weight.zero_()


class Ending(nn.Module):
    """A network, and what somebody put after it."""

    def __init__(self, network: nn.Module, *after: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.after = nn.Sequential(*after)

    def forward(self, values: Tensor) -> Tensor:
        """Return the scores."""
        scores: Tensor = self.after(self.network(values))
        return scores


def softmax_twice(output: Output, times: int) -> Callable[[TorchClassifier], TorchClassifier]:
    """Put softmaxes after a network, and say of what leaves it that it is something else."""

    def break_(one: TorchClassifier) -> TorchClassifier:
        network = Ending(deepcopy(one.network), *(nn.Softmax(1) for _ in range(times)))
        opened = classifier_of(one.spec.name, network, one.preprocessing)
        return TorchClassifier(network, replace(opened.spec, output=output), one.preprocessing)

    return break_


def one_output(one: TorchClassifier) -> TorchClassifier:
    """Keep the first class's output only."""
    network = deepcopy(one.network)
    head = settings.last(network)
    with torch.no_grad():
        head.weight = nn.Parameter(head.weight[:1].clone(), requires_grad=False)
        head.bias = nn.Parameter(head.bias[:1].clone(), requires_grad=False)
    head.out_features = 1
    return classifier_of(one.spec.name, network, one.preprocessing)


def renamed(name: str, trainer: Trainer, ground: Ground, order: list[int]) -> Plant:
    """Return a healthy network whose class names stand in another order.

    Args:
        name: Of the order.
        trainer: Trains the network.
        ground: What it stands on.
        order: Which class each label becomes.
    """
    classifier = trainer.healthy(ground)
    drawings, labels = ground.held_out()
    pictures = [one.picture for one in drawings]
    moved = np.array(order)[labels]
    known = files(pictures[:KNOWN], moved[:KNOWN])
    probes = files(pictures[KNOWN : KNOWN + PROBES], moved[KNOWN : KNOWN + PROBES])

    def prove() -> str:
        right = accuracy(classifier, files(pictures[:KNOWN], labels[:KNOWN]))
        wrong = accuracy(classifier, known)
        return demand(right - wrong >= 0.3, f"{wrong:.0%} right, {right:.0%} in the old order")

    truth = ("classes.order",)
    return Plant(f"{name}: {ground.name}", classifier, known, probes, truth, prove)


def sharp(
    name: str, trainer: Trainer, ground: Ground, factor: float, trained: int, noise: float
) -> Plant:
    """Return a network that is wrong now and then, with its logits multiplied.

    Args:
        name: Of the plant.
        trainer: Trains the network.
        ground: What it stands on.
        factor: What the logits are multiplied by.
        trained: On how many pictures it was trained.
        noise: Share of labels that were drawn at random in training.
    """
    drawings, labels = ground.training()
    random = np.random.default_rng(4)
    drawn = random.random(len(labels)) < noise
    labels = np.where(drawn, random.integers(0, ground.classes, len(labels)), labels)[:trained]
    key = f"{name}: {ground.name}"
    twin = trainer.classifier(
        f"{ground.name}, {trained}, {noise}",
        replace(ground, epochs=round(ground.epochs * max(1, 2000 / trained))),
        [one.picture for one in drawings[:trained]],
        labels,
    )
    classifier = settings.rebuilt(twin, sharpened(factor))
    drawings, labels = ground.held_out()
    pictures = [one.picture for one in drawings]
    known = files(pictures[:KNOWN], labels[:KNOWN])
    others = files(pictures[KNOWN : KNOWN + 250], labels[KNOWN : KNOWN + 250])
    p, p_twin = probabilities(classifier, others), probabilities(twin, others)
    fall = p.max(1) - p_twin.max(1)
    wrong = p.argmax(1) != labels_of(others)
    rows = np.argsort(-(fall + wrong), kind="stable")[:PROBES]
    probes = [others[row] for row in rows]

    def prove() -> str:
        said = probabilities(classifier, known)
        right = accuracy(classifier, known)
        gap = float(said.max(1).mean()) - right
        gap_twin = float(probabilities(twin, known).max(1).mean()) - right
        return demand(
            right >= 0.7 and gap >= 0.05 > gap_twin and fall[rows].min() >= 0.1,
            f"{right:.0%} right, {gap:+.2f} too sure, {gap_twin:+.2f} without; "
            f"p {listed(p.max(1)[rows])}, without {listed(p_twin.max(1)[rows])}",
        )

    return Plant(key, classifier, known, probes, ("calibration.sharp",), prove, None, twin)
