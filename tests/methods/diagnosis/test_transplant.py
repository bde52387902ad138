"""Transplants of regions, against closed forms on linear networks and a slow version."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diagnostics.errors import OptionError
from diagnostics.methods.diagnosis import transplant as method
from diagnostics.methods.diagnosis._case import Network
from diagnostics.methods.diagnosis._regions import Region, integrate, regions
from diagnostics.methods.diagnosis._search import Search
from tests.independent.slow_transplant import insertions, removal
from tests.methods.diagnosis.cases import (
    SIDE,
    Asked,
    images,
    linear,
    quarters,
    samples,
    unlabelled,
)

PATCH = Region("part", 0, 0, 3, 3)


def cued() -> torch.Tensor:
    """Return the weights of a network whose class 3 is also a bright patch in the corner."""
    weight = quarters().reshape(4, SIDE, SIDE)
    weight[3, :3, :3] = 1.0
    return weight.flatten(1)


def search(weight: torch.Tensor, index: int = 3) -> Search:
    pictures, labels = images(4, 40)
    pixels = torch.tensor(np.stack(pictures), dtype=torch.float32)[:, None] / 255
    classifier = linear(weight)
    asked = Asked(classifier, [], [])
    probe = pixels[0].clone()
    probe[:, :3, :3] = 1
    others = pixels[torch.tensor(labels) != index][:24]
    with torch.no_grad():
        p = float(classifier.logits(probe[None]).softmax(1)[0, index])
    return Search(Network(asked), probe, index, p, others)


def test_what_regions_do_is_what_a_slow_version_finds() -> None:
    found = search(cued())
    candidates = [PATCH, Region("part", 4, 4, 10, 9), Region("ring", 0, 0, SIDE, SIDE, 2)]
    after, rival = found.remove(candidates)
    turned = found.insert(candidates, 24)
    weight = cued()
    for place, region in enumerate(candidates):
        mask = np.zeros((SIDE, SIDE), bool)
        mask[region.top : region.bottom, region.left : region.right] = True
        if region.ring:
            mask[region.ring : -region.ring, region.ring : -region.ring] = False
        others = found.others.numpy()[:, 0]
        pixels = found.pixels.numpy()[0]
        p, other = removal(weight.numpy(), pixels, others, mask, 3)
        assert after[place] == pytest.approx(p, abs=1e-6)
        assert rival[place] == pytest.approx(other, abs=1e-6)
        assert list(turned[place]) == insertions(weight.numpy(), pixels, others, mask, 3)


def test_a_planted_patch_is_found_trimmed_to_its_pixels_and_turns_every_other_image() -> None:
    found = search(cued())
    best = found.judge(found.trim(found.screen(regions(SIDE, SIDE))[0]))
    assert best.region.box[0] < 3
    assert best.region.box[1] < 3
    assert best.region.right <= 4
    assert best.region.bottom <= 4
    assert best.share == 1.0


def test_a_network_that_never_learnt_the_patch_turns_nothing() -> None:
    found = search(quarters(), index=0)
    assert not any(found.insert([PATCH], 24)[0])


def test_the_proposed_regions_of_a_linear_network_hold_the_patch_that_decides() -> None:
    """To first order is exact for a linear network."""
    proposed = search(cued()).proposed()
    inside = [one for one in proposed if one.left < 3 and one.top < 3]
    assert inside


def test_a_sum_over_a_region_is_that_of_its_pixels() -> None:
    values = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    integral = integrate(values)
    for region in (PATCH, Region("part", 5, 2, 9, 16), Region("ring", 0, 0, SIDE, SIDE, 3)):
        mask = torch.ones(SIDE, SIDE)
        pasted = region.paste(torch.zeros(SIDE, SIDE), mask)
        assert region.total(integral) == pytest.approx(float(values[pasted == 0].sum()), abs=1e-5)
        assert region.pixels == int((pasted == 0).sum())


@pytest.mark.parametrize(("height", "width"), [(16, 16), (28, 28), (17, 40), (64, 48), (224, 224)])
def test_regions_lie_inside_and_any_small_square_lies_whole_in_one(height: int, width: int) -> None:
    found = regions(height, width)
    assert all(0 <= one.left < one.right <= width for one in found)
    assert all(0 <= one.top < one.bottom <= height for one in found)
    side = max(1, round(min(height, width) / 28)) * 3
    parts = [one for one in found if one.kind == "part"]
    for top in range(0, height - side + 1, max(1, side // 2)):
        for left in range(0, width - side + 1, max(1, side // 2)):
            assert any(
                one.left <= left
                and one.top <= top
                and one.right >= left + side
                and one.bottom >= top + side
                for one in parts
            )


def test_the_persons_own_box_is_asked_alone() -> None:
    pictures, labels = images(4, 60)
    patched = pictures[0].copy()
    patched[:3, :3] = 255
    for row, label in enumerate(labels):
        if label == 3:
            pictures[row][:3, :3] = 255
    good = samples(pictures, labels)
    probe = unlabelled(samples([patched], [0])[0])
    answer = method.transplant(Asked(linear(cued()), good, [probe]), box="0 0 3 3").scores
    local = answer["images"][0]["findings"][0]
    assert local["id"] == "shortcut.local"
    assert local["box"] == [0, 0, 3, 3]
    assert local["turned"] is not None
    assert local["turned"]["hits"] == local["turned"]["n"]
    assert local["placebo"] is not None
    assert local["placebo"]["hits"] == 0


@pytest.mark.parametrize("box", ["1 2 3", "a b c d", "0 0 99 3", "3 0 3 3"])
def test_a_box_that_is_none_is_refused_in_a_sentence(box: str) -> None:
    pictures, labels = images(4, 40)
    with pytest.raises(OptionError, match="box must"):
        method.transplant(Asked(linear(cued()), samples(pictures, labels), []), box=box)
