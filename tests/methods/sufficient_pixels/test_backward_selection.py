"""The search by gradients: closed forms, and the same order however sure the model is."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnostics.methods.sufficient_pixels._backward_selection import (
    BatchedGradientSearch,
    MaskedImage,
    SelectionPath,
    logit,
    next_hidden,
    refine,
)
from diagnostics.methods.sufficient_pixels._infill import Infill, make_infill
from diagnostics.schema.sufficient_pixels import FILLS
from tests.networks_for_tests import classifier, linear, mlp


class Scaled(nn.Module):
    """A network whose logits are multiplied."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, values: Tensor) -> Tensor:
        return self.network(values) * self.factor


class Curved(nn.Module):
    """A smooth network of no special form."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(64, 12), nn.Linear(12, 4)

    def forward(self, values: Tensor) -> Tensor:
        return self.outer(torch.tanh(self.inner(values.flatten(1))))


def black(pixels):
    return Infill("black", pixels, torch.zeros_like(pixels))


def order_of(model, pixels, targets, step):
    search = BatchedGradientSearch(model, black(pixels.to(model.dtype)), targets, step)
    return [path.order.tolist() for path in search.run()]


@pytest.mark.parametrize("factor", [1, 50, 300])
def test_the_margin_keeps_the_order_of_float64_however_sure_the_model_is(factor):
    torch.manual_seed(0)
    network = Scaled(Curved(), factor)
    pixels = torch.rand(6, 1, 8, 8)
    exact = classifier(network.double(), 8, dtype=torch.float64)
    with torch.no_grad():
        targets = exact.logits(pixels.double()).argmax(1)
    expected = order_of(exact, pixels, targets, 4)
    assert order_of(classifier(network.float(), 8), pixels, targets, 4) == expected


def test_a_logit_is_the_margin_of_its_probability():
    assert logit(0.9) == pytest.approx(math.log(9))


@pytest.mark.parametrize("step", [1, 3, 5, 16])
def test_a_logistic_model_is_ordered_in_closed_form_whatever_the_step(step):
    torch.manual_seed(1)
    network = linear(16, 2)
    model, pixels = classifier(network, 4, classes=2), torch.rand(3, 1, 4, 4)
    weight = (network[1].weight[1] - network[1].weight[0]).detach()
    bias = float(network[1].bias[1] - network[1].bias[0])
    targets = torch.ones(3, dtype=torch.int64)
    paths = BatchedGradientSearch(model, black(pixels), targets, step).run()
    for image, path in zip(pixels, paths, strict=True):
        parts = (weight * image.flatten()).numpy()
        assert path.order.tolist() == np.argsort(parts, kind="stable").tolist()
        largest = np.concatenate([[0], np.cumsum(np.sort(parts)[::-1])]) + bias
        assert path.margins == pytest.approx(largest[path.kept_counts], abs=1e-5)
        for tau in (0.3, 0.5, 0.6):
            reaching = [kept for kept in path.kept_counts if largest[kept] >= logit(tau) + 1e-6]
            assert path.smallest_size(tau) == (min(reaching) if reaching else None)


def test_hiding_everything_at_once_gives_all_pixels_or_none():
    torch.manual_seed(0)
    model, pixels = classifier(mlp(), 8), torch.rand(8, 1, 8, 8)
    with torch.no_grad():
        targets = model.logits(pixels).argmax(1)
    for path in BatchedGradientSearch(model, black(pixels), targets, 64).run():
        assert path.kept_counts.tolist() == [64, 0]
        for tau in (0.1, 0.3, 0.5):
            assert path.smallest_size(tau) in (0, 64, None)


def test_a_subset_reaches_the_threshold_when_asked_again_and_every_later_one_does_not():
    torch.manual_seed(2)
    model, pixels = classifier(Scaled(mlp(), 20), 8), torch.rand(4, 1, 8, 8)
    with torch.no_grad():
        targets = model.logits(pixels).argmax(1)
    fill = black(pixels)
    seen = 0
    for row, path in enumerate(BatchedGradientSearch(model, fill, targets, 3).run()):
        masked = MaskedImage(model, fill.select([row]), int(targets[row]))
        sizes = [path.smallest_size(tau) for tau in (0.5, 0.7, 0.9, 0.99)]
        assert sizes == sorted(sizes, key=lambda size: math.inf if size is None else size)
        if (size := path.smallest_size(0.9)) is None:
            continue
        seen += 1
        assert path.mask(size).sum() == size
        later = [kept for kept in path.kept_counts if kept < size]
        margins = masked.margins(np.stack([path.mask(kept) for kept in (size, *later)]))
        assert margins[0] >= logit(0.9) - 1e-4
        assert (margins[1:] < logit(0.9)).all()
    assert seen >= 2


def test_refining_never_makes_the_subset_larger_and_keeps_its_promise():
    torch.manual_seed(3)
    model, pixels = classifier(Scaled(mlp(), 30), 8), torch.rand(6, 1, 8, 8)
    with torch.no_grad():
        targets = model.logits(pixels).argmax(1)
    fill, fewer = black(pixels), 0
    for row, path in enumerate(BatchedGradientSearch(model, fill, targets, 8).run()):
        masked = MaskedImage(model, fill.select([row]), int(targets[row]))
        finer = refine(masked, path, 0.8, len(path.kept_counts))
        before, after = path.smallest_size(0.8), finer.smallest_size(0.8)
        assert after == before or after < before
        fewer += after != before
        assert sorted(finer.order.tolist()) == list(range(64))
        assert (np.diff(finer.kept_counts) < 0).all()
        if after:
            (margin,) = masked.margins(finer.mask(after)[None])
            assert margin >= logit(0.8) - 1e-4
    assert fewer


def test_equal_gains_are_hidden_in_their_order_and_what_is_no_number_last():
    shown = torch.tensor([True, True, False, True, True, True])
    gains = torch.tensor([1.0, 2.0, 9.0, 1.0, 1.0, math.nan])
    assert next_hidden(gains, shown, 3).tolist() == [1, 0, 3]
    assert next_hidden(gains, shown, 9).tolist() == [1, 0, 3, 4, 5]


def test_the_next_hidden_are_those_first_in_a_stable_order_of_all():
    random = torch.Generator().manual_seed(0)
    for levels in (3, 50, 10_000):
        gains = torch.randint(levels, (400,), generator=random) / levels
        shown = torch.rand(400, generator=random) < 0.7
        order = sorted(shown.nonzero()[:, 0].tolist(), key=lambda pixel: -float(gains[pixel]))
        for step in (1, 17, 400):
            assert next_hidden(gains, shown, step).tolist() == order[:step]


def test_pixels_that_were_not_hidden_yet_stand_at_infinity():
    model, pixels = classifier(mlp(), 8), torch.rand(1, 1, 8, 8)
    search = BatchedGradientSearch(model, black(pixels), torch.tensor([0]), 10)
    search.advance()
    search.advance()
    (path,) = search.paths()
    assert isinstance(path, SelectionPath)
    assert not path.complete
    assert np.isinf(path.selection_order()).sum() == 44
    assert sorted(path.selection_order()[np.isfinite(path.selection_order())]) == list(range(20))


def test_channels_are_hidden_together():
    torch.manual_seed(0)
    model, pixels = classifier(mlp(64, channels=3), 8, 3), torch.rand(1, 3, 8, 8)
    seen = []
    logits = model.logits
    model.logits = lambda given: (seen.append(given.detach().clone()), logits(given))[1]
    BatchedGradientSearch(model, black(pixels), torch.tensor([1]), 13).run()
    for given in seen:
        hidden = (given == 0)[0]
        assert (hidden == hidden[:1]).all()


@pytest.mark.parametrize("name", list(FILLS))
def test_every_fill_keeps_what_is_shown_and_stays_an_image(name):
    torch.manual_seed(0)
    model, pixels = classifier(mlp(144, channels=3), 12, 3), torch.rand(2, 3, 12, 12)
    fill, before = make_infill(name, model, pixels, 5), pixels.clone()
    shown = torch.rand(2, 12, 12) < 0.4
    for masks in (shown, torch.zeros_like(shown), torch.ones_like(shown)):
        applied = fill.apply(masks)
        assert (applied >= 0).all()
        assert (applied <= 1).all()
        kept = masks[:, None].expand_as(pixels)
        assert (applied[kept] == pixels[kept]).all()
    assert (pixels == before).all()
    again = make_infill(name, model, pixels, 5).apply(shown)
    assert torch.allclose(fill.select([1, 0]).apply(shown.flip(0)), again.flip(0), atol=1e-3)
