"""From a graph to a network, also where the graph was written for so many images at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

import torch
from torch import Tensor, nn

from diagnostics.errors import ModelError
from diagnostics.models.graph import Graph
from diagnostics.models.graph.network import GraphError, GraphNetwork
from diagnostics.schema.spec import Check
from diagnostics.text import line_of


class Unlisted(nn.Module):
    """A network whose layers are not listed, because they cannot be told apart by image.

    Args:
        network: The network.
        batch: How many images it takes at a time; None for any number.
    """

    def __init__(self, network: nn.Module, batch: int | None) -> None:
        super().__init__()
        self._network = (network,)  # in a tuple, so that its layers are not ours
        self._batch = batch

    def forward(self, images: Tensor) -> Any:
        """Return the scores of any number of images, shape (n, c, h, w)."""
        if self._batch is None:
            return self._network[0](images)
        parts = torch.split(images, self._batch)
        missing = self._batch - len(parts[-1])
        filled = torch.cat([parts[-1], parts[-1][-1:].expand(missing, *images.shape[1:])])
        scores = [self._network[0](part) for part in (*parts[:-1], filled)]
        return torch.cat(scores)[: len(images)]

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the network's parameters."""
        return self._network[0].named_parameters(*args, **kwargs)

    def _apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._network[0]._apply(function, recurse)  # type: ignore[no-untyped-call]
        return self


def network_of(graph: Graph, batch: int | None) -> tuple[nn.Module, tuple[Check, ...]]:
    """Return the network that runs a graph.

    Args:
        graph: What to run.
        batch: For how many images it was written; None for any number.

    Raises:
        ModelError: When it cannot be computed.
    """
    try:
        network = GraphNetwork(graph)
    except GraphError as error:
        raise ModelError(f"The graph cannot be computed: {line_of(error, 160)}.") from None
    if batch in (None, 1):
        return network, ()
    message = (
        f"It was exported for {batch} images at a time, so it is asked in parts and its layers "
        "cannot be told apart by image; export it with a dynamic batch to see them."
    )
    return Unlisted(network, batch or 1), (Check("batch", "warned", message),)
