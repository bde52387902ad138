"""Measure what says whether a heatmap can be trusted, for one image after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from diagnostics.errors import NotOfferedError, OptionError
from diagnostics.methods.attribution import (
    Heatmap,
    baseline_image,
    check,
    demand_against,
    demand_method,
    explained_classifier,
    rival_class,
)
from diagnostics.methods.faithfulness._insertion_deletion import (
    Grid,
    deletion,
    deletion_area,
    insertion,
    insertion_area,
)
from diagnostics.methods.faithfulness._randomization import Part, randomized
from diagnostics.methods.registry import Method, parse
from diagnostics.models.classifier import Classifier, Counted, TorchClassifier
from diagnostics.schema.options import Value
from diagnostics.schema.results.faithfulness import (
    Evaluation,
    Fill,
    InsertionDeletion,
    Randomization,
)
from diagnostics.schema.spec import ModelSpec

PARTS: tuple[Part, ...] = get_args(Part)
FILLS: tuple[Fill, ...] = get_args(Fill)
SEEDS = 2  # other draws of a method that is random
ROUNDING = 1e-3  # logits
FLAT = 1e-6  # of the logit


@dataclass(frozen=True)
class EvaluationRequest:
    """A method of attribution, its settings, and how much is tried.

    Args:
        method: Makes the heatmaps.
        options: Every option's value.
        against: Class whose logit is subtracted, or `STRONGEST`; None explains the logit alone.
        copies: How many randomized networks of each kind.
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
    def read(
        cls, method: str, against: str, copies: int, random_maps: int, seed: int, spec: ModelSpec
    ) -> EvaluationRequest:
        """Return the request for a method written as "attribution/name?option=value".

        Raises:
            OptionError: When it is no such method, option or class.
            NotOfferedError: When this model cannot answer the method.
        """
        attribution, options = demand_method(*parse(method), spec)
        return cls(attribution, options, _read_class(against, spec), copies, random_maps, seed)

    def forward_passes(self, spec: ModelSpec) -> tuple[int, int]:
        """Return how many passes make the heatmaps of one image, and how many cover its cells."""
        heatmaps = 1 + SEEDS + len(PARTS) * self.copies
        steps = len(Grid.over(torch.empty(1, 1, spec.height, spec.width)).deleted)
        return (
            heatmaps * self.method.forward_passes(spec, **self.options),
            len(FILLS) * steps * (self.random_maps + 2),
        )

    def heatmap(
        self, classifier: Classifier, image: Tensor, target: Tensor, seed_offset: int = 0
    ) -> Heatmap:
        """Return the method's heatmap of one image.

        Args:
            classifier: The classifier explained.
            image: Shape (1, c, h, w).
            target: Index of the class, shape (1,).
            seed_offset: Added to the seed.
        """
        explained = explained_classifier(classifier, self.against)
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(self.seed + seed_offset)
            heatmap: Heatmap = self.method.function(explained, image, target, **self.options)
        check(heatmap, image)
        return heatmap


def _read_class(against: str, spec: ModelSpec) -> int | None:
    if not against:
        return None
    try:
        index = int(against)
    except ValueError:
        raise OptionError(f"The class to compare with must be an index; got {against!r}.") from None
    demand_against(index, spec)
    return index


@dataclass
class EvaluatedImage:
    """What was measured of one image's heatmap.

    Args:
        note: Why there is nothing to evaluate.
        signed: Whether the heatmap has values below zero.
        evaluation: The figures; None where there is nothing to evaluate.
        arrays: Heatmaps and curves, see `TrustAnswer`.
    """

    note: str
    signed: bool = False
    evaluation: Evaluation | None = None
    arrays: dict[str, Tensor] = field(default_factory=dict)


class Evaluator:
    """Evaluates one image's heatmap after the other, with the same random networks for all.

    Args:
        classifier: The classifier explained, which stays as it is.
        request: What is evaluated.
        pixels: The images, on which the copies' normalisations measure.
        count: Called with the number of images after each pass.
    """

    def __init__(
        self,
        classifier: TorchClassifier,
        request: EvaluationRequest,
        pixels: Tensor,
        count: Callable[[int], None],
    ) -> None:
        self._classifier, self._counted = classifier, Counted(classifier, count)
        self._request, self._pixels, self._count = request, pixels, count
        self._against = request.against

    def evaluate(self, image: Tensor, target: int) -> EvaluatedImage:
        """Return what is measured of one image's heatmap.

        Args:
            image: Shape (1, c, h, w).
            target: Index of the class that is explained.
        """
        targets = torch.tensor([target], device=image.device)
        with torch.no_grad():
            rival = rival_class(self._classifier.logits(image)[0], target, self._against)
        self._request = replace(self._request, against=rival)
        heatmap = self._request.heatmap(self._counted, image, targets)
        values = heatmap.values.detach()
        evaluated = EvaluatedImage(_note(values, heatmap.blank), heatmap.signed)
        evaluated.arrays["map"] = values[0]
        if not evaluated.note:
            evaluated.evaluation = Evaluation(
                cells=values.numel(),
                randomization=self._randomization(image, targets, values, evaluated.arrays),
                seed_correlations=self._seed_correlations(image, targets, values),
                insertion_deletion=self._insertion_deletion(
                    image, target, values, evaluated.arrays
                ),
                sum=float(values.double().sum()) if heatmap.rises else None,
                rise=heatmap.rises[0] if heatmap.rises else None,
                rounding=ROUNDING,
            )
        return evaluated

    def _randomization(
        self, image: Tensor, target: Tensor, values: Tensor, arrays: dict[str, Tensor]
    ) -> Randomization:
        """Compare the heatmap with those of networks whose weights are random."""
        correlations: dict[Part, list[float]] = {part: [] for part in PARTS}
        reason = ""
        for part in PARTS:
            for number in range(self._request.copies):
                seed = self._request.seed + number
                try:
                    copy = randomized(self._classifier, part, seed, self._pixels)
                except NotOfferedError as error:
                    reason = error.message
                    break
                try:
                    heatmap = self._request.heatmap(Counted(copy, self._count), image, target)
                except NotOfferedError as error:
                    reason = f"Of a network with random weights: {error.message}"
                    continue
                if number == 0:
                    arrays[part] = heatmap.values[0].detach()
                if note := _note(heatmap.values, "").strip():
                    reason = f"With random weights: {note}"
                else:
                    correlations[part].append(correlation(values, heatmap.values))
        return Randomization(head=correlations["head"], all=correlations["all"], reason=reason)

    def _seed_correlations(self, image: Tensor, target: Tensor, values: Tensor) -> list[float]:
        """Compare the heatmap with those of other seeds; none where the method draws nothing."""
        correlations = []
        for offset in range(1, SEEDS + 1):
            other = self._request.heatmap(self._counted, image, target, offset).values
            if torch.equal(other, values):
                return []
            correlations.append(correlation(values, other))
        return correlations

    def _insertion_deletion(
        self, image: Tensor, target: int, values: Tensor, arrays: dict[str, Tensor]
    ) -> dict[Fill, InsertionDeletion]:
        """Compare insertion and deletion by the heatmap with those by random maps, on each fill."""
        grid = Grid.over(image)
        explained = explained_classifier(self._counted, self._request.against)
        generator = torch.Generator().manual_seed(self._request.seed)
        noise = torch.rand(self._request.random_maps, *values.shape[1:], generator=generator)
        order = grid.order(values, generator)
        orders = torch.cat([order, order.flip(1), grid.order(noise, generator)])
        areas: dict[Fill, InsertionDeletion] = {}
        for fill in FILLS:
            curves = deletion(explained, image, baseline_image(image, fill), target, orders, grid)
            deleted, inserted, random = curves[:1], insertion(curves[1:2]), curves[2:]
            arrays[f"{fill}/deletion"], arrays[f"{fill}/insertion"] = deleted[0], inserted[0]
            arrays[f"{fill}/random"] = random
            areas[fill] = _areas(
                deletion_area(deleted, grid),
                insertion_area(inserted, grid),
                deletion_area(random, grid),
                insertion_area(insertion(random), grid),
            )
        return areas


def _areas(
    deleted: Float[Tensor, " 1"],
    inserted: Float[Tensor, " 1"],
    random_deleted: Float[Tensor, " r"],
    random_inserted: Float[Tensor, " r"],
) -> InsertionDeletion:
    """Return areas, and the share of random maps that the heatmap beats; a tie is half a win."""

    def win_rate(better: Tensor, equal: Tensor) -> float:
        return (float(better.sum()) + float(equal.sum()) / 2) / len(better)

    areas = torch.cat([deleted, random_deleted, inserted, random_inserted])
    return InsertionDeletion(
        deletion=float(deleted),
        insertion=float(inserted),
        random_deletion=random_deleted.tolist(),
        random_insertion=random_inserted.tolist(),
        deletion_win_rate=win_rate(deleted < random_deleted, deleted == random_deleted),
        insertion_win_rate=win_rate(inserted > random_inserted, inserted == random_inserted),
        random_maps=len(random_deleted),
        flat=bool(areas.max() - areas.min() <= FLAT * areas.abs().max().clamp_min(1)),
    )


def correlation(left: Float[Tensor, "1 h w"], right: Float[Tensor, "1 h w"]) -> float:
    """Return the rank correlation of two maps' magnitudes, -1 to 1; 0 where one is all equal.

    Source:
        Spearman 1904; equal values share the mean of their ranks.
    """
    ranks = torch.stack([_ranks(values.detach().abs().flatten().cpu()) for values in (left, right)])
    ranks = ranks - ranks.mean(1, keepdim=True)
    size = ranks.square().sum(1).prod().sqrt()
    return float((ranks[0] * ranks[1]).sum() / size) if size > 0 else 0.0


def _ranks(values: Tensor) -> Float[Tensor, " m"]:
    _, index, counts = torch.unique(values.nan_to_num(), return_inverse=True, return_counts=True)
    ends = counts.cumsum(0).double()
    ranks: Tensor = ends - (counts - 1) / 2
    return ranks[index]


def _note(values: Tensor, blank: str) -> str:
    if not bool(values.isfinite().all()):
        return "The map holds values that are not finite numbers."
    return "" if bool(values.any()) else f"The map is blank. {blank}"
