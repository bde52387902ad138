"""Our own small networks, and what each wants to receive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from string import ascii_lowercase, digits

from torch import Tensor, nn


class LettersDense(nn.Module):
    """A dense network for 28 × 28 letters: 784 → 256 → 128 → 100 → 26."""

    def __init__(self, num_classes: int = 26, in_chans: int = 1) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1, self.relu1 = nn.Linear(in_chans * 28 * 28, 256), nn.ReLU()
        self.fc2, self.relu2 = nn.Linear(256, 128), nn.ReLU()
        self.fc3, self.relu3 = nn.Linear(128, 100), nn.ReLU()
        self.fc4 = nn.Linear(100, num_classes)

    def forward(self, values: Tensor) -> Tensor:
        """Return the logits of normalised images, shape (n, 1, 28, 28)."""
        values = self.relu1(self.fc1(self.flatten(values)))
        values = self.relu2(self.fc2(values))
        logits: Tensor = self.fc4(self.relu3(self.fc3(values)))
        return logits


class LettersConv(nn.Module):
    """A small convolutional network for 28 × 28 letters, about 120 thousand parameters."""

    def __init__(self, num_classes: int = 26, in_chans: int = 1) -> None:
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(in_chans, 16, 3, padding=1), nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2, self.relu2 = nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.conv3, self.relu3 = nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()
        self.pool3 = nn.MaxPool2d(2, padding=1)
        self.flatten = nn.Flatten()
        self.fc1, self.relu4 = nn.Linear(32 * 4 * 4, 100), nn.ReLU()
        self.fc2 = nn.Linear(100, num_classes)

    def forward(self, values: Tensor) -> Tensor:
        """Return the logits of normalised images, shape (n, 1, 28, 28)."""
        values = self.pool1(self.relu1(self.conv1(values)))
        values = self.pool2(self.relu2(self.conv2(values)))
        values = self.pool3(self.relu3(self.conv3(values)))
        logits: Tensor = self.fc2(self.relu4(self.fc1(self.flatten(values))))
        return logits


class DigitsConv(nn.Module):
    """Three convolutions and two dense layers for 28 × 28 digits, a common MNIST layout."""

    def __init__(self, num_classes: int = 10, in_chans: int = 1) -> None:
        super().__init__()
        widths = (in_chans, 32, 64, 128)
        stages: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            stages += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.conv_layers = nn.Sequential(*stages)
        self.flatten = nn.Flatten()
        self.fc_layers = nn.Sequential(
            nn.Linear(128 * 3 * 3, 256), nn.ReLU(), nn.Linear(256, num_classes)
        )

    def forward(self, values: Tensor) -> Tensor:
        """Return the logits of normalised images, shape (n, 1, 28, 28)."""
        logits: Tensor = self.fc_layers(self.flatten(self.conv_layers(values)))
        return logits


@dataclass(frozen=True)
class Network:
    """One of our networks: how to build it, and what it wants to receive.

    Args:
        build: Takes `num_classes` and `in_chans`.
        side: Height and width of the input in px.
        mean: Mean of the training pixels, in [0, 1].
        std: Standard deviation of the training pixels.
        class_names: One name per output.
    """

    build: Callable[..., nn.Module]
    side: int
    mean: float
    std: float
    class_names: tuple[str, ...]


NETWORKS = {
    "letters_conv": Network(LettersConv, 28, 0.2374, 0.3427, tuple(ascii_lowercase)),
    "letters_dense": Network(LettersDense, 28, 0.2374, 0.3427, tuple(ascii_lowercase)),
    "digits_conv": Network(DigitsConv, 28, 0.1307, 0.3081, tuple(digits)),
}
