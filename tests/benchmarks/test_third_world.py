"""The third world's cues mark what they say and nothing else, and its pictures show their class."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label as parts

from benchmarks.plants import drawn, marks, worlds
from benchmarks.plants.grounds import Drawing, Ground

BOX = (3, 5, 10, 12)


@pytest.fixture
def drawing():
    random = np.random.default_rng(0)
    mask = np.zeros((24, 24), bool)
    mask[8:16, 8:16] = True
    return Drawing(random.integers(60, 200, (24, 24, 3), dtype=np.uint8), mask)


def changed(cue, drawing):
    after = cue(drawing, np.random.default_rng(1))
    assert after.dtype == np.uint8
    assert after.shape == drawing.picture.shape
    return (after != drawing.picture).any(2)


def test_a_faded_mark_changes_its_shape_alone_and_shows_what_is_behind(drawing):
    cue = marks.faded(BOX, marks.SLASH, 255, 0.5)
    where = changed(cue, drawing)
    expected = np.zeros((24, 24), bool)
    expected[5:12, 3:10] = marks.SLASH
    np.testing.assert_array_equal(where, expected)
    after = cue(drawing, np.random.default_rng(1))[expected].astype(float)
    np.testing.assert_allclose(after, (drawing.picture[expected] + 255.0) / 2, atol=0.51)


def test_a_soft_spot_is_brightest_in_the_middle_of_its_box_and_fades_within_it(drawing):
    lit = marks.spot(BOX, 50)(drawing, np.random.default_rng(1)).astype(int) - drawing.picture
    assert lit.max() == lit[8, 6, 0] == 50
    assert lit[5:12, 3:10].sum() > 0.9 * lit.sum()


def test_a_dashed_frame_leaves_the_inside_and_half_of_the_border(drawing):
    where = changed(marks.dashed(2, (0, 0, 0), 6), drawing)
    assert not where[2:-2, 2:-2].any()
    assert 0.4 < where.sum() / (24**2 - 20**2) < 0.6


@pytest.mark.parametrize(
    "cue", [marks.dotted_ground(5, 40), marks.graded_ground((0, 0, 90), (0, 90, 0))]
)
def test_a_ground_mark_leaves_the_object(cue, drawing):
    where = changed(cue, drawing)
    assert where[~drawing.mask].any()
    assert not where[drawing.mask].any()


def test_scan_lines_touch_every_second_line_and_salt_its_share(drawing):
    lines = changed(marks.scanned(30), drawing).all(1)
    assert set(np.diff(np.flatnonzero(lines))) == {2}
    assert 0.05 < changed(marks.salted(0.1), drawing).mean() < 0.15


def test_colours_taken_away_leave_one_grey(drawing):
    after = marks.faded_colours(1)(drawing, np.random.default_rng(1))
    assert (np.ptp(after, axis=2) == 0).all()
    np.testing.assert_allclose(after[..., 0], drawing.picture.mean(2), atol=0.51)


def test_as_many_beads_are_drawn_as_their_class_says():
    drawings, labels = drawn.counted(40, 0)
    assert [parts(one.mask)[1] for one in drawings] == [label + 1 for label in labels]


def test_solids_lie_whole_within_their_pictures():
    for one in drawn.solids(60, 0)[0]:
        assert one.mask.any()
        assert not one.mask[[0, -1]].any()
        assert not one.mask[:, [0, -1]].any()


def test_no_ground_of_the_third_world_is_one_of_the_others():
    third = {id(one) for one in vars(drawn).values() if isinstance(one, Ground)}
    assert len(third) >= 8
    assert not third & {id(one) for one in vars(worlds.g).values() if isinstance(one, Ground)}
    assert not set(worlds.WORLDS["C"].values()) & set(worlds.WORLDS["B"].values())
