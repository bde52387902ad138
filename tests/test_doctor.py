"""What `oversure doctor` says."""

from __future__ import annotations

import json

import pytest

from diagnostics import cli, doctor
from diagnostics.errors import InputError
from diagnostics.ui import serve
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
    assert cli.main(["doctor", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    first = said["checks"][0]
    assert (first["name"], first["status"]) == ("sandbox", status)
    assert words in first["message"]
    assert said["sandbox"]["level"] == found.level


def test_a_library_older_than_its_bound_fails(monkeypatch):
    monkeypatch.setattr(
        doctor, "requires", lambda _: ["torch>=99.1", "numpy>=1.0", "absent>=1", MISSING]
    )
    with_outcome(monkeypatch, STRICT)
    found = {one.name: one.status for one in doctor.examine().checks}
    assert (found["torch"], found["numpy"], found["absent"]) == ("failed", "passed", "failed")
    assert found["beside"] == "warned"


def test_without_a_sandbox_the_app_stays_on_its_own_machine(monkeypatch):
    with_outcome(monkeypatch, NONE)
    serve.demand_sandbox("127.0.0.1")
    with pytest.raises(InputError, match=r"0\.0\.0\.0"):
        serve.demand_sandbox("0.0.0.0")
    with_outcome(monkeypatch, PARTIAL)
    serve.demand_sandbox("0.0.0.0")
