"""Measure what says whether a map can be trusted, for one image after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from diagnostics.errors import NotOfferedError, OptionError
from diagnostics.methods.attribution import Fill, Heatmap, filled
from diagnostics.methods.faithfulness._insertion_deletion import Grid, area, deletion, insertion
from diagnostics.methods.faithfulness._randomization import Part, randomised
from diagnostics.methods.registry import Method, family, find, parse
from diagnostics.models.classifier import Classifier, Counted, Margin, TorchClassifier
from diagnostics.schema.options import Value
from diagnostics.schema.request import STRONGEST
from diagnostics.schema.spec import ModelSpec

FILLS: tuple[Fill, ...] = ("mean", "blur")
SEEDS = 2  # other draws of a method that is random
ROUNDING = 1e-3  # logits
FLAT = 1e-6  # of the logit


@dataclass(frozen=True)
class Asked:
    """A method, its settings, and how much is tried.

    Args:
        method: Of attribution.
        options: Every option's value.
        against: Class whose logit is subtracted, or `STRONGEST`; None explains the logit alone.
        copies: How many random networks of each kind.
        random_maps: How many random maps.
        seed: Of everything random.
    """

    method: Method
    options: Mapping[str, Value]
    against: int | None
    copies: int
    random_maps: int
    seed: int

    @classmethod
    def written(
        cls, method: str, against: str, copies: int, random_maps: int, seed: int, spec: ModelSpec
    ) -> Asked:
        """Return what a person wrote, "attribution/name?option=value".

        Raises:
            OptionError: When it is no such method, option or class.
            NotOfferedError: When this model cannot answer the method.
        """
        identity, options = parse(method)
        found = find(identity)
        if found.info.kind != "map":
            raise OptionError(f"{identity} makes no map; only methods of attribution do.")
        missing = sorted(set(found.info.needs) - spec.offers)
        if missing:
            raise NotOfferedError(
                f"{found.info.title} needs {', '.join(missing)}, which this model does not offer."
            )
        count = len(spec.class_names)
        try:
            other = int(against) if against else None
        except ValueError:
            other = count
        if other is not None and (count < 2 or not STRONGEST <= other < count):
            raise OptionError(
                f"The class to compare with must lie between 0 and {count - 1}, or be {STRONGEST}; "
                f"got {against!r}."
            )
        return cls(found, found.info.check(options), other, copies, random_maps, seed)

    def passes(self, spec: ModelSpec) -> tuple[int, int]:
        """Return how many passes it takes to make maps of one image, and to cover cells of it."""
        maps = (1 + SEEDS + len(get_args(Part)) * self.copies) * self.method.forward_passes(
            spec, **self.options
        )
        grid = Grid.over(torch.empty(1, 1, spec.height, spec.width))
        return maps, len(FILLS) * len(grid.counts) * (self.random_maps + 2)

    def explained(self, classifier: Classifier) -> Classifier:
        """Return the classifier whose logits are explained."""
        if self.against is None:
            return classifier
        return Margin(classifier, None if self.against == STRONGEST else self.against)

    def map_of(
        self, classifier: Classifier, image: Tensor, target: Tensor, more: int = 0
    ) -> Heatmap:
        """Return the method's map of one image.

        Args:
            classifier: The classifier explained.
            image: Shape (1, c, h, w).
            target: Index of the class, shape (1,).
            more: Added to the seed.
        """
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(self.seed + more)
            explained = self.explained(classifier)
            made: Heatmap = self.method.function(explained, image, target, **self.options)
        family(self.method.info.id).check(made, image)
        return made


class Examination:
    """Measures one image after the other, with the same random networks for all.

    Args:
        classifier: The model in hand, which stays as it is.
        asked: What is asked.
        pixels: The images, on which the copies' normalisations measure.
        count: Called with the number of images after each pass.
    """

    def __init__(
        self,
        classifier: TorchClassifier,
        asked: Asked,
        pixels: Tensor,
        count: Callable[[int], None],
    ) -> None:
        self._plain, self._asked, self._count = classifier, asked, count
        self._classifier = Counted(classifier, count)
        self._pixels = pixels
        self.arrays: dict[str, Tensor] = {}

    def examine(self, image: Tensor, target: int) -> dict[str, Any]:
        """Return the figures of one image's map; its maps and curves lie in `arrays`.

        Args:
            image: Shape (1, c, h, w).
            target: Index of the class that is explained.
        """
        self.arrays = {}
        asked = torch.tensor([target], device=image.device)
        made = self._asked.map_of(self._classifier, image, asked)
        values = made.values.detach()
        self.arrays["map"] = values[0]
        note = _note(values, made.blank)
        found: dict[str, Any] = {"note": note, "signed": made.signed, "cells": values.numel()}
        if note:
            return found
        found |= {"weights": self._of_weights(image, asked, values)}
        found |= {"seeds": self._of_seeds(image, asked, values)}
        found |= {"removal": self._of_removal(image, target, values)}
        sums = {"rise": None, "sum": None, "rounding": ROUNDING}
        if made.rises:
            sums |= {"rise": made.rises[0], "sum": float(values.double().sum())}
        return found | sums

    def _of_weights(self, image: Tensor, target: Tensor, values: Tensor) -> dict[str, Any]:
        """Compare the map with those of networks whose weights are random."""
        parts: tuple[Part, ...] = get_args(Part)
        found: dict[str, Any] = {"why": ""}
        for part in parts:
            found[part] = []
            for number, copy in self._copies(part, found):
                try:
                    other = self._asked.map_of(Counted(copy, self._count), image, target).values
                except NotOfferedError as error:
                    found["why"] = f"Of a network with random weights: {error.message}"
                    continue
                if number == 0:
                    self.arrays[part] = other.detach()[0]
                note = _note(other, "")
                found["why"] = f"With random weights: {note.strip()}" if note else found["why"]
                if not note:
                    found[part].append(correlation(values, other))
        return found

    def _copies(self, part: Part, found: dict[str, Any]) -> Iterator[tuple[int, TorchClassifier]]:
        for number in range(self._asked.copies):
            seed = self._asked.seed + number
            try:
                yield number, randomised(self._plain, part, seed, self._pixels)
            except NotOfferedError as error:
                found["why"] = error.message
                return

    def _of_seeds(self, image: Tensor, target: Tensor, values: Tensor) -> list[float]:
        """Compare the map with those of other seeds; none where the method draws nothing."""
        found = []
        for more in range(1, SEEDS + 1):
            other = self._asked.map_of(self._classifier, image, target, more).values
            if torch.equal(other, values):
                return []
            found.append(correlation(values, other))
        return found

    def _of_removal(self, image: Tensor, target: int, values: Tensor) -> dict[str, Any]:
        """Compare insertion and deletion by the map with those by random maps, on each fill."""
        grid = Grid.over(image)
        explained = self._asked.explained(self._classifier)
        generator = torch.Generator().manual_seed(self._asked.seed)
        noise = torch.rand(self._asked.random_maps, *values.shape[1:], generator=generator)
        own = grid.order(values, generator)
        orders = torch.cat([own, own.flip(1), grid.order(noise, generator)])
        found: dict[str, Any] = {}
        for fill in FILLS:
            curves = deletion(explained, image, filled(image, fill), target, orders, grid)
            gone, back = curves[:1], insertion(curves[1:2])
            drawn, drawn_back = curves[2:], insertion(curves[2:])
            self.arrays[f"{fill}/deletion"], self.arrays[f"{fill}/insertion"] = gone[0], back[0]
            self.arrays[f"{fill}/random"] = drawn
            found[fill] = _compared(
                area(gone, grid, inserts=False),
                area(drawn, grid, inserts=False),
                area(back, grid, inserts=True),
                area(drawn_back, grid, inserts=True),
            )
        return found


def _compared(gone: Tensor, drawn: Tensor, back: Tensor, drawn_back: Tensor) -> dict[str, Any]:
    """Return areas, and the share of random maps that the map beats; a tie is half a win."""
    n = len(drawn)

    def share(better: Tensor, equal: Tensor) -> float:
        return (float(better.sum()) + float(equal.sum()) / 2) / n

    spread = torch.cat([gone, drawn, back, drawn_back])
    return {
        "deletion": float(gone),
        "insertion": float(back),
        "random_deletion": drawn.tolist(),
        "random_insertion": drawn_back.tolist(),
        "beats_deletion": share(gone < drawn, gone == drawn),
        "beats_insertion": share(back > drawn_back, back == drawn_back),
        "random": n,
        "flat": bool((spread.max() - spread.min()) <= FLAT * spread.abs().max().clamp_min(1)),
    }


def correlation(one: Float[Tensor, "1 h w"], other: Float[Tensor, "1 h w"]) -> float:
    """Return the rank correlation of two maps' magnitudes, -1 to 1; 0 where one is all equal.

    Source:
        Spearman 1904; equal values share the mean of their ranks.
    """
    ranks = torch.stack([_ranks(values.detach().abs().flatten().cpu()) for values in (one, other)])
    ranks = ranks - ranks.mean(1, keepdim=True)
    size = ranks.square().sum(1).prod().sqrt()
    return float((ranks[0] * ranks[1]).sum() / size) if size > 0 else 0.0


def _ranks(values: Tensor) -> Float[Tensor, " m"]:
    _, place, counts = torch.unique(values.nan_to_num(), return_inverse=True, return_counts=True)
    ends = counts.cumsum(0).double()
    ranks: Tensor = ends - (counts - 1) / 2
    return ranks[place]


def _note(values: Tensor, blank: str) -> str:
    if not bool(values.isfinite().all()):
        return "The map holds values that are not finite numbers."
    return "" if bool(values.any()) else f"The map is blank. {blank}"


def counting(tell: Callable[[str, float], None], doing: str, total: int) -> Callable[[int], None]:
    """Return what is called with the number of images of each pass, and tells it."""
    done = 0

    def count(images: int) -> None:
        nonlocal done
        done += images
        tell(doing, min(done / total, 1.0))

    return count


def target_of(logits: Sequence[float], wanted: int | None) -> int:
    """Return the class that is explained: the one that is meant, or the first."""
    return wanted if wanted is not None else max(range(len(logits)), key=logits.__getitem__)
