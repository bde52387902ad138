import pytest

from diagnostics.metrics.intervals import rate, wilson
from diagnostics.report.guard import charts, tables
from diagnostics.report.guard.tables import FittedGuard
from diagnostics.schema.results.guard import FittedOn, GuardAnswer, KindRates

N = 80
TITLES = ("Threshold", "Extra class", "Discriminator")


def guard(
    title,
    caught,
    *,
    learned=(),
    labels=True,
    rejected=4,
    alpha=0.05,
    calibration=N,
    untested=(),
):
    """A guard with its hits by kind of image, of N images each but of the untested ones."""
    kinds = [
        KindRates(
            kind=kind,
            learned=kind in learned,
            rejected=rate(hits, 0 if kind in untested else N),
            bare_confident=rate(0, 0) if kind in untested else rate(60, N),
        )
        for kind, hits in caught.items()
    ]
    answer = GuardAnswer(
        guard=title.lower().replace(" ", "_"),
        score="combined" if title == "Threshold" else "",
        alpha=alpha,
        rejected=rate(rejected, N),
        accuracy=rate(N - rejected, N) if labels else None,
        bare_accuracy=rate(N, N) if labels else None,
        unconfident_rejected=rate(2, N),
        unconfident_accuracy=rate(78, N) if labels else None,
        kinds=kinds,
        fitted_on=FittedOn(
            in_distribution=240,
            calibration=calibration,
            out_of_distribution=dict.fromkeys(learned, N),
        ),
        notes=[],
        problems=[],
    )
    return FittedGuard(title, TITLES.index(title), answer)


@pytest.fixture
def guards():
    caught = {"uniform": 80, "phase": 40, "out_of_distribution": 46}
    more = {**caught, "out_of_distribution": 79}
    learned = ("uniform", "out_of_distribution")
    return [guard("Threshold", caught), guard("Discriminator", more, learned=learned)]


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


def test_strangers_come_first_then_what_was_never_learned_on(guards):
    assert tables.kinds(guards) == ["out_of_distribution", "phase", "uniform"]


def test_every_mark_stands_at_its_share_with_its_interval(guards):
    """The bare model doubts 20 of 80; an open mark says that the guard learned on the kind."""
    drawn = marks(charts.caught(guards))[:3]
    expected = [("x", 20), ("circle", 46), ("diamond-open", 79)]
    for (symbol, x, low, high), (shape, hits) in zip(drawn, expected, strict=True):
        assert symbol == shape
        assert x == pytest.approx(100 * hits / N)
        assert (low / 100, high / 100) == pytest.approx(wilson(hits, N))


def test_the_counts_stand_beside_the_marks(guards):
    said = words_of(charts.caught(guards))
    assert said[1] == "46 of 80 (47–68 %)"
    assert said[2].startswith("79 of 80 (")
    assert said[2].endswith(", learned")
    assert sum(text.endswith(", learned") for text in said) == 2


def test_the_table_has_a_row_for_each_kind_and_a_column_for_each_guard(guards):
    table = tables.caught_numbers(guards)
    assert [row["kind of image"] for row in table.rows] == [
        "Your strangers",
        "Scrambled phases",
        "Uniform noise",
    ]
    assert list(table.rows[0]) == ["kind of image", "Below 90 % sure", "Threshold", "Discriminator"]
    assert table.rows[0]["Threshold"] == "46 of 80 (47–68 %)"


def test_the_promise_is_drawn_where_it_was_made(guards):
    figure = charts.costs(guards)
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
    guards = [guard("Threshold", {"uniform": 80}, labels=False)]
    assert len(words_of(charts.costs(guards))) == 2
    rows = tables.cost_numbers(guards).rows
    assert {row["right and not rejected"] for row in rows} == {"no labels"}


def test_the_warning_names_the_guards_that_learned_on_strangers(guards):
    said = tables.warning(guards)
    assert said.startswith("The discriminator learned on 80 of your strangers and is judged on 80")
    assert tables.warning(guards[:1]) == ""


def test_the_headline_counts_what_it_names(guards):
    assert tables.headline(guards) == (
        "Your strangers: the bare model is 90 % sure or surer of 60 of 80; the threshold catches "
        "46 and the discriminator catches 79."
    )


@pytest.mark.parametrize(
    ("rejected", "alpha", "calibration", "said"),
    [
        (4, 0.05, 80, "agrees with the 5 % promised"),
        (20, 0.05, 80, "more than the 5 % promised"),
        (0, 0.001, 80, "rejects nothing at all: 80 images cannot set a threshold for 0.1 %"),
        (0, 0.05, 18, "rejects nothing at all: 18 images"),
        (0, 0.05, 19, "agrees with"),
    ],
)
def test_whether_the_promise_is_kept_is_said(rejected, alpha, calibration, said):
    numbers = {"rejected": rejected, "alpha": alpha, "calibration": calibration}
    (sentence,) = tables.promises([guard("Threshold", {"uniform": 80}, **numbers)])
    assert said in sentence


def test_a_kind_that_nobody_could_be_judged_on_is_left_out():
    caught, untested = {"uniform": 80, "out_of_distribution": 0}, ("out_of_distribution",)
    guards = [guard("Threshold", caught, untested=untested)]
    assert tables.kinds(guards) == ["uniform"]
    assert len(words_of(charts.caught(guards))) == 2


def test_a_guard_keeps_its_colour_and_mark_where_another_could_not_be_fitted(guards):
    alone = [trace for trace in charts.caught(guards[1:]).data if trace.mode == "markers"]
    both = [trace for trace in charts.caught(guards).data if trace.mode == "markers"]
    assert alone[1].marker.color == both[2].marker.color != both[1].marker.color
    assert alone[1].marker.symbol == both[2].marker.symbol


def test_a_guard_says_what_it_learned_from(guards):
    assert tables.learned_from(guards[0].answer) == "Score: combined. Learned on nothing strange."
    assert tables.learned_from(guards[1].answer) == (
        "Learned on images: 80 uniform noise, 80 your strangers."
    )
