"""The mathematics of smallest changes: goals, the box, and the searches."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from diagnostics.data.image import encode_png
from diagnostics.methods.adversarial import _attacks as attacks
from diagnostics.methods.adversarial._criterion import Goal
from diagnostics.methods.adversarial._norms import (
    Norm,
    between,
    fitted,
    least,
    nearest,
    size,
    steepest,
)
from diagnostics.methods.adversarial._verification import MULTIPLES, Verifier, levels, read_again
from tests.independent.slow_minimal import foolbox_deepfool, least_in_box
from tests.networks_for_tests import classifier, mlp

NORMS = get_args(Norm)


def linear(classes=4, side=8, scale=1.0, seed=0):
    """A linear classifier in float64, its weights and bias."""
    torch.manual_seed(seed)
    layer = nn.Linear(side * side, classes)
    with torch.no_grad():
        layer.weight.normal_().mul_(scale)
        layer.bias.normal_().mul_(scale)
    return classifier(nn.Sequential(nn.Flatten(), layer), side, 1, classes, dtype=torch.float64)


def parts(model):
    layer = model.network[1]
    return layer.weight.detach().double(), layer.bias.detach().double()


def images(count, side=8, seed=1, low=0.3, high=0.7):
    random = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(count, 1, side, side, generator=random).double()


def goal_of(model, pixels, target=None):
    with torch.no_grad():
        return Goal(model, model.logits(pixels).argmax(1), target)


def closed_form(model, pixels, norm, target=None):
    """The distance to the nearest boundary of a linear classifier, without a box."""
    weight, bias = parts(model)
    logits = pixels.flatten(1) @ weight.T + bias
    said = logits.argmax(1)
    order = 2 if norm == "l2" else 1
    found = []
    for row, own in zip(logits, said.tolist(), strict=True):
        others = [k for k in range(len(bias)) if k != own]
        found.append(
            min(float((row[own] - row[k]) / (weight[own] - weight[k]).norm(order)) for k in others)
        )
    return torch.tensor(found, dtype=torch.float64)


def quiet(_share):
    """Tell nobody."""


def fool(goal, pixels, norm):
    return attacks.deepfool(goal, pixels, quiet, norm=norm)


def walk(goal, pixels, norm):
    return attacks.walk(goal, pixels, quiet, norm=norm, steps=120)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("search", [fool, walk])
def test_a_linear_classifier_has_the_distance_of_the_closed_form(norm, search):
    model, pixels = linear(), images(12)
    goal = goal_of(model, pixels)
    changed, there = search(goal, pixels, norm)
    assert there.all()
    assert goal.reached(model.logits(changed)).all()
    refined = nearest(lambda at: goal.reached(goal.logits(at)), pixels, changed)
    ratio = size(refined - pixels, norm) / closed_form(model, pixels, norm)
    assert float(ratio.min()) >= 1
    assert float(ratio.max()) < 1.05
    assert (model.logits(refined).argmax(1) != goal.said).all()


def test_the_historical_search_finds_the_closed_form_too():
    model, pixels = linear(2), images(6)
    goal = goal_of(model, pixels)
    changed, there = attacks.penalised(goal, pixels, quiet)
    assert there.all()
    refined = nearest(lambda at: goal.reached(goal.logits(at)), pixels, changed)
    ratio = size(refined - pixels, "l2") / closed_form(model, pixels, "l2")
    assert float(ratio.min()) >= 1
    assert float(ratio.max()) < 1.05


@pytest.mark.parametrize("norm", NORMS)
def test_the_smallest_change_in_the_box_is_that_of_a_bisection(norm):
    random = torch.Generator().manual_seed(3)
    pixels = torch.rand(20, 1, 6, 6, generator=random).double()
    pixels[:, :, :2] = pixels[:, :, :2].round()  # many values lie at a bound
    slope = torch.randn(20, 1, 6, 6, generator=random).double()
    room = torch.where(slope < 0, 1 - pixels, pixels)
    most = (slope.abs() * room).flatten(1).sum(1)
    need = most * torch.linspace(0.01, 0.97, 20, dtype=torch.float64)
    change = least(pixels, slope, need, norm)
    np.testing.assert_allclose(-(slope * change).flatten(1).sum(1), need, rtol=1e-6)
    for row in range(20):
        expected = least_in_box(pixels[row].numpy(), slope[row].numpy(), float(need[row]), norm)
        np.testing.assert_allclose(change[row].numpy(), expected, atol=1e-6)
    inside = pixels + change
    assert float(inside.min()) >= 0
    assert float(inside.max()) <= 1


@pytest.mark.parametrize("norm", NORMS)
def test_a_linear_classifier_in_the_box_has_the_distance_of_a_bisection(norm):
    model, pixels = linear(2, 6, seed=5), images(10, 6, low=-0.5, high=1.5).clamp(0, 1)
    goal = goal_of(model, pixels)
    changed, there = fool(goal, pixels, norm)
    assert there.all()
    refined = nearest(lambda at: goal.reached(goal.logits(at)), pixels, changed, 40)
    weight, bias = parts(model)
    distances = size(refined - pixels, norm)
    for row, own in enumerate(goal.said.tolist()):
        slope = (weight[own] - weight[1 - own]).view(1, 6, 6)
        lead = float((slope * pixels[row]).sum() + bias[own] - bias[1 - own])
        change = least_in_box(pixels[row].numpy(), slope.numpy(), lead, norm)
        flat = np.abs(change).max() if norm == "linf" else np.linalg.norm(change)
        assert 1 - 1e-6 <= float(distances[row]) / flat < 1.005


@pytest.mark.parametrize("norm", NORMS)
def test_what_the_box_cannot_give_is_given_as_far_as_it_goes(norm):
    pixels, slope = torch.full((1, 1, 2, 2), 0.25), -torch.ones(1, 1, 2, 2)
    change = least(pixels, slope, torch.tensor([100.0]), norm)
    assert (pixels + change == 1).all()
    assert (least(pixels, torch.zeros_like(slope), torch.tensor([1.0]), norm) == 0).all()


@pytest.mark.parametrize("norm", NORMS)
def test_steps_and_radii_have_the_size_they_are_named_by(norm):
    gradient = torch.randn(5, 3, 4, 4)
    gradient[4] = 0
    step = steepest(gradient, norm)
    torch.testing.assert_close(size(step, norm), torch.tensor([1.0] * 4 + [0.0]))
    assert ((step * gradient).flatten(1).sum(1)[:4] < 0).all()
    radius = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5])
    torch.testing.assert_close(size(fitted(step, radius, norm), norm)[:4], radius[:4])


def test_bisection_ends_a_millionth_behind_the_crossing():
    pixels, changed = torch.zeros(3, 1, 1, 1).double(), torch.ones(3, 1, 1, 1).double()
    limit = torch.tensor([0.1, 0.5, 0.999]).double()
    found = nearest(lambda at: at.flatten() > limit, pixels, changed).flatten()
    assert (found > limit).all()
    assert float((found - limit).max()) < 1.1e-6


@pytest.mark.parametrize("target", [None, 2])
def test_margins_are_positive_until_the_goal_is_reached(target):
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 1.0, 5.0], [2.0, 2.0, 0.0]])
    goal = Goal(classifier(mlp(), 8), torch.tensor([0, 0, 0]), target)
    wanted = [1.0, -5.0, 0.0] if target is None else [1.0, -4.0, 2.0]
    assert goal.margin(logits).tolist() == wanted
    assert goal.reached(logits).tolist() == [False, True, False]
    assert not goal.reached(logits * torch.nan).any()


def test_with_a_warmth_of_one_the_slope_points_where_the_cross_entropy_points():
    torch.manual_seed(0)
    model, pixels = classifier(mlp(), 8, dtype=torch.float64), images(4)
    goal = goal_of(model, pixels)
    _, slope = goal.slope(pixels, torch.ones(4).double())
    given = pixels.clone().requires_grad_()
    loss = nn.functional.cross_entropy(model.logits(given), goal.said, reduction="sum")
    (expected,) = torch.autograd.grad(loss, given)
    cosine = nn.functional.cosine_similarity(-slope.flatten(1), expected.flatten(1))
    np.testing.assert_allclose(cosine, 1, atol=1e-9)


def test_a_very_sure_model_still_has_a_slope():
    model, pixels = linear(scale=300.0), images(4)
    pixels32 = pixels.float()
    goal = goal_of(model, pixels32)
    assert (model.logits(pixels32).softmax(1).amax(1) == 1).any()
    assert (goal.slope(pixels32)[1].flatten(1).abs().amax(1) > 1).all()


@pytest.mark.parametrize("norm", NORMS)
def test_nearer_to_the_boundary_the_distance_is_smaller(norm):
    torch.manual_seed(2)
    model, pixels = classifier(mlp(), 8, dtype=torch.float64), images(6)
    goal = goal_of(model, pixels)
    changed, there = walk(goal, pixels, norm)
    assert there.any()
    edge = nearest(lambda at: goal.reached(goal.logits(at)), pixels, changed)
    before = torch.full((6,), torch.inf).double()
    for share in (0.0, 0.4, 0.8):
        start = between(pixels, edge, torch.full((6,), share).double())
        closer, found = walk(goal, start, norm)
        closer = nearest(lambda at: goal.reached(goal.logits(at)), start, closer)
        now = size(closer - start, norm)
        assert (now[there & found] <= before[there & found] * (1 + 1e-3)).all()
        assert (now[there] <= (1 - share) * size(edge - pixels, norm)[there] * 1.05).all()
        before = now


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_the_distance_does_not_depend_on_the_scale_of_the_logits(norm, scale):
    pixels = images(5)
    usual, scaled = linear(), linear(scale=scale)
    for search in (fool, walk):
        first = size(search(goal_of(usual, pixels), pixels, norm)[0] - pixels, norm)
        second = size(search(goal_of(scaled, pixels), pixels, norm)[0] - pixels, norm)
        np.testing.assert_allclose(first, second, rtol=1e-4)


@pytest.mark.parametrize("norm", NORMS)
def test_a_model_that_always_says_the_same_is_never_flipped(norm):
    model = linear()
    with torch.no_grad():
        model.network[1].weight.zero_()
    pixels = images(3)
    goal = goal_of(model, pixels)
    for search in (fool, walk):
        changed, there = search(goal, pixels, norm)
        assert not there.any()
        assert (changed == pixels).all()
    assert not attacks.penalised(goal, pixels, quiet, steps=5)[1].any()


def test_images_of_a_batch_do_not_touch_each_other():
    torch.manual_seed(4)
    model, pixels = classifier(mlp(), 8, dtype=torch.float64), images(5)
    for norm in NORMS:
        for search in (fool, walk):
            together, _ = search(goal_of(model, pixels), pixels, norm)
            alone, _ = search(goal_of(model, pixels[3:4]), pixels[3:4], norm)
            np.testing.assert_allclose(together[3:4], alone, atol=1e-9)


def test_a_walk_asks_once_forward_and_back_for_each_step():
    model, pixels = linear(), images(3)
    asked, ask = [], model.logits
    model.logits = lambda at: asked.append(len(at)) or ask(at)
    goal = Goal(model, torch.zeros(3, dtype=torch.long))
    attacks.walk(goal, pixels, quiet, norm="l2", steps=17)
    assert asked == [3] * 17


def test_pictures_are_read_again_as_they_were_rounded():
    pixels = torch.rand(3, 5, 4)
    picture = levels(pixels)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(read_again(picture), (pixels * 255).round() / 255)
    grey = levels(pixels[:1])
    assert encode_png(grey[..., 0])
    assert read_again(grey).shape == (1, 5, 4)


def test_eight_bit_pictures_flip_from_the_multiple_that_a_plain_loop_finds():
    model, pixels = linear(seed=8), images(1, seed=9).float()
    goal = goal_of(model, pixels)
    changed, _ = fool(goal, pixels, "l2")
    changed = nearest(lambda at: goal.reached(goal.logits(at)), pixels, changed)
    line, first = Verifier(model).along(goal, pixels, changed)
    assert line.shape == (len(MULTIPLES), 4)
    flips = []
    for multiple in MULTIPLES:
        point = (pixels + multiple * (changed - pixels)).clamp(0, 1)
        logits = model.logits((point * 255).round() / 255)
        flips.append(int(logits.argmax()) != int(goal.said))
    assert any(flips)
    assert first == MULTIPLES[len(flips) - len(list(_run(reversed(flips))))]
    assert line[0].argmax() == int(goal.said)
    assert line[-1].argmax() != int(goal.said)


def test_a_change_below_half_a_grey_level_needs_a_multiple_to_be_kept_by_a_file():
    model, pixels = linear(scale=1e-3), (images(1).float() * 255).round() / 255
    with torch.no_grad():
        said = int(model.logits(pixels).argmax())
        others = model.logits(pixels)[0].clone()
        others[said] = -torch.inf
        lead = model.logits(pixels)[0, said] - others.max()
        model.network[1].bias[said] -= 0.998 * lead
    goal = goal_of(model, pixels)
    changed, there = fool(goal, pixels, "l2")
    assert there.all()
    assert float(size(changed - pixels, "linf")) < 0.5 / 255
    ((entry, arrays),) = Verifier(model).judged(goal, pixels, changed)
    assert (entry["found"], entry["png_flips"], entry["changed_pixels"]) == (True, False, 0)
    assert (arrays["picture"] == levels(pixels[0])).all()
    _, first = Verifier(model).along(goal, pixels, changed)
    assert first > 1.5
    far = (pixels + first * (changed - pixels)).clamp(0, 1)
    assert int(model.logits((far * 255).round() / 255).argmax()) != said


def _run(flips):
    for flip in flips:
        if not flip:
            return
        yield flip


@pytest.mark.slow
def test_the_walk_is_shorter_than_the_deepfool_of_the_peer():
    torch.manual_seed(6)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(72, 5),
    )  # fmt: skip
    model, pixels = classifier(network, 8, 1, 5), images(12, low=0.0, high=1.0).float()
    goal = goal_of(model, pixels)
    peer = foolbox_deepfool(model, pixels)
    ours, there = attacks.walk(goal, pixels, quiet, norm="l2", steps=60)
    assert there.all()
    lengths = [float(size(one - pixels, "l2").median()) for one in (ours, peer)]
    assert lengths[0] < lengths[1]
