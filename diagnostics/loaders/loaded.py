"""What a file holds that brings its own network, so that none must be recognised."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from diagnostics.models.ending import Ending
from diagnostics.schema.spec import Candidate, Check


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with its weights.

    Args:
        network: Takes images as (n, c, h, w); in evaluation mode.
        candidate: The one network there is.
        checks: What was looked at.
        class_names: What the file calls its classes; None where it does not.
        parameters: Number of learned values; None counts those of the network.
        ending: What the file shows of its end; None where only running it tells.
    """

    network: nn.Module
    candidate: Candidate
    checks: tuple[Check, ...]
    class_names: tuple[str, ...] | None = None
    parameters: int | None = None
    ending: Ending | None = None
