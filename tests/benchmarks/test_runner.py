"""Parts of a benchmark: alone, kept on failure, and named when there is no such part."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.benchmarks import record, runner, speed, table
from tests.benchmarks.__main__ import main
from tests.benchmarks.figure import Figure, median
from tests.conftest import ROOT

MACHINE = record.Machine(processor="a model", cores=2, load=0.0, versions={"python": "3.11"})


def part(*values, then=None, limit=None):
    """Return a part that yields values, and then raises."""

    def figures():
        for number, value in enumerate(values):
            yield Figure(f"figure {number}", value, "x", limit=limit)
        if then is not None:
            raise then

    return figures


def values(path):
    """Return the figures that a file holds, by part."""
    return {
        name: [figure.value for figure in record.figures(part)]
        for name, part in record.read(path).items()
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "latest.json"


def test_a_part_that_fails_keeps_its_figures_and_those_of_others(path, capsys):
    parts = {"a": part(1.0), "b": part(2.0, then=ValueError("no browser\nat all")), "c": part(3.0)}
    assert not runner.run(parts, path, MACHINE)
    assert values(path) == {"a": [1.0], "b": [2.0], "c": [3.0]}
    assert record.read(path)["b"]["failure"] == "ValueError: no browser"
    assert record.read(path)["c"]["failure"] == ""
    assert "FAILED b, after 1 figures: ValueError: no browser\n" in capsys.readouterr().out


def test_a_part_that_gives_nothing_takes_no_figure_away(path):
    runner.run({"a": part(1.0)}, path, MACHINE)
    assert not runner.run({"a": part(then=OSError("gone"))}, path, MACHINE)
    assert values(path) == {"a": [1.0]}
    assert record.read(path)["a"]["failure"] == "OSError: gone"


def test_figures_are_printed_and_written_before_the_next_is_taken(path, capsys):
    def figures():
        yield Figure("first", 1.0, "x")
        assert "first" in capsys.readouterr().out
        assert values(path) == {"a": [1.0]}
        yield Figure("second", 2.0, "x")

    assert runner.run({"a": figures}, path, MACHINE)
    assert values(path) == {"a": [1.0, 2.0]}


def test_a_part_run_alone_replaces_its_own_figures_only(path):
    runner.run({"a": part(1.0, 2.0), "b": part(3.0)}, path, MACHINE)
    other = record.Machine(**{**MACHINE, "cores": 64})
    runner.run({"a": part(5.0)}, path, other)
    assert values(path) == {"a": [5.0], "b": [3.0]}
    cores = {name: part["machine"]["cores"] for name, part in record.read(path).items()}
    assert cores == {"a": 64, "b": 2}


def test_a_run_is_fine_when_every_figure_keeps_to_its_limit(path):
    assert runner.run({"a": part(1.0, limit=1.1)}, path, MACHINE)
    assert not runner.run({"a": part(1.2, limit=1.1)}, path, MACHINE)


def test_a_limit_from_below_is_missed_below_it():
    assert Figure("a", 2.0, "x faster", limit=2.0, at_least=True).kept
    assert not Figure("a", 1.9, "x faster", limit=2.0, at_least=True).kept


def test_parts_are_selected_by_name_in_their_own_order():
    parts = {"a": part(), "b": part(), "c": part()}
    assert list(runner.select(parts, ["c", "a"])) == ["a", "c"]
    assert list(runner.select(parts, [])) == ["a", "b", "c"]


def test_an_unknown_part_is_one_sentence_that_names_those_there_are(capsys):
    assert main(["speed", "attributoin"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("There is no part 'attributoin'; there are adversarial, attribution, ")
    assert told.count("\n") == 1
    for name in runner.parts_of(speed):
        assert name in told


def test_a_file_and_its_table_say_what_a_line_said(path, monkeypatch):
    figure = median("a | b", [1.0, 1.3, 1.2], "x", limit=1.1, engine="torch, 8 at once", threads=2)
    runner.run({"a": lambda: iter([figure])}, path, MACHINE)
    assert record.figures(record.read(path)["a"]) == [figure]
    monkeypatch.setattr(table, "SPEED", path)
    cells = (r"a \| b", "1.2 x", "1–1.3, 3 rounds", "at most 1.1: **missed**", figure.conditions)
    assert f"| {' | '.join(cells)} |" in table.speed()
    for fact in (
        "1.2 x",
        "1–1.3, 3 rounds",
        "at most 1.1",
        "a | b",
        "torch, 8 at once",
        "2 threads",
    ):
        assert fact in str(figure)
    assert "a model, 2 cores, load 0 before" in table.speed()


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["speed", "rates"])
def test_every_part_can_be_imported_and_has_figures(suite):
    pytest.importorskip("foolbox", exc_type=ImportError)
    code = (
        "import importlib, pkgutil, tests.benchmarks." + suite + " as package\n"
        "for module in pkgutil.iter_modules(package.__path__, package.__name__ + '.'):\n"
        "    print(module.name, importlib.import_module(module.name).figures)\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
