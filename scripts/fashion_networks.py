"""Two small classifiers for 28 × 28 garments: a convolutional one and a vision transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FashionCNN(nn.Module):
    """A convolutional network with BatchNorm, 110 thousand parameters, 128 features."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_convolution(1, 16),
            nn.MaxPool2d(2),
            *_convolution(16, 48),
            *_convolution(48, 64),
            nn.MaxPool2d(2),
            *_convolution(64, 128),
        )
        self.pool, self.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.head = nn.Linear(128, num_classes)

    def forward(self, values: Tensor) -> Tensor:
        """Return the logits of normalised images, shape (n, 1, 28, 28)."""
        logits: Tensor = self.head(self.flatten(self.pool(self.features(values))))
        return logits


def _convolution(taken: int, given: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(taken, given, 3, padding=1, bias=False), nn.BatchNorm2d(given), nn.ReLU()


class Attention(nn.Module):
    """Self-attention whose weights leave a module of their own, `softmax`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return mixed tokens, shape (n, t, width), of tokens of the same shape."""
        n, t, width = tokens.shape
        shape = (n, t, 3, self.heads, width // self.heads)
        queries, keys, values = self.qkv(tokens).reshape(shape).permute(2, 0, 3, 1, 4)
        weights = self.softmax(queries @ keys.transpose(-2, -1) * self.scale)
        mixed: Tensor = self.proj((weights @ values).transpose(1, 2).reshape(n, t, width))
        return mixed


class Block(nn.Module):
    """One layer of a transformer: attention, then a dense part, each behind a LayerNorm."""

    def __init__(self, width: int, heads: int, wider: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2, self.fc1 = nn.LayerNorm(width), nn.Linear(width, wider)
        self.gelu, self.fc2 = nn.GELU(), nn.Linear(wider, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape, (n, t, width)."""
        tokens = tokens + self.attention(self.norm1(tokens))
        changed: Tensor = tokens + self.fc2(self.gelu(self.fc1(self.norm2(tokens))))
        return changed


class FashionViT(nn.Module):
    """A vision transformer: patches of 4 × 4, width 64, four blocks of four heads, class token."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        width, heads, depth, patch = 64, 4, 4, 4
        self.patches = nn.Conv2d(1, width, patch, patch)
        self.flatten = nn.Flatten(2)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, (28 // patch) ** 2 + 1, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads, 2 * width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, values: Tensor) -> Tensor:
        """Return the logits of normalised images, shape (n, 1, 28, 28)."""
        tokens = self.flatten(self.patches(values)).transpose(1, 2)
        first = self.class_token.expand(len(tokens), -1, -1)
        tokens = self.blocks(torch.cat([first, tokens], 1) + self.positions)
        logits: Tensor = self.head(self.norm(tokens)[:, 0])
        return logits


NETWORKS: dict[str, type[nn.Module]] = {"fashion_cnn": FashionCNN, "fashion_vit": FashionViT}
