import io

import numpy as np
import pytest
from PIL import Image

from diagnostics.report import render
from diagnostics.report.render import Picture, Scale


@pytest.mark.parametrize(
    ("count", "side", "empty"), [(26, 6, 10), (100, 10, 0), (1, 1, 0), (2, 2, 2)]
)
def test_a_vector_becomes_the_smallest_square_that_holds_it(count, side, empty):
    square = render.padded_square(np.arange(count))
    assert square.shape == (side, side)
    assert np.isnan(square).sum() == empty


def test_p_stands_in_the_third_row_and_fourth_column_of_the_letters():
    assert np.argwhere(render.padded_square(np.arange(26)) == 15).tolist() == [[2, 3]]


def test_an_empty_vector_is_an_empty_square():
    assert render.padded_square(np.array([])).shape == (0, 0)


def test_cells_without_a_value_are_hatched_and_never_a_colour_of_the_scale():
    vector = np.linspace(0, 1, 26)
    sheet = render.dense(vector, Scale.covering(vector), cell_px=8)
    assert sheet.shape == (48, 48, 3)
    empty = sheet[40:, 16:].reshape(-1, 3)
    assert {tuple(pixel) for pixel in empty.tolist()} == set(render.PADDING)


def test_zero_is_exactly_the_neutral_middle_of_the_signed_scale():
    shown = Scale(2.0, signed=True).colour(np.array([[-2.0, 0.0, 2.0]]))
    assert shown[0, 1].tolist() == [render.NEUTRAL] * 3
    assert shown[0, 0, 2] > shown[0, 0, 0]
    assert shown[0, 2, 0] > shown[0, 2, 2]


def test_the_signed_limits_are_symmetric():
    scale = Scale.covering(np.array([-3.0, 1.0]))
    assert scale == Scale(3.0, signed=True)
    assert scale.ends == "colours −3 … 3"


def test_magnitude_grows_in_lightness():
    shown = Scale(1.0, signed=False).colour(np.linspace(0, 1, 64)[None])[0].astype(float)
    lightness = shown @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -1).all()
    assert lightness[-1] > lightness[0] + 100


def test_what_is_no_number_has_a_colour_of_its_own():
    values = np.array([[np.nan, np.inf, 0.5, 1.0]])
    for signed in (False, True):
        shown = Scale(1.0, signed=signed).colour(values)
        assert shown[0, 0].tolist() == shown[0, 1].tolist() == list(render.NOT_A_NUMBER)
        assert shown[0, 2].tolist() != list(render.NOT_A_NUMBER)
    assert render.photo(values[..., None])[0, 0].tolist() == list(render.NOT_A_NUMBER)


def test_an_all_zero_map_is_drawn_at_the_dark_end():
    assert (Scale.covering(np.zeros((2, 2))).colour(np.zeros((2, 2))) == [68, 1, 84]).all()


def test_eight_bit_values_come_back_exactly():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert (render.photo(levels.astype(np.float32) / 255)[..., :1] == levels).all()


def test_a_picture_is_lossless_png():
    pixels = np.random.default_rng(0).integers(0, 256, (13, 7, 3), dtype=np.uint8)
    content = Picture(pixels, "", "", "").png
    decoded = Image.open(io.BytesIO(content))
    assert decoded.format == "PNG"
    assert (np.asarray(decoded) == pixels).all()


def test_stretching_takes_the_cell_a_pixel_lies_in():
    cells = np.arange(4, dtype=np.uint8).reshape(2, 2, 1).repeat(3, 2)
    stretched = render.stretch(cells, (4, 6))
    assert stretched[..., 0].tolist() == [[0] * 3 + [1] * 3] * 2 + [[2] * 3 + [3] * 3] * 2


def test_opacity_runs_from_the_image_to_the_map():
    image, heat = np.full((2, 2, 3), 10, np.uint8), np.full((1, 1, 3), 200, np.uint8)
    assert (render.overlay(image, heat, 0.0) == 10).all()
    assert (render.overlay(image, heat, 1.0) == 200).all()
    assert (render.overlay(image, heat, 0.5) == 105).all()


def test_tiles_keep_every_map_and_part_them_by_a_gap():
    maps = np.random.default_rng(0).random((5, 4, 3))
    scale = Scale.covering(maps)
    sheet = render.tiles(maps, scale)
    assert sheet.shape == (4 + 1 + 4, 3 * 3 + 2, 3)
    assert (sheet[:4, :3] == scale.colour(maps[0])).all()
    assert (sheet[5:, 4:7] == scale.colour(maps[4])).all()
    assert (sheet[4] == render.GAP).all()


@pytest.mark.parametrize("signed", [None, True, False])
def test_a_scale_of_most_leaves_out_the_largest_sizes_of_either_sign(signed):
    """Of 10 000 sizes 0, 1, …, 9999 the quantile 0.995 lies 0.995 of the way from 0 to 9999."""
    values = np.arange(10_000.0)
    values[1::2] *= -1  # by value, the same quantile would lie at about 9900
    scale = Scale.of_most(np.random.default_rng(0).permutation(values), signed=signed)
    assert scale.limit == pytest.approx(0.995 * 9999)
    assert scale.signed == (signed is not False)
    assert scale.clipped == 50
    assert scale.ends.endswith("50 values beyond the ends")


def test_a_scale_of_most_of_negative_values_alone_has_a_positive_limit():
    scale = Scale.of_most(-np.arange(1000.0))
    assert scale == Scale(pytest.approx(0.995 * 999), signed=True, clipped=5)


def test_maps_of_few_cells_are_covered_whole():
    values = np.append(np.ones(render.MIN_VALUES - 2), 100.0)
    assert Scale.of_most(values) == Scale.covering(values) == Scale(100.0, signed=False)
    assert Scale.of_most(np.append(values, 1.0)) == Scale(1.0, signed=False, clipped=1)


def test_of_several_arrays_each_says_how_many_of_its_values_lie_beyond():
    small, large = np.linspace(0, 1, 600), np.linspace(0, 1, 600)
    large[-6:] = 7
    scale = Scale.of_most(small, large)
    assert scale.at(large).clipped == scale.clipped == 6
    assert scale.at(small).clipped == 0


@pytest.mark.parametrize("signed", [False, True])
def test_a_value_has_the_colour_of_the_place_that_it_has_on_its_scale(signed):
    """Value by value: 256 colours between the ends, and a zero that is exactly the middle."""
    values = np.random.default_rng(0).normal(0, 1, (20, 30)).astype(np.float32)
    values[::5, ::5] = 0
    scale = Scale(1.5, signed)
    table = render.BLUE_WHITE_RED if signed else render.VIRIDIS
    low, high = (-1.5 if signed else 0.0), 1.5
    for value, shown in zip(values.ravel(), scale.colour(values).reshape(-1, 3), strict=True):
        place = 255 * (min(max(float(value), low), high) - low) / (high - low)
        around = (int(np.floor(place)), int(np.ceil(place)))
        expected = [table[index].tolist() for index in around if abs(index - place) < 0.501]
        if signed and value == 0:
            expected = [[render.NEUTRAL] * 3]
        assert shown.tolist() in expected


@pytest.mark.parametrize(("count", "gap"), [(5, 1), (7, 0), (3, 2)])
def test_a_place_without_a_map_is_hatched_with_lines_that_run_across_the_sheet(count, gap):
    maps = np.ones((count, 5, 4))
    sheet = render.tiles(maps, Scale.covering(maps), gap=gap)
    columns = render.tile_columns(maps.shape)
    hatched = 0
    for row, column in np.ndindex(sheet.shape[:2]):
        place = row // (5 + gap) * columns + column // (4 + gap)
        if place >= count:
            line = render.PADDING[(row + column) // 2 % 2]
            assert sheet[row, column].tolist() == list(line)
            hatched += 1
    assert hatched
