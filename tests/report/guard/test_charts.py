import pytest

from diagnostics.metrics.intervals import wilson
from diagnostics.report.guard import charts, tables

N = 80


def rate(hits, n=N):
    low, high = wilson(hits, n)
    value = hits / n if n else None
    return {"value": value, "low": low, "high": high, "hits": hits, "n": n}


def answer(guard, caught, *, learned=(), labels=True, rejected=4, alpha=0.05, threshold=N):
    """What a guard answers: its hits by kind of image."""
    kinds = [
        {
            "kind": kind,
            "learned": kind in learned,
            "caught": rate(hits),
            "bare_sure": rate(60),
        }
        for kind, hits in caught.items()
    ]
    return {
        "kind": guard,
        "score": "combined" if guard == "threshold" else "",
        "alpha": alpha,
        "good_rejected": rate(rejected),
        "accuracy": rate(N - rejected) if labels else None,
        "bare_accuracy": rate(N) if labels else None,
        "unsure_rejected": rate(2),
        "unsure_accuracy": rate(78) if labels else None,
        "kinds": kinds,
        "fitted_on": {"known": 240, "threshold": threshold, **dict.fromkeys(learned, N)},
        "notes": [],
        "problems": [],
    }


@pytest.fixture
def answers():
    caught = {"uniform": 80, "phase": 40, "strangers": 46}
    learned = ("uniform", "strangers")
    return {
        "threshold": answer("threshold", caught),
        "discriminator": answer("discriminator", {**caught, "strangers": 79}, learned=learned),
    }


def marks(figure):
    """Return colour, symbol, x and interval of every mark, from the top."""
    found = [trace for trace in figure.data if trace.mode == "markers"]
    return [
        (
            trace.marker.symbol,
            trace.x[0],
            trace.x[0] - trace.error_x.arrayminus[0],
            trace.x[0] + trace.error_x.array[0],
        )
        for trace in sorted(found, key=lambda trace: trace.y[0])
    ]


def words_of(figure):
    return [trace.text[0] for trace in figure.data if trace.mode == "text"]


def test_strangers_come_first_then_what_was_never_learned_on(answers):
    assert tables.kinds(answers) == ["strangers", "phase", "uniform"]


def test_every_mark_stands_at_its_share_with_its_interval(answers):
    """The bare model doubts 20 of 80; an open mark says that the guard learned on the kind."""
    drawn = marks(charts.caught(answers))[:3]
    expected = [("x", 20), ("circle", 46), ("diamond-open", 79)]
    for (symbol, x, low, high), (shape, hits) in zip(drawn, expected, strict=True):
        assert symbol == shape
        assert x == pytest.approx(100 * hits / N)
        assert (low / 100, high / 100) == pytest.approx(wilson(hits, N))


def test_the_counts_stand_beside_the_marks(answers):
    said = words_of(charts.caught(answers))
    assert said[1] == "46 of 80 (47–68 %)"
    assert said[2].startswith("79 of 80 (")
    assert said[2].endswith(", learned")
    assert sum(text.endswith(", learned") for text in said) == 2


def test_the_table_has_a_row_for_each_kind_and_a_column_for_each_guard(answers):
    table = tables.caught_numbers(answers)
    assert [row["kind of image"] for row in table.rows] == [
        "Your strangers",
        "Scrambled phases",
        "Uniform noise",
    ]
    assert list(table.rows[0]) == ["kind of image", "Below 90 % sure", "Threshold", "Discriminator"]
    assert table.rows[0]["Threshold"] == "46 of 80 (47–68 %)"


def test_the_promise_is_drawn_where_it_was_made(answers):
    figure = charts.costs(answers)
    assert figure.layout.shapes[0].x0 == figure.layout.shapes[0].x1 == pytest.approx(5)
    assert len(words_of(figure)) == 3 + 4
    for axis, place in (("xaxis", 0), ("xaxis2", 3)):
        low, high = figure.layout[axis].range
        for _, x, least, most in marks_of(figure, place):
            assert low <= least <= x <= most <= high


def marks_of(figure, begin):
    found = [trace for trace in figure.data if trace.mode == "markers"]
    part = found[begin : begin + (3 if begin == 0 else 4)]
    return [
        ("", t.x[0], t.x[0] - t.error_x.arrayminus[0], t.x[0] + t.error_x.array[0]) for t in part
    ]


def test_without_labels_nothing_is_said_of_what_is_right():
    answers = {"threshold": answer("threshold", {"uniform": 80}, labels=False)}
    assert len(words_of(charts.costs(answers))) == 2
    rows = tables.cost_numbers(answers).rows
    assert {row["right and not rejected"] for row in rows} == {"no labels"}


def test_the_warning_names_the_guards_that_learned_on_strangers(answers):
    said = tables.warning(answers)
    assert said.startswith("The discriminator learned on 80 of your strangers and is judged on 80")
    assert tables.warning({"threshold": answers["threshold"]}) == ""


def test_the_headline_counts_what_it_names(answers):
    assert tables.headline(answers) == (
        "Your strangers: the bare model is 90 % sure or surer of 60 of 80; the threshold catches "
        "46 and the discriminator catches 79."
    )


@pytest.mark.parametrize(
    ("rejected", "alpha", "threshold", "said"),
    [
        (4, 0.05, 80, "agrees with the 5 % promised"),
        (20, 0.05, 80, "more than the 5 % promised"),
        (0, 0.001, 80, "rejects nothing at all: 80 images cannot set a threshold for 0.1 %"),
        (0, 0.05, 18, "rejects nothing at all: 18 images"),
        (0, 0.05, 19, "agrees with"),
    ],
)
def test_whether_the_promise_is_kept_is_said(rejected, alpha, threshold, said):
    one = answer("threshold", {"uniform": 80}, rejected=rejected, alpha=alpha, threshold=threshold)
    (found,) = tables.promises({"threshold": one})
    assert said in found


def test_a_kind_that_nobody_could_be_judged_on_is_left_out():
    one = answer("threshold", {"uniform": 80, "strangers": 0})
    one["kinds"][1]["caught"] = one["kinds"][1]["bare_sure"] = rate(0, 0)
    assert tables.kinds({"threshold": one}) == ["uniform"]
    assert len(words_of(charts.caught({"threshold": one}))) == 2
