"""How many images go through the network at once where gradients are kept."""

from __future__ import annotations

from collections.abc import Iterator

import torch

# Time of a pass forward and back for one image, over that at the best batch size tried; medians
# of 3 to 9 rounds on a processor, at 150,528 values with two threads and else with one.
#     784  dense letters, letters, digits       64: 1.0 to 1.1, 8: 1.3 to 3.4, 256: 1.0 to 1.3
#   3,072  a CIFAR-10 network and ResNet-18     64: 1.0 and 1.2, 16: 1.1 and 2.0, 256: 1.4 and 1.0
#  12,288  ResNet-18 and MobileNetV3 small      64: 1.0 and 1.0, 10: 1.4 and 1.9
#  49,152  the same                             32: 1.0 and 1.0, 16: 1.0 and 1.2, 10: 1.1 and 1.3
# 150,528  the same and a small ViT            8: 1.0, 10: 1.0 to 1.2, 16: 1.0 to 1.1, 1: 1.3 to 3.4
#          EfficientNet-lite0                   4: 1.0, 8: 1.3, 16: 1.6; with one thread 8: 1.0
# 268,203  ResNet-18                            8: 1.0, 4: 1.0, 16: 1.1
VALUES = 8 * 3 * 224**2
MIN_BATCH, MAX_BATCH = 8, 64
GPU_BATCH = 64


def gradient_batch_size(values: int, device: torch.device) -> int:
    """Return how many images go through at once.

    Args:
        values: Of one image.
        device: Where the network is.
    """
    if device.type != "cpu":
        return GPU_BATCH
    return max(MIN_BATCH, min(MAX_BATCH, VALUES // max(values, 1)))


def slices(count: int, limit: int) -> Iterator[slice]:
    """Return as few slices of so many things as the limit allows, all of about the same length."""
    parts = -(-count // max(limit, 1))
    for part in range(parts):
        yield slice(count * part // parts, count * (part + 1) // parts)
