"""How many images go through at once, and how many things are shared out among passes."""

from __future__ import annotations

import pytest
import torch

from diagnostics.models.batch_size import GPU_BATCH, gradient_batch_size, slices


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1, 28, 28), 64), ((3, 64, 64), 64), ((3, 128, 128), 24), ((3, 224, 224), 8)],
)
def test_larger_images_go_through_fewer_at_once(shape, expected):
    values = torch.Size(shape).numel()
    assert gradient_batch_size(values, torch.device("cpu")) == expected
    assert gradient_batch_size(values, torch.device("cuda")) == GPU_BATCH


@pytest.mark.parametrize("count", [1, 7, 25, 50, 64])
@pytest.mark.parametrize("limit", [0, 1, 8, 10, 64])
def test_slices_cover_everything_once_in_as_few_even_parts_as_fit(count, limit):
    parts = [range(count)[part] for part in slices(count, limit)]
    assert [index for part in parts for index in part] == list(range(count))
    lengths = [len(part) for part in parts]
    assert max(lengths) <= max(limit, 1)
    assert max(lengths) - min(lengths) <= 1
    assert len(parts) == -(-count // max(limit, 1))
