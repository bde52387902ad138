"""How many images go through the network at once where a method asks about many."""

from __future__ import annotations

from torch import Tensor

from diagnostics.models.batch_size import gradient_batch_size

GPU_FORWARD = 256
CPU = 10
CACHED = 64 * 28**2  # values of a batch that stay in the processor's cache


def batch_size(pixels: Tensor) -> int:
    """Return how many images go through at once where gradients may be kept."""
    return gradient_batch_size(pixels[0].numel(), pixels.device)


def forward_batch_size(pixels: Tensor) -> int:
    """Return how many images go through at once where no gradients are kept."""
    if pixels.is_cuda:
        return GPU_FORWARD
    return max(CPU, min(64, CACHED // max(pixels[0].numel(), 1)))
