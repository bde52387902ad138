"""Maps that know nothing of the model."""

from __future__ import annotations

import torch

from diagnostics.methods.faithfulness._null_maps import centre, edges, noise


def test_a_blob_ranks_places_by_their_distance_from_the_middle():
    blob = centre(torch.empty(1, 3, 9, 7))[0]
    assert blob.shape == (9, 7)
    assert blob.argmax() == 4 * 7 + 3
    corners = blob[[0, 0, 8, 8], [0, 6, 0, 6]]
    assert torch.equal(corners, blob.min().expand(4))


def test_edges_lie_where_the_image_changes():
    image = torch.full((1, 3, 12, 12), 0.2)
    image[..., 6:] = 0.6
    assert set(edges(image)[0].nonzero()[:, 1].tolist()) == {4, 5, 6}
    image[..., 6:] = 0.2
    assert not edges(image).any()


def test_noise_is_other_noise_for_each_map_and_the_same_for_the_same_seed():
    maps = noise(12, (20, 14), torch.Generator().manual_seed(3))
    assert maps.shape == (12, 20, 14)
    assert torch.equal(maps, noise(12, (20, 14), torch.Generator().manual_seed(3)))
    assert len({tuple(each.flatten().tolist()) for each in maps}) == 12
