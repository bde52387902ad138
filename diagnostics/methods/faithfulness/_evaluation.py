"""Measure what says whether a heatmap can be trusted, for one image after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
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
from diagnostics.methods.faithfulness._last_layer import PROBES, last_layer
from diagnostics.methods.faithfulness._null_maps import centre, edges, noise
from diagnostics.methods.faithfulness._randomization import Part, randomized
from diagnostics.methods.registry import Method, parse
from diagnostics.models.classifier import Classifier, Counted, TorchClassifier
from diagnostics.schema.options import Value
from diagnostics.schema.results.faithfulness import (
    Correlations,
    Evaluation,
    Fill,
    InsertionDeletion,
    Null,
    Randomization,
)
from diagnostics.schema.spec import ModelSpec

PARTS: tuple[Part, ...] = get_args(Part)
FILLS: tuple[Fill, ...] = get_args(Fill)
SHAPES = 2  # null maps that are drawn of the image alone
MAX_OTHERS = 4  # images whose maps are null maps
COPY_IMAGES = 8  # at most, on which randomized copies measure their normalisations
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

    def forward_passes(self, spec: ModelSpec, images: int = 1) -> tuple[int, int]:
        """Return how many passes make the heatmaps of an image, and how many need no gradients.

        Args:
            spec: The model.
            images: How many are evaluated together: each is compared with the others' maps.
        """
        heatmaps = 1 + SEEDS + len(PARTS) * self.copies
        steps = len(Grid.over(torch.empty(1, 1, spec.height, spec.width)).deleted)
        others = min(images - 1, MAX_OTHERS)
        maps = 1 + SHAPES + self.random_maps + self.copies + others
        return (
            heatmaps * self.method.forward_passes(spec, **self.options),
            PROBES + len(FILLS) * steps * 2 * maps,
        )

    def heatmap(self, classifier: Classifier, subject: _Subject, seed_offset: int = 0) -> Heatmap:
        """Return the method's heatmap of one image.

        Args:
            classifier: The classifier explained.
            subject: What is explained of it.
            seed_offset: Added to the seed.
        """
        explained = explained_classifier(classifier, subject.rival)
        target = torch.tensor([subject.target], device=subject.image.device)
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(self.seed + seed_offset)
            heatmap: Heatmap = self.method.function(
                explained, subject.image, target, **self.options
            )
        check(heatmap, subject.image)
        return heatmap


@dataclass(frozen=True)
class _Subject:
    """What is explained: an image, shape (1, c, h, w), its class, and the class subtracted."""

    image: Tensor
    target: int
    rival: int | None


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
        pixels: The images; on the first of them the copies' normalisations measure.
        targets: Index of the class that is explained of each image.
        count: Called with the number of images after each pass.
    """

    def __init__(
        self,
        classifier: TorchClassifier,
        request: EvaluationRequest,
        pixels: Tensor,
        targets: Sequence[int],
        count: Callable[[int], None],
    ) -> None:
        self._classifier, self._counted = classifier, Counted(classifier, count)
        self._request, self._pixels, self._targets = request, pixels, targets
        self._count = count
        self._heatmaps: dict[int, Heatmap] = {}

    def evaluate(self, index: int) -> EvaluatedImage:
        """Return what is measured of the heatmap of the image with that index."""
        subject = self._subject(index)
        heatmap = self._heatmap(index)
        values = heatmap.values.detach()
        evaluated = EvaluatedImage(_note(values, heatmap.blank), heatmap.signed)
        evaluated.arrays["map"] = values[0]
        if evaluated.note:
            return evaluated
        randomization, random = self._randomization(subject, values, evaluated.arrays)
        evaluated.evaluation = Evaluation(
            cells=values.numel(),
            last_layer=last_layer(self._classifier, subject.image, self._request.seed, self._count),
            randomization=randomization,
            seed_correlations=self._seed_correlations(subject, values),
            insertion_deletion=self._insertion_deletion(
                subject, values, self._null_maps(index, random), evaluated.arrays
            ),
            sum=float(values.double().sum()) if heatmap.rises else None,
            rise=heatmap.rises[0] if heatmap.rises else None,
            rounding=ROUNDING,
        )
        return evaluated

    def _subject(self, index: int) -> _Subject:
        image, target = self._pixels[index : index + 1], self._targets[index]
        with torch.no_grad():
            rival = rival_class(self._classifier.logits(image)[0], target, self._request.against)
        return _Subject(image, target, rival)

    def _heatmap(self, index: int) -> Heatmap:
        """Return the method's heatmap of an image, made once."""
        if index not in self._heatmaps:
            self._heatmaps[index] = self._request.heatmap(self._counted, self._subject(index))
        return self._heatmaps[index]

    def _randomization(
        self, subject: _Subject, values: Tensor, arrays: dict[str, Tensor]
    ) -> tuple[Randomization, list[Tensor]]:
        """Compare the heatmap with those of networks whose weights are random, and return those."""
        maps: dict[Part, list[Tensor]] = {part: [] for part in PARTS}
        reason = ""
        for part in PARTS:
            for number in range(self._request.copies):
                seed = self._request.seed + number
                try:
                    copy = randomized(self._classifier, part, seed, self._pixels[:COPY_IMAGES])
                except NotOfferedError as error:
                    reason = error.message
                    break
                try:
                    heatmap = self._request.heatmap(Counted(copy, self._count), subject)
                except NotOfferedError as error:
                    reason = f"Of a network with random weights: {error.message}"
                    continue
                if number == 0:
                    arrays[part] = heatmap.values[0].detach()
                if note := _note(heatmap.values, "").strip():
                    reason = f"With random weights: {note}"
                else:
                    maps[part].append(heatmap.values.detach())
        return (
            Randomization(
                head=_correlations(values, maps["head"]),
                upper=_correlations(values, maps["upper"]),
                all=_correlations(values, maps["all"]),
                reason=reason,
            ),
            maps["all"],
        )

    def _seed_correlations(self, subject: _Subject, values: Tensor) -> list[float]:
        """Compare the heatmap with those of other seeds; none where the method draws nothing."""
        correlations = []
        for offset in range(1, SEEDS + 1):
            other = self._request.heatmap(self._counted, subject, offset).values
            if torch.equal(other, values):
                return []
            correlations.append(correlation(values, other))
        return correlations

    def _null_maps(self, index: int, random: Sequence[Tensor]) -> dict[Null, list[Tensor]]:
        """Return maps that know nothing of this model, or nothing of this image, by their kind."""
        image = self._pixels[index : index + 1]
        others = [other for other in range(len(self._pixels)) if other != index][:MAX_OTHERS]
        heatmaps = [self._heatmap(other) for other in others]
        generator = torch.Generator().manual_seed(self._request.seed)
        drawn = noise(self._request.random_maps, (image.shape[2], image.shape[3]), generator)
        return {
            "random networks": list(random),
            "other images": [
                heatmap.values.detach() for heatmap in heatmaps if not _note(heatmap.values, "")
            ],
            "centre": [centre(image)],
            "edges": [edges(image)],
            "noise": list(drawn[:, None]),
        }

    def _insertion_deletion(
        self,
        subject: _Subject,
        values: Tensor,
        nulls: Mapping[Null, Sequence[Tensor]],
        arrays: dict[str, Tensor],
    ) -> dict[Fill, InsertionDeletion]:
        """Compare insertion and deletion by the heatmap with those by null maps, on each fill."""
        image = subject.image
        grid = Grid.over(image)
        explained = explained_classifier(self._counted, subject.rival)
        generator = torch.Generator().manual_seed(self._request.seed)
        maps = [values, *(each for kind in nulls.values() for each in kind)]
        orders = torch.cat([grid.order(each, generator) for each in maps])
        both = torch.cat([orders, orders.flip(1)])
        areas: dict[Fill, InsertionDeletion] = {}
        for fill in FILLS:
            baseline = baseline_image(image, fill)
            curves = deletion(explained, image, baseline, subject.target, both, grid)
            deleted, inserted = curves[: len(maps)], insertion(curves[len(maps) :])
            arrays[f"{fill}/deletion"], arrays[f"{fill}/insertion"] = deleted[0], inserted[0]
            arrays[f"{fill}/null_deletion"] = deleted[1:]
            arrays[f"{fill}/null_insertion"] = inserted[1:]
            below, above = deletion_area(deleted, grid), insertion_area(inserted, grid)
            gains = iter((above - below)[1:].tolist())
            areas[fill] = InsertionDeletion(
                deletion=float(below[0]),
                insertion=float(above[0]),
                nulls={kind: [next(gains) for _ in each] for kind, each in nulls.items()},
                flat=_is_flat(torch.cat([below, above])),
            )
        return areas


def _correlations(values: Tensor, copies: Sequence[Tensor]) -> Correlations:
    """Compare a map with those of copies, and these with one another."""
    return Correlations(
        copies=[correlation(values, other) for other in copies],
        floor=[correlation(*pair) for pair in combinations(copies, 2)],
    )


def _is_flat(areas: Tensor) -> bool:
    return bool(areas.max() - areas.min() <= FLAT * areas.abs().max().clamp_min(1))


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
