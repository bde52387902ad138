"""What `oversure doctor` says."""

from __future__ import annotations

import json

import pytest

from diagnostics import versions
from diagnostics.cli.main import main
from diagnostics.errors import InputError
from diagnostics.schema.request import File
from diagnostics.ui.server import launch, startup
from diagnostics.worker import doctor
from diagnostics.worker.sandbox import Level
from diagnostics.worker.selftest import Outcome

STRICT = Outcome(Level.STRICT, {"fly": True, "swim": True})
PARTIAL = Outcome(Level.PARTIAL, {"fly": True, "swim": False})
MISSING = "beside>=2; extra == 'onnx'"
NONE = Outcome(Level.NONE, {})


def with_outcome(monkeypatch, found):
    monkeypatch.setattr("diagnostics.worker.selftest.outcome", lambda: found)


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        (STRICT, "passed", "strict: 2 of 2"),
        (PARTIAL, "warned", "could still swim"),
        (NONE, "failed", "do not offer the app to others"),
    ],
)
def test_the_sandbox_is_named_and_what_it_leaves_free(monkeypatch, capsys, found, status, words):
    with_outcome(monkeypatch, found)
    assert main(["doctor", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    first = answer["checks"][0]
    assert (first["name"], first["status"]) == ("sandbox", status)
    assert words in first["message"]
    assert answer["sandbox"]["level"] == found.level


def test_a_library_older_than_its_bound_fails(monkeypatch):
    requirements = ["torch>=99.1", "numpy>=1.0", "absent>=1", MISSING]
    monkeypatch.setattr(versions, "requires", lambda _: requirements)
    versions.floors.cache_clear()
    with_outcome(monkeypatch, STRICT)
    found = {one.name: one.status for one in doctor.examine().checks}
    versions.floors.cache_clear()
    assert (found["torch"], found["numpy"], found["absent"]) == ("failed", "passed", "failed")
    assert found["beside"] == "warned"


def test_a_format_whose_library_is_too_old_is_not_opened(monkeypatch):
    versions.floors.cache_clear()
    monkeypatch.setattr(versions, "version", lambda name: "1.2.3")
    assert versions.lacking("onnx").startswith("onnx 1.2.3 is too old for it, 1.23")
    versions.floors.cache_clear()
    monkeypatch.undo()
    assert not versions.lacking("onnx")
    versions.floors.cache_clear()


def test_without_a_sandbox_whole_modules_and_programs_are_not_opened(monkeypatch):
    file = File("/tmp/model", "0" * 64, "model")
    with_outcome(monkeypatch, NONE)
    assert not startup.source_of_upload(file).modules
    with pytest.raises(InputError, match="only where the sandbox is strict"):
        launch.demand_sandbox("127.0.0.1", programs=True)
    with_outcome(monkeypatch, PARTIAL)
    assert startup.source_of_upload(file).modules
    with pytest.raises(InputError, match="here it is partial"):
        launch.demand_sandbox("127.0.0.1", programs=True)
    with_outcome(monkeypatch, STRICT)
    launch.demand_sandbox("127.0.0.1", programs=True)


def test_without_a_strict_sandbox_the_app_stays_on_its_own_machine(monkeypatch):
    for found in (NONE, PARTIAL):
        with_outcome(monkeypatch, found)
        launch.demand_sandbox("127.0.0.1")
        with pytest.raises(InputError, match=r"0\.0\.0\.0"):
            launch.demand_sandbox("0.0.0.0")
    with_outcome(monkeypatch, STRICT)
    launch.demand_sandbox("0.0.0.0")
