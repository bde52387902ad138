"""Networks for which it is known which pixels suffice, and images for them."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from diagnostics.data.samples import file_at
from diagnostics.methods.context import Context
from tests.networks_for_tests import classifier

SIZE = 8


class Constant(nn.Module):
    """Says class 1 whatever it sees."""

    def forward(self, values: Tensor) -> Tensor:
        zero = 0 * values.flatten(1).sum(1, keepdim=True)
        return torch.cat([zero, zero + 9, zero, zero], 1)


class Spots(nn.Module):
    """Class c is as sure as spot c is bright: a few pixels alone decide."""

    SPOTS = ((1, 2), (4, 4), (6, 1), (6, 6))

    def __init__(self, gain: float = 12.0) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, values: Tensor) -> Tensor:
        brightness = [values[:, :, row, column].mean(1) for row, column in self.SPOTS]
        return self.gain * (torch.stack(brightness, 1) - 0.25)


class Cue(Spots):
    """Spot 1 decides, whatever the other spots show."""

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values) * torch.tensor([1.0, 1.5, 1.0, 1.0])


class Everywhere(nn.Module):
    """Class 0 needs nearly every pixel to be bright."""

    def forward(self, values: Tensor) -> Tensor:
        bright = values.flatten(1).mean(1)
        zero = torch.zeros_like(bright)
        return torch.stack([40 * (bright - 0.7), zero, zero, zero], 1)


class NotFinite(nn.Module):
    """Gives numbers for dark images only."""

    def forward(self, values: Tensor) -> Tensor:
        bright = values.flatten(1).mean(1, keepdim=True)
        return torch.where(bright > 0.3, torch.nan, bright).expand(-1, 4)


def spotted(*bright):
    """Return a black image with some of the spots of `Spots` white."""
    values = np.zeros((SIZE, SIZE))
    for spot in bright:
        values[Spots.SPOTS[spot]] = 1
    return values


def context_of(folder, network, *images, channels=1, **settings):
    """Return a context of images given as arrays in [0, 1], saved in a folder."""
    files = []
    for index, values in enumerate(images):
        path = folder / f"{index}.png"
        Image.fromarray(np.rint(255 * np.asarray(values)).astype(np.uint8)).save(path)
        files.append(file_at(path))
    model = classifier(network, SIZE, channels) if isinstance(network, nn.Module) else network
    return Context(model, files=files, **settings)
