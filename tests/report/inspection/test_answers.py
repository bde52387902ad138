import numpy as np
import pytest

from diagnostics.data import samples
from diagnostics.execution.local import LocalRunner
from diagnostics.report import export
from diagnostics.report.inspection import answers, difference, layer_detail, layers
from diagnostics.schema.request import FIELD, INSPECT, STRONGEST, ModelSource, Request
from diagnostics.schema.spec import read
from diagnostics.text import number, signed

IMAGES = ("letter-x-fuzzy", "letter-p-thin", "noise-uniform")
MODEL = ModelSource(samples.model_files()["letters_conv"])


@pytest.fixture(scope="module")
def runner():
    return LocalRunner()


@pytest.fixture(scope="module")
def ask(runner):
    def ask(method, names=IMAGES, options=None, **rest):
        chosen = tuple(samples.image_files()[name] for name in names)
        return runner.run(Request(method, MODEL, chosen, options=options or {}, **rest))

    return ask


@pytest.fixture(scope="module")
def inspected(ask):
    options = {"layers": ("relu1", "fc2"), "attributions": (), "shared_maps": True}
    return ask(INSPECT, options=options)


@pytest.fixture(scope="module")
def spec(inspected):
    return read(inspected.scores["model"])


def layer(answer, spec, name, **options):
    settings = {"scale": "each image", "spec": spec, **options}
    return layers.layer(answer.scores["images"], answer.arrays, name, **settings)


def test_the_pinned_image_tells_what_the_others_get_for_its_class(inspected):
    cells = answers.predictions(
        inspected.scores["images"], inspected.arrays, independent=False, pinned=True
    )
    logits = inspected.arrays["1/logits"]
    share = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert cells[0].notes[-1].startswith("margin")
    note = cells[1].notes[-1]
    assert note.startswith("x: 1 − ")
    change = logits[23] - inspected.scores["images"][0]["top"][0]["logit"]
    assert note.endswith(f"its logit {-change:.2f} lower")
    assert share[23] < 1e-3


def test_differences_are_taken_between_the_same_maps(inspected, spec):
    cells = difference.layer(inspected.scores["images"], inspected.arrays, "relu1")
    assert [len(cell.pictures) for cell in cells] == [0, 1, 1]
    entries = [image["layers"] for image in inspected.scores["images"]]
    channels = {
        tuple(one["channels"]) for all_ in entries for one in all_ if one["name"] == "relu1"
    }
    assert len(channels) == 1
    values = inspected.arrays["1/layer/relu1"] - inspected.arrays["0/layer/relu1"]
    assert number(float(np.abs(values).max())) in cells[1].pictures[0].caption


def test_what_enters_is_subtracted_value_by_value(inspected):
    images = inspected.scores["images"]
    cells = difference.network_inputs(images, inspected.arrays)
    last = [image["preprocessing"][-1]["picture"] for image in images]
    before, after = (inspected.arrays[f"{index}/{last[index]}"] for index in (0, 1))
    shown = cells[1].pictures[0].pixels
    assert shown.shape == (*before.shape[:2], 3)
    change = (after - before)[..., 0]
    assert (shown[change == 0] == 247).all()  # the neutral middle
    assert (shown[change > 0.1][:, 0] > shown[change > 0.1][:, 2]).all()  # red is more
    assert (shown[change < -0.1][:, 2] > shown[change < -0.1][:, 0]).all()  # blue is less


def test_maps_that_explain_different_classes_are_not_subtracted(ask):
    apart = difference.heatmaps(ask("attribution/gradient"))
    assert not apart[1].pictures
    assert "another class" in apart[1].empty
    same = ask("attribution/gradient", target=3)
    cells = difference.heatmaps(same)
    values = same.arrays["1/attribution/0"] - same.arrays["0/attribution/0"]
    assert number(float(np.abs(values).mean())) in cells[1].details[0]


def test_maps_that_subtract_classes_of_their_own_are_not_subtracted(ask):
    cells = difference.heatmaps(ask("attribution/gradient", target=3, against=STRONGEST))
    assert not cells[1].pictures
    assert "its image's own" in cells[1].empty


def test_without_a_readable_pinned_image_there_is_no_difference(inspected):
    images = [dict(image) for image in inspected.scores["images"]]
    images[0]["error"] = "no image"
    assert difference.layer(images, inspected.arrays, "relu1") == []
    assert difference.network_inputs(images, inspected.arrays) == []
    images = [dict(image) for image in inspected.scores["images"]]
    images[1]["error"] = "no image"
    assert [len(cell.pictures) for cell in difference.layer(images, inspected.arrays, "relu1")] == [
        0,
        0,
        1,
    ]


def test_an_image_like_the_pinned_one_has_the_same_logit(ask):
    same = ask(INSPECT, names=IMAGES[:1] * 2, options={"layers": (), "attributions": ()})
    cells = answers.predictions(same.scores["images"], same.arrays, independent=False, pinned=True)
    assert cells[1].notes[-1].endswith("here, the same logit")


def test_saved_pictures_are_named_after_image_method_and_layer(ask, spec):
    cells = [
        answers.heatmaps(ask("attribution/gradient"), 0.6, shared=False),
        answers.heatmaps(
            ask("attribution/grad_cam", options={"layer": "conv2"}), 0.6, shared=False
        ),
    ]
    names = [row[0].pictures[0].name for row in cells]
    assert names == ["letter-x-fuzzy-gradient-pixels-over", "letter-x-fuzzy-grad_cam-conv2-over"]


def test_a_map_that_is_bright_everywhere_says_that_it_is_nearly_even():
    assert answers.evenness(np.array([[0.9, 1.0]]), signed=False) == (
        "nearly even: no cell is below 90 % of the brightest"
    )
    assert answers.evenness(np.array([[0.4, 1.0]]), signed=False) == ""
    assert answers.evenness(np.zeros((2, 2)), signed=False) == ""
    assert answers.evenness(np.ones((2, 2)), signed=True) == ""


def test_the_strongest_units_of_a_dense_layer_are_listed_with_their_names(inspected, spec):
    details = layer(inspected, spec, "fc2")[0].details
    values = inspected.arrays["0/layer/fc2"]
    first = int(np.abs(values).argmax())
    named = f"{first} {spec.class_names[first]} {signed(values[first])}"
    assert details[-1].startswith(f"strongest units: {named}, ")


def test_a_layers_heading_says_how_many_units_are_silent_on_how_many_images(inspected):
    images = inspected.scores["images"]
    silent = next(one["silent"] for one in images[0]["layers"] if one["name"] == "relu4")
    title = layers.heading(images, "relu4", pinned=True)
    assert title.startswith("relu4")
    maps = layers.heading(images, "relu1", pinned=True)
    assert "16 of 16 maps, the pinned image's strongest first" in maps
    assert f"{silent['silent']} of {silent['units']} units silent on 3 images" in title


def test_the_cells_of_the_last_layer_bear_the_names_of_the_classes(inspected, spec):
    cells = layer(inspected, spec, "fc2")[0].pictures[0].cells
    assert cells.columns == 6
    assert cells.labels[15].startswith("15 p: ")
    assert len(cells.labels) == 26


def test_each_map_can_have_a_scale_of_its_own(inspected, spec):
    picture = layer(inspected, spec, "relu1", scale="each map")[0].pictures[0]
    assert "each map has its own scale" in picture.caption
    values = inspected.arrays["0/layer/relu1"]
    brightest = picture.pixels.astype(int).sum(2).max()
    for place in range(3):
        height, width = values.shape[1:]
        tile = picture.pixels[:height, place * (width + 1) : place * (width + 1) + width]
        assert tile.astype(int).sum(2).max() == brightest


def test_a_shared_scale_has_the_same_ends_for_all_images(inspected, spec):
    ends = {
        cell.pictures[0].caption for cell in layer(inspected, spec, "relu1", scale="all images")
    }
    assert len(ends) == 1


def test_what_is_explained_is_said(ask, spec):
    alone = answers.heatmaps(ask("attribution/gradient"), 0.6, shared=False)
    assert alone[0].notes[0] == "for the logit of x"
    other = ask("attribution/gradient", target=3, against=5)
    assert (
        answers.heatmaps(other, 0.6, shared=True)[0].notes[0]
        == "for the logit of d minus that of f"
    )
    strongest = ask("attribution/gradient", against=STRONGEST)
    assert "the strongest other class" in answers.heatmaps(strongest, 0.6, shared=True)[0].notes[0]


def test_the_arrays_of_a_method_are_read_back_as_they_were(ask, tmp_path):
    answer = ask("attribution/integrated_gradients", options={"steps": 5})
    path = tmp_path / "maps.npz"
    path.write_bytes(export.arrays(answer))
    with np.load(path) as stored:
        assert sorted(stored) == [f"{index:03d}-{name}" for index, name in enumerate(IMAGES)]
        assert (stored["001-letter-p-thin"] == answer.arrays["1/attribution/0"]).all()


@pytest.fixture(scope="module")
def pair(ask):
    options = {"layers": ("relu2",), "attributions": (), "maps": 256}
    return ask(INSPECT, names=IMAGES[:2], options=options)


@pytest.mark.parametrize("order", ["strongest", "number", "most different"])
def test_two_images_show_the_same_maps_in_the_same_places(pair, spec, order):
    cells = layer_detail.pair(pair, spec, "relu2", "each image", order)
    numbers = [cell.pictures[0].cells.numbers for cell in cells]
    assert numbers[0] == numbers[1] == numbers[2]
    entries = [image["layers"] for image in pair.scores["images"]]
    found = [next(one for one in all_ if one["name"] == "relu2") for all_ in entries]
    maps = [
        {
            channel: pair.arrays[f"{row}/layer/relu2"][at]
            for at, channel in enumerate(one["channels"])
        }
        for row, one in enumerate(found)
    ]
    size = {
        "strongest": lambda n: -np.abs(maps[0][n]).mean(),
        "number": lambda n: n,
        "most different": lambda n: -np.abs(maps[0][n] - maps[1][n]).mean(),
    }[order]
    assert list(numbers[0]) == sorted(maps[0], key=size)


def test_a_patch_is_the_part_of_the_image_that_the_cell_can_see(ask, pair):
    place = {"layer": "relu2", "row": 3, "column": 4}
    field = ask(FIELD, names=(), options=place)
    box = field.scores["field"]
    cells = layer_detail.patches(pair, "relu2", 5, place, field)
    whole, patch = cells[0].pictures
    height, width = box["bottom"] - box["top"], box["right"] - box["left"]
    assert patch.pixels.shape == (height, width, 3)
    pixels = whole.pixels[box["top"] : box["bottom"], box["left"] : box["right"]]
    assert (pixels == patch.pixels).all()


def test_a_field_is_found_in_a_picture_that_was_shrunk_for_the_screen():
    pixels = np.zeros((336, 336, 3))
    box = {"top": 400, "bottom": 432, "left": 100, "right": 132}
    found = layer_detail._shrunk(box, {"shape": [672, 672, 3]}, pixels)
    assert found == {"top": 200, "bottom": 216, "left": 50, "right": 66}


def test_all_layers_are_in_the_table_with_their_silent_units(ask, spec):
    overview = ask(INSPECT, options={"layers": (), "attributions": ()})
    table = layer_detail.table(overview)
    assert [row["layer"] for row in table] == [layer.name for layer in spec.layers]
    assert all(row["silent units"].endswith("on 3 images") for row in table if row["lowest"])
