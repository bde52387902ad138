"""DDN beside the bare passes that it needs, and beside foolbox's.

The two lead images by different losses, so their changes differ; whose are smaller is a figure of
`make rates PART=adversarial`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import foolbox
import torch

from diagnostics.methods.adversarial._attacks import ddn
from diagnostics.methods.adversarial._criterion import Criterion
from tests.benchmarks import bare
from tests.benchmarks.bare import Asked
from tests.benchmarks.figure import Figure
from tests.benchmarks.networks import PHOTO_NETWORKS, Timed, letters
from tests.benchmarks.timing import beside, faster, in_turn

PHOTO, SMALL = (8, 2), (64, 10)  # how many images, how many steps
LIMIT, NEVER_SLOWER = 1.1, 1.0


def figures() -> Iterator[Figure]:
    """Yield DDN on every network."""
    for make in (*PHOTO_NETWORKS, letters):
        yield from measured(make())


def measured(timed: Timed) -> Iterator[Figure]:
    """Yield DDN on one network.

    Raises:
        ValueError: When it asks for more passes than its steps need.
    """
    count, steps = SMALL if timed.shape[0] == 1 else PHOTO
    pixels, both = timed.pixels(count), bare.best_both(timed.network, timed.shape)
    with torch.no_grad():
        predicted = timed.classifier.logits(pixels).argmax(1)
    peer_model = foolbox.PyTorchModel(timed.network, bounds=(0, 1), device="cpu")
    peer = foolbox.attacks.DDNAttack(steps=steps)

    def ours(asked: Asked) -> None:
        ddn(Criterion(asked, predicted), pixels, lambda share: None, norm="l2", steps=steps)

    def theirs(at_once: int) -> None:
        for images, labels in zip(pixels.split(at_once), predicted.split(at_once), strict=True):
            peer(peer_model, images, labels, epsilons=None)

    asked = Asked(timed.classifier)
    ours(asked)
    if (asked.forward, asked.both) != (0, count * steps):
        raise ValueError(f"DDN asks for {asked.forward} and {asked.both} passes.")
    theirs(count)
    own_best = min(both.batch, count)
    settings = {"by default": count, f"{own_best} at once": own_best}
    seconds = in_turn(
        lambda: ours(asked),
        lambda: both.run(count * steps),
        *(partial(theirs, at_once) for at_once in settings.values()),
    )
    title, threads = f"DDN on {timed.name}", torch.get_num_threads()
    yield beside(
        f"{title}, beside {count * steps} bare passes forward and back",
        *seconds[:2],
        limit=LIMIT,
        engine=both.engine,
        threads=threads,
    )
    for setting, times in zip(settings, seconds[2:], strict=True):
        yield faster(
            f"{title}, against foolbox {setting}",
            seconds[0],
            times,
            limit=NEVER_SLOWER,
            threads=threads,
            remark="another loss",
        )
