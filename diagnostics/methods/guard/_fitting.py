"""Fit guards that answer "none of the above", and count what each gains and costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.data.folder import UNKNOWN
from diagnostics.errors import InputError, NotOfferedError
from diagnostics.methods.context import Context
from diagnostics.methods.noise.panel import Panel
from diagnostics.metrics.intervals import flagged_ranks, wilson
from diagnostics.metrics.predictions import probabilities
from diagnostics.models.features import batch_size, extract_features
from diagnostics.models.guard import Guard
from diagnostics.models.guarded import read
from diagnostics.models.outputs import as_logits
from diagnostics.preprocessing.pipeline import channels_first
from diagnostics.reference.statistics import Reference, ReferenceBuilder
from diagnostics.schema.spec import LayerInfo, Need

MOST_KNOWN, MOST_STRANGE = 6000, 1000
LEAST_KNOWN = 60
SHARES, FITTED = 6, 3  # of six known images three fit, and one each ranks, limits and judges
DRAWS = 128  # of each family of noise
NOISE = ("uniform", "gaussian", "shuffled")  # that a guard may learn on; other families only judge
STRANGERS, FOOLING = "strangers", "fooling"
SPLIT = (*NOISE, STRANGERS, FOOLING)  # half to learn on and half to judge by, for every guard
FOOLED, FOOLING_STEPS, FOOLING_STEP = 64, 30, 0.02
SURE = 0.9


@dataclass(frozen=True)
class Rows:
    """What a network gave for some images: logits, features, layer statistics, and labels."""

    logits: Tensor
    features: Tensor
    layers: Tensor
    labels: Tensor

    def of(self, chosen: slice | Tensor) -> Rows:
        """Return the same of some of the images."""
        return Rows(*(part[chosen] for part in vars(self).values()))


def joined(parts: Sequence[Rows]) -> Rows:
    """Return several images' rows as one."""
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return Rows(*(torch.cat(column) for column in columns))


@dataclass(frozen=True)
class Material:
    """Images to fit a guard on, to set its threshold by, and to judge it by; never the same ones.

    Args:
        known: Known-good images to fit on.
        limits: Others, to set the threshold by.
        held: Others, to judge by.
        strange: What is to be told apart, by kind, to fit on; only the kinds that the guard learns.
        strange_held: Others of every kind, to judge by; the same ones for every guard.
        notes: What should be known of the images.
        reference: What scores are fitted on: the known images, judged by a share of their own.
    """

    known: Rows
    limits: Rows
    held: Rows
    strange: Mapping[str, Rows]
    strange_held: Mapping[str, Rows]
    notes: tuple[str, ...]
    reference: Reference

    @property
    def learned(self) -> Rows:
        """Everything strange to fit on."""
        return joined(list(self.strange.values()))


class Collector:
    """Collects what guards are fitted on and judged by.

    Args:
        context: Gives known-good images, perhaps strangers, and the classifier.
        layers: Layers whose statistics the guard reads.
    """

    def __init__(self, context: Context, layers: Sequence[LayerInfo]) -> None:
        self._study, self._layers = context, tuple(layers)

    def collect(self, *kinds: str) -> Material:
        """Return the material.

        Args:
            kinds: Of `SPLIT`, what the guard learns on where there is some; all else only judges.

        Raises:
            InputError: When there are too few known-good images.
        """
        context = self._study
        pictures = context.shuffled(context.in_distribution())[:MOST_KNOWN]
        gathering, parts = ReferenceBuilder(context.classifier), []
        taken = 0
        for one in context.batches(pictures, "Reading the known-good images", distinct=True):
            parts.append(self.rows(one.pixels, one.labels))
            turn = torch.arange(taken, taken + len(one.names)) % SHARES
            seen = extract_features(context.classifier, one.pixels)
            for half, chosen in enumerate((turn < FITTED, turn == FITTED)):
                gathering.add(seen.select(chosen), one.labels[chosen], one.pixels[chosen], half)
            taken += len(one.names)
        if taken < LEAST_KNOWN:
            raise InputError(
                f"A guard needs {LEAST_KNOWN} readable known-good images at least, better 200 or "
                f"more; got {taken}."
            )
        known = self._joined(parts)
        turn = torch.arange(taken) % SHARES
        strange, held = {}, {}
        for kind, rows in self._strange(Panel(context, pictures)):
            learned, others = _halves(rows)
            if kind in kinds:
                strange[kind] = learned
            held[kind] = others if kind in SPLIT else _finite(rows)
        return Material(
            _finite(known.of(turn < FITTED)),
            _finite(known.of(turn == FITTED + 1)),
            _finite(known.of(turn == FITTED + 2)),
            strange,
            held,
            tuple(context.remarks()),
            gathering.build(context.source()),
        )

    @torch.no_grad()
    def rows(self, pixels: Tensor, labels: Tensor | None = None) -> Rows:
        """Return what the network gives for pixels."""
        classifier = self._study.classifier
        fed = classifier.network_input(pixels)
        scores, features, layers = read(classifier.network, fed, classifier.spec, self._layers)
        logits = as_logits(scores, classifier.spec.output).float().cpu()
        labels = torch.full((len(pixels),), UNKNOWN) if labels is None else labels
        return Rows(logits, features.float().cpu(), layers.float().cpu(), labels)

    def _joined(self, parts: list[Rows]) -> Rows:
        if not parts:
            raise InputError(f"No image could be read. {' '.join(self._study.remarks())}".strip())
        return joined(parts)

    def _strange(self, panel: Panel) -> Iterator[tuple[str, Rows]]:
        """Yield every kind of image that is to be told apart."""
        context = self._study
        for place, (name, family) in enumerate(panel.families.items()):
            context.progress("Drawing noise", place / len(panel.families))
            count = min(DRAWS, family.distinct or DRAWS)
            drawn = [channels_first(panel.draw(name, one)) for one in range(count)]
            parts = torch.split(torch.from_numpy(np.stack(drawn)), batch_size(context.classifier))
            yield (
                name,
                self._joined([self.rows(part.to(context.classifier.device)) for part in parts]),
            )
        if context.has_out_of_distribution:
            yield STRANGERS, self._strangers()
        if Need.GRADIENTS in context.classifier.spec.offers:
            yield FOOLING, self._fooling()

    def _strangers(self) -> Rows:
        context = self._study
        pictures = context.shuffled(context.out_of_distribution())[:MOST_STRANGE]
        passes = context.batches(pictures, "Reading the strangers", distinct=True)
        return self._joined([self.rows(one.pixels) for one in passes])

    def _fooling(self) -> Rows:
        """Return images made from noise to be taken for a class, by signed gradient steps."""
        context, classifier = self._study, self._study.classifier
        spec, generator = classifier.spec, torch.Generator().manual_seed(context.seed)
        shape = (FOOLED, spec.channels, spec.height, spec.width)
        noise = torch.rand(shape, generator=generator)
        aims = torch.randint(len(spec.class_names), (FOOLED,), generator=generator)
        made = []
        batch = batch_size(classifier)
        for pixels, aim in zip(torch.split(noise, batch), torch.split(aims, batch), strict=True):
            pixels, aim = pixels.to(classifier.device), aim.to(classifier.device)
            for step in range(FOOLING_STEPS):
                context.progress("Making fooling images", step / FOOLING_STEPS)
                gradient = classifier.trace(pixels, ()).pixel_gradient(aim)
                pixels = (pixels + FOOLING_STEP * gradient.sign()).clamp(0, 1).detach()
            made.append(self.rows(pixels))
        return self._joined(made)


def limited(guard: Guard, limits: Rows, alpha: float, shift: str, sign: float) -> Guard:
    """Move a guard's threshold so that it flags at most a share of known-good images.

    Args:
        guard: The guard.
        limits: Known-good images that it was not fitted on.
        alpha: The share.
        shift: Name of the buffer that moves "none of the above" against the classes.
        sign: 1 where a larger value makes it win less often, -1 where it wins more often.
    """
    margins = np.sort(lead(guard, limits))
    flagged = flagged_ranks(len(margins), alpha)
    move = margins[len(margins) - flagged] if flagged else margins[-1] + 1e9
    value = guard.get_buffer(shift)
    value += sign * float(np.nextafter(move, np.inf))
    return guard


def lead(guard: Guard, rows: Rows) -> NDArray[np.float64]:
    """Return by how much "none of the above" is ahead of the best class, per image."""
    with torch.no_grad():
        logits = guard(rows.logits, rows.features, rows.layers)
    margins: NDArray[np.float64] = (logits[:, -1] - logits[:, :-1].amax(1)).numpy()
    return margins


def compared(guard: Guard, material: Material, alpha: float) -> dict[str, Any]:
    """Return what the guard gains and costs beside the bare model, on images held out, as JSON."""
    held = material.held
    rejected = lead(guard, held) >= 0
    known = (held.labels != UNKNOWN).numpy()
    right = (held.logits.argmax(1) == held.labels).numpy()
    unsure = _confidence(held) < SURE
    kinds = [
        {
            "kind": name,
            "learned": name in material.strange,
            "caught": _rate(lead(guard, rows) >= 0),
            "bare_sure": _rate(_confidence(rows) >= SURE),
        }
        for name, rows in material.strange_held.items()
    ]
    return {
        "alpha": alpha,
        "good_rejected": _rate(rejected),
        "accuracy": _rate((right & ~rejected)[known]) if known.any() else None,
        "bare_accuracy": _rate(right[known]) if known.any() else None,
        "unsure_rejected": _rate(unsure),  # were what the bare model doubts rejected instead
        "unsure_accuracy": _rate((right & ~unsure)[known]) if known.any() else None,
        "kinds": kinds,
        "fitted_on": {
            "known": len(material.known.labels),
            "threshold": len(material.limits.labels),
            **{name: len(rows.labels) for name, rows in material.strange.items()},
        },
        "notes": list(material.notes),
    }


def demand_features(context: Context) -> None:
    """Hold a guard that reads features to models that have them.

    Raises:
        NotOfferedError: When the last layer cannot be told.
    """
    spec = context.classifier.spec
    if Need.FEATURES not in spec.offers:
        raise NotOfferedError(f"This guard reads features. {spec.why_not(Need.FEATURES)}")


def _finite(rows: Rows) -> Rows:
    """Leave out images of which the network gave no finite numbers."""
    parts = (rows.logits, rows.features, rows.layers)
    return rows.of(torch.stack([part.isfinite().all(1) for part in parts]).all(0))


def _halves(rows: Rows) -> tuple[Rows, Rows]:
    rows = _finite(rows)
    return rows.of(slice(0, None, 2)), rows.of(slice(1, None, 2))


def _confidence(rows: Rows) -> NDArray[np.float64]:
    return np.array([probabilities(row)[0].max() for row in rows.logits.double().numpy()])


def _rate(hits: NDArray[np.bool_]) -> dict[str, Any]:
    count, found = len(hits), int(hits.sum())
    low, high = wilson(found, count)
    share = found / count if count else None
    return {"value": share, "low": low, "high": high, "hits": found, "n": count}
