"""How a planting is written in a world: a name, and what makes the plant when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from benchmarks.plants import cues, faults
from benchmarks.plants import grounds as g
from benchmarks.plants.grounds import Trainer
from benchmarks.plants.learnt import shortcut
from benchmarks.plants.plant import Plant

Planting: TypeAlias = Callable[[Trainer], Plant]
LOCAL, BORDER, BACKGROUND = "shortcut.local", "shortcut.border", "shortcut.background"
TEXTURE, EDGES, STATISTIC = "reliance.texture", "reliance.edges", "reliance.statistic"
SCALE, NORMALISATION = ("preprocessing.scale",), ("preprocessing.normalisation",)
BIAS, DEAD = ("head.bias",), ("head.dead_class",)
ALWAYS = ("head.bias", "model.one_class", "model.constant")
RANDOM, CONSTANT, BATCHNORM = ("model.random",), ("model.constant",), ("model.batchnorm",)
SOFTMAX = ("output.double_softmax",)


def learnt(
    name: str,
    ground: g.Ground,
    cue: cues.Cue,
    marked: int,
    truth: str,
    box: tuple[int, int, int, int] | None = None,
    share: float = 1.0,
    taken: float = 0.08,
) -> tuple[str, Planting]:
    """Return a cue that a class carried in training."""
    return of(shortcut, name, ground, cue, marked, truth, box, share, taken)


def patch(
    name: str,
    ground: g.Ground,
    box: tuple[int, int, int, int],
    value: int | tuple[int, int, int],
    marked: int,
    share: float = 1.0,
    taken: float = 0.08,
) -> tuple[str, Planting]:
    """Return a filled box that a class carried in training."""
    return learnt(name, ground, cues.patch(box, value), marked, LOCAL, box, share, taken)


def of(function: Callable[..., Plant], name: str, *arguments: object) -> tuple[str, Planting]:
    """Return a name and what plants it."""
    return name, lambda trainer: function(name, trainer, *arguments)


def fault(
    name: str, ground: g.Ground, break_: object, truth: tuple[str, ...], visible: float = 0.1
) -> tuple[str, Planting]:
    """Return a fault in a healthy network."""
    return of(faults.faulty, name, ground, break_, truth, visible)


def with_setting(
    name: str, ground: g.Ground, change: object, truth: tuple[str, ...]
) -> tuple[str, Planting]:
    """Return a wrong preprocessing."""
    return fault(name, ground, faults.with_settings(change), truth)  # type: ignore[arg-type]


def head(
    name: str, ground: g.Ground, index: int, size: float, truth: tuple[str, ...]
) -> tuple[str, Planting]:
    """Return an offset of one class."""
    break_ = faults.rebuilt(faults.head_bias(index, size))
    return fault(name, ground, break_, truth, faults.VISIBLE_HEAD)


def network(
    name: str, ground: g.Ground, change: faults.Change, truth: tuple[str, ...]
) -> tuple[str, Planting]:
    """Return a change of the weights."""
    return fault(name, ground, faults.rebuilt(change), truth)
