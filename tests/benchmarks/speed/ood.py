"""Scoring images beside bare passes, and beside pytorch-ood at equal values."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pytorch_ood.detector import EnergyBased
from torch import Tensor

from diagnostics.methods.ood.detector import OODDetector
from diagnostics.models.features import batch_size, concatenate, extract_features
from tests.benchmarks import bare
from tests.benchmarks.figure import Figure
from tests.benchmarks.networks import PHOTO_NETWORKS, Timed, letters
from tests.benchmarks.speed.reference import gather
from tests.benchmarks.timing import beside, faster, in_turn

PHOTOS, LETTERS = 24, 1024
LIMIT, NEVER_SLOWER = 1 / 0.9, 1.0
TOLERANCE = 1e-3


def figures() -> Iterator[Figure]:
    """Yield all scores of some images on every network, and one of them against its peer."""
    for make in (*PHOTO_NETWORKS, letters):
        yield from measured(make())


def measured(timed: Timed) -> Iterator[Figure]:
    """Yield one network's figures.

    Raises:
        ValueError: When energies differ from the peer's.
    """
    count = LETTERS if timed.shape[0] == 1 else PHOTOS
    pixels = timed.pixels(count, seed=1)
    forward, of_torch = (
        way(timed.network, timed.shape) for way in (bare.best_forward, bare.best_torch)
    )
    detector = OODDetector(timed.classifier.spec, gather(timed, timed.pixels(count)).build({}))
    peer = EnergyBased(timed.network)

    def ours() -> dict[str, Tensor]:
        parts = torch.split(pixels, batch_size(timed.classifier))
        features = concatenate([extract_features(timed.classifier, part) for part in parts])
        return {name: torch.as_tensor(detector.score(name, features)) for name in detector.names}

    @torch.no_grad()
    def theirs(at_once: int) -> Tensor:
        return torch.cat([peer.predict(part) for part in torch.split(pixels, at_once)])

    energies = theirs(count)
    difference = float((ours().get("energy", energies) - energies).abs().max())
    if difference > TOLERANCE:
        raise ValueError(f"Energies on {timed.name} differ by {difference:.2g}.")
    seconds = in_turn(
        ours,
        lambda: forward.run(count),
        lambda: theirs(count),
        lambda: theirs(of_torch.batch),
    )
    title, threads = (
        f"all {len(detector.names)} OOD scores on {timed.name}",
        torch.get_num_threads(),
    )
    yield beside(
        f"{title}, beside {count} bare passes",
        *seconds[:2],
        limit=LIMIT,
        engine=forward.engine,
        threads=threads,
    )
    for at_once, times in zip((count, of_torch.batch), seconds[2:], strict=True):
        yield faster(
            f"{title}, against pytorch-ood's energy alone, {at_once} at once",
            seconds[0],
            times,
            limit=NEVER_SLOWER,
            threads=threads,
        )
