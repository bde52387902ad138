"""What each layer gave for each image: its statistics, and the values a picture of it needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diagnostics.models.attention import attention_of_token
from diagnostics.models.layers import as_maps
from diagnostics.schema.layouts import Size, layout
from diagnostics.schema.results.inspection import LayerEntry, SilentUnits
from diagnostics.schema.spec import LayerInfo

SILENT = 1e-6  # a unit whose values differ by less than this has nothing to say


@dataclass
class LayerView:
    """What one layer gave for one image.

    Args:
        entry: The layer's part of the answer.
        values: What a picture of the layer needs, see `pictures.layer`; None for no picture.
        extremes: Lowest and highest value of each unit, shape (2, units); None without units.
        cells: How many values of the image each unit has.
    """

    entry: LayerEntry
    values: NDArray[np.float32] | None = None
    extremes: NDArray[np.float32] | None = field(default=None, repr=False)
    cells: int = 0


@torch.no_grad()
def view(
    layers: Sequence[LayerInfo],
    activations: Mapping[str, Tensor],
    drawn: Collection[str],
    image_size: Size,
    images: int,
    *,
    max_maps: int,
    query: int | None = None,
    shared_maps: dict[str, list[int]] | None = None,
) -> list[list[LayerView]]:
    """Return, for each image, what every layer gave.

    Args:
        layers: The layers, in the order of the answer.
        activations: What each layer that ran gave, first axis the images.
        drawn: Names of the layers to draw.
        image_size: Height and width of the network's input, in px.
        images: How many images there are.
        max_maps: Most maps to draw of a layer, the strongest first.
        query: Token whose attention to draw; None takes the class token, or the middle one.
        shared_maps: Which maps of a layer to draw of every image; layers that are not in it draw
            the maps that are strongest in the first image, and are added. None draws the
            strongest maps of each image.
    """
    views: list[list[LayerView]] = [[] for _ in range(images)]
    known: dict[tuple[int, str], _Statistics] = {}  # a block gives the very values of its last part
    for layer in layers:
        values = activations.get(layer.name)
        if values is None:
            for of_image in views:
                of_image.append(LayerView(_not_captured(layer)))
            continue
        key = (id(values), layout(layer, image_size))
        statistics = known[key] = known.get(key) or _Statistics(values, key[1])
        for row, of_image in enumerate(views):
            layer_view = statistics.view(row, layer, tuple(values.shape[1:]))
            of_image.append(layer_view)
            if layer.name in drawn:
                channels = shared_maps.get(layer.name) if shared_maps is not None else None
                _draw(layer_view, layer, values[row], image_size, max_maps, query, channels)
                if shared_maps is not None and channels is None:
                    shared_maps[layer.name] = layer_view.entry.get("channels", [])
    return views


def count_silent(views: Sequence[Sequence[LayerView]]) -> None:
    """Write to each layer's entry how many of its units are silent on all these images.

    A unit is a map of a convolution, one value of a dense layer, one channel of tokens. It is
    silent when its values differ by less than 1e-6 over the images and over its cells; a unit
    with one value in all is silent when that is zero.
    """
    for same_layer in zip(*views, strict=True):
        extremes = [view.extremes for view in same_layer if view.extremes is not None]
        silent: SilentUnits | None = None
        if extremes:
            low = np.min(extremes, axis=0)[0]
            high = np.max(extremes, axis=0)[1]
            single = len(extremes) * same_layer[0].cells == 1
            quiet = (high == 0) if single else (high - low < SILENT)
            silent = SilentUnits(units=quiet.size, silent=int(quiet.sum()), images=len(extremes))
        for view in same_layer:
            view.entry["silent"] = silent


class _Statistics:
    """Statistics of a layer for all images, and of each of its units.

    The values are read as they lie in memory: by unit, or, when channels come last, by cell.
    """

    def __init__(self, values: Tensor, arrangement: str) -> None:
        last = arrangement in ("channels last", "tokens")
        if arrangement == "channels" and values.is_contiguous(memory_format=torch.channels_last):
            values, last = values.movedim(1, -1), True
        if arrangement == "windows":
            values = values.transpose(1, 2)
        self._has_units = arrangement != "other"
        # Rows of attention sum to one, so their magnitudes tell nothing of the units.
        has_ratio = self._has_units and arrangement not in ("attention", "windows")
        values = values.float()
        rows = values.flatten(1, -2) if last else values[..., None].flatten(2)
        cells = 1 if last else 2
        self._cells = rows.shape[cells]
        self._low, self._high = rows.amin(cells), rows.amax(cells)
        # One room for what follows: fresh memory, and bool, take several times as long.
        room, count = torch.empty_like(rows), rows[0].numel()
        strength = torch.abs(rows, out=room).sum(cells) / self._cells
        zeros = torch.eq(rows, 0, out=room).sum((1, 2)) / count
        mean = rows.mean(cells).mean(1)
        centred = torch.sub(rows, mean[:, None, None], out=room)
        std = torch.linalg.vector_norm(centred, dim=(1, 2)) / count**0.5
        ratio = strength.sum(1) ** 2 / (strength.shape[1] * strength.square().sum(1))
        self._numbers = torch.stack(
            [
                self._low.amin(1),
                self._high.amax(1),
                mean,
                std,
                zeros,
                ratio if has_ratio else torch.full_like(mean, torch.nan),
            ],
            1,
        ).tolist()

    def view(self, row: int, layer: LayerInfo, shape: tuple[int, ...]) -> LayerView:
        """Return one image's entry."""
        low, high, mean, std, zeros, participation = map(_finite, self._numbers[row])
        entry = LayerEntry(
            name=layer.name,
            kind=layer.kind,
            shape=list(shape),
            low=low,
            high=high,
            mean=mean,
            std=std,
            zeros=zeros,
            participation=participation,
            silent=None,
            picture=None,
        )
        extremes = torch.stack([self._low[row], self._high[row]]).cpu().numpy()
        known = extremes if self._has_units and np.isfinite(extremes).all() else None
        return LayerView(entry, extremes=known, cells=self._cells)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _draw(
    view: LayerView,
    layer: LayerInfo,
    values: Tensor,
    image_size: Size,
    max_maps: int,
    query: int | None,
    channels: list[int] | None,
) -> None:
    """Keep what a picture of the layer needs: maps, the whole vector, or a table of tokens."""
    arrangement, note = layout(layer, image_size), ""
    maps = as_maps(values[None], layer, image_size)
    if maps is not None:
        extra = values.shape[0] - maps[0, 0].numel() if arrangement == "tokens" else 0
        note = f"{extra} extra token{'s' * (extra > 1)} left out" if extra else ""
        values, arrangement = maps[0], "channels"
    if arrangement in ("attention", "windows"):
        heads = attention_of_token(values, image_size, query)
        arrangement = "attention" if heads else "other"
        values, note = heads or (values, "")
    view.entry["layout"] = arrangement
    if arrangement == "other":
        return
    drawn: list[int] = list(range(len(values))) if arrangement == "attention" else []
    if arrangement == "channels":
        strength = values.abs().flatten(1).mean(1)
        strongest = torch.argsort(strength, descending=True, stable=True)[:max_maps]
        drawn = strongest.tolist() if channels is None else channels
        values = values[drawn]
    view.values = values.detach().float().cpu().numpy()
    view.entry["channels"], view.entry["note"] = drawn, note
    view.entry["picture"] = f"layer/{layer.name}"


def _not_captured(layer: LayerInfo) -> LayerEntry:
    return LayerEntry(
        name=layer.name,
        kind=layer.kind,
        shape=[],
        low=None,
        high=None,
        mean=None,
        std=None,
        zeros=None,
        participation=None,
        silent=None,
        picture=None,
        layout="not captured",
    )
