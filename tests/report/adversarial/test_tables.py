"""What a real answer about two letters looks like in numbers and pictures."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.data import samples
from diagnostics.execution.local import LocalRunner
from diagnostics.report.adversarial import charts, tables
from diagnostics.schema.request import ModelSource, Request
from diagnostics.schema.results.adversarial import NoPerturbation


@pytest.fixture(scope="module")
def result():
    images = tuple(samples.image_files()[name] for name in ("letter-x-thin", "letter-p-thin"))
    model = ModelSource(samples.model_files()["letters_conv"])
    request = Request("adversarial/smallest", model, images, options={"steps": 15})
    return LocalRunner().run(request)


def test_images_are_listed_the_most_fragile_first_and_those_without_a_change_last(result):
    images = result.scores["images"]
    missing = NoPerturbation(
        is_adversarial=False, reason="No.", distance=None, png_is_adversarial=None, attacks={}
    )
    answer = result.scores | {"images": [images[0] | {"l2": missing}, *images]}
    table = tables.numbers(answer, "l2")
    distances = [float(row["L2 (pixels in 0 to 1)"]) for row in table.rows[:2]]
    assert distances == sorted(distances)
    assert table.rows[2]["becomes"] == "not found"
    assert table.rows[2]["L2 (pixels in 0 to 1)"] == ""
    assert "Not found for 1 image" in tables.headline(answer, "l2")


def test_root_mean_square_is_the_length_over_the_root_of_the_number_of_values(result):
    image = result.scores["images"][0]
    change = result.arrays["0/l2/difference"].astype(np.float64)
    size = tables.grey_levels(image["l2"], "l2", result.scores["values"])
    assert size == pytest.approx(255 * np.sqrt((change**2).mean()), rel=1e-4)
    assert f"{size:.3g} grey levels of 255" in tables.distance(image["l2"], "l2", 784)
    change = result.arrays["0/linf/difference"]
    size = tables.grey_levels(image["linf"], "linf", 784)
    assert size == pytest.approx(255 * np.abs(change).max())


def test_a_changed_image_with_an_infinite_logit_is_reported_without_its_ranking(result):
    image = result.scores["images"][0]
    changes = {norm: image[norm] | {"top": [], "png_top": []} for norm in ("l2", "linf")}
    answer = result.scores | {"images": [image | changes, result.scores["images"][1]]}
    for norm in ("l2", "linf"):
        assert any(row["becomes"] == "nothing finite" for row in tables.numbers(answer, norm).rows)
        assert tables.headline(answer, norm)
        assert tables.sentences(answer["images"][0], norm, answer)
        labels = charts.distances(answer, norm).to_json()
        assert "nothing finite" in labels


def test_the_change_that_survives_8_bit_is_said_beside_the_smallest(result):
    image, answer = result.scores["images"][0], result.scores
    for norm in ("l2", "linf"):
        size = tables.grey_levels(image[norm]["in_8_bit"], norm, 784)
        row = next(
            row for row in tables.numbers(answer, norm).rows if row["image"] == image["file"]
        )
        assert row[tables.IN_8_BIT[norm]] == f"{size:.3g}"
        said = tables.sentences(image, norm, answer)[2]
        assert said.startswith("The smallest change found that survives rounding to 8 bit: ")
        assert f"{size:.3g} grey levels" in said


@pytest.mark.parametrize(
    ("largest", "times"),
    [(1.0, 1), (0.6, 1), (0.5, 2), (0.21, 2), (0.19, 5), (0.012, 50), (0.0, 1)],
)
def test_a_difference_is_amplified_as_far_as_the_scale_goes(largest, times):
    change = np.array([[[largest], [-largest / 3]]])
    assert tables.factor(change) == times
    assert times * largest <= 1


def test_the_exact_difference_and_the_amplified_one_have_the_colours_of_their_scale(result):
    image = result.scores["images"][0]
    pixels, changed = result.arrays["0/pixels"], result.arrays["0/l2/changed"]
    cells = tables.cells(image, pixels, changed, 1.0, image["l2"]["top"])
    change = result.arrays["0/l2/difference"][..., 0]
    times = tables.factor(change)
    assert [cell.title for cell in cells[2:]] == [
        "Difference, exact",
        f"Difference, amplified {times} ×",
    ]
    brightest = np.unravel_index(change.argmax(), change.shape)
    for cell in cells[2:]:
        picture = cell.pictures[0].pixels
        assert picture.shape[:2] == change.shape
        assert (picture[change == 0] == 247).all()
        red, _, blue = picture[brightest].astype(int)
        assert red >= blue
    assert f"{255 / times:.3g}" in cells[3].pictures[0].caption
