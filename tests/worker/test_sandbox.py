"""A worker can compute, read what it was given, and nothing else."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from diagnostics.schema.request import File, ModelSource, Request
from diagnostics.worker import WorkerRunner, Zygote, sandbox, selftest

pytestmark = pytest.mark.skipif(
    selftest.outcome().level is sandbox.Level.NONE, reason="this kernel has no Landlock or seccomp"
)

# Acts that succeed for anybody who is not locked down.
ALLOWED_TO_ANYBODY = (
    "read the list of users",
    "list the root folder",
    "write to the temporary folder",
    "open a TCP socket",
    "open a Unix socket",
    "start a process",
    "signal its parent",
    "make a symbolic link",
    "make memory a file",
)


def in_a_child(work):
    """Return what `work` returns, computed in a process that may lock itself down."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, repr(work()).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as stream:
        return eval(stream.read())


def test_every_forbidden_act_is_refused():
    outcome = selftest.outcome()
    assert outcome.level is sandbox.Level.STRICT
    assert len(outcome.acts) >= 20
    assert outcome.refused == len(outcome.acts)


def test_without_the_lock_down_the_same_acts_succeed(tmp_path):
    def work():
        acts = selftest._acts(tmp_path, tmp_path / "kept")
        return [name for name in ALLOWED_TO_ANYBODY if selftest._is_refused(acts[name])]

    assert in_a_child(work) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")
def test_root_becomes_nobody_who_reads_only_what_was_handed_over(tmp_path):
    """Also files that only root may read, such as a model in root's own folder."""
    home, secret, model = tmp_path / "home", tmp_path / "secret", tmp_path / "model"
    home.mkdir(mode=0o700)
    for path in (secret, model):
        path.write_text(path.name)
        path.chmod(0o600)

    def work():
        sandbox.lock_down([model], [home])
        (home / "made").write_text("mine")
        refused = False
        try:
            secret.read_text()
        except PermissionError:
            refused = True
        status = Path("/proc/self/status").read_text()
        capabilities = next(line for line in status.splitlines() if line.startswith("CapEff"))
        return (
            os.getuid(),
            os.geteuid(),
            os.getgid(),
            model.read_text(),
            refused,
            capabilities[-16:],
        )

    user, effective, *others = in_a_child(work)
    assert others == [sandbox.NOBODY, "model", True, "0000000000000004"]
    assert user == effective == (home / "made").stat().st_uid
    assert user == sandbox.NOBODY or user > sandbox.USERS


def test_beside_a_gpu_the_sandbox_is_as_strict_as_anywhere(monkeypatch):
    """Nothing asks for a GPU any more; a worker computes on the processor."""
    exists = Path.exists
    monkeypatch.setattr(
        Path, "exists", lambda path: str(path).startswith("/dev/nvidia") or exists(path)
    )
    outcome = selftest.run()
    assert outcome.level is sandbox.Level.STRICT
    assert outcome.refused == len(outcome.acts)


def test_landlock_alone_keeps_a_worker_from_opening_a_device(monkeypatch, tmp_path):
    """Such as a GPU's, which a driver opens to read and to write."""
    monkeypatch.setattr(sandbox, "_restrict_calls", lambda libc: None)

    def work():
        sandbox.lock_down([], [tmp_path])
        try:
            os.close(os.open("/dev/full", os.O_RDWR))
        except PermissionError:
            return "refused"
        return "opened"

    assert in_a_child(work) == "refused"


@pytest.mark.parametrize("home", ["/nonexistent", None, ""])
def test_where_there_is_no_home_the_sandbox_is_strict_all_the_same(monkeypatch, home):
    if home is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", home)
    assert selftest.run().level is sandbox.Level.STRICT


def test_what_one_half_cannot_refuse_is_partial(monkeypatch, tmp_path):
    """Landlock alone leaves the system calls free, and the test must say so."""
    monkeypatch.setattr(sandbox, "_restrict_calls", lambda libc: None)
    outcome = selftest.run()
    assert outcome.level is sandbox.Level.PARTIAL
    assert outcome.acts["read the list of users"]
    assert not outcome.acts["start a process"]


def test_without_either_half_the_level_is_none(monkeypatch):
    monkeypatch.setattr(selftest, "lock_down", lambda readable, writable: None)
    assert selftest.run().level is sandbox.Level.NONE


def test_a_process_with_threads_is_not_locked_down(tmp_path):
    def work():
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        try:
            sandbox.lock_down([], [tmp_path])
        except RuntimeError:
            return "refused"
        return "locked"

    assert in_a_child(work) == "refused"


def test_threads_that_start_later_are_locked_down_too(tmp_path):
    def work():
        sandbox.lock_down([], [tmp_path])
        answers = []

        def act():
            try:
                Path("/etc/passwd").read_bytes()
            except PermissionError:
                answers.append("refused")

        thread = threading.Thread(target=act)
        thread.start()
        thread.join()
        return answers

    assert in_a_child(work) == ["refused"]


def test_a_worker_reads_its_model_and_the_images_it_was_given_and_no_other_file(tmp_path):
    image_path, model, secret = (tmp_path / name for name in ("image", "model", "secret"))
    for path in (image_path, model, secret):
        path.write_bytes(b"0123456789")
    zygote = Zygote("tests.worker.actors:Actor", tmp_path / "zygote")
    zygote.folder.mkdir()
    runner = WorkerRunner(zygote=zygote)
    source = ModelSource(File(str(model), "1" * 64, "model"))
    image = File(str(image_path), "2" * 64, "image")
    options = {"paths": (str(model), str(image_path), str(secret), "/etc/passwd")}
    scores = runner.run(Request("peek", source, (image,), options=options)).scores
    assert scores == {"given": [10], "read": [10, None, None, None]}
    late = File(str(secret), "3" * 64, "later")
    again = runner.run(Request("peek", source, (image, late), options=options)).scores
    assert again == {"given": [10, 10], "read": [10, None, None, None]}
    runner.close()
    assert not list(zygote.folder.glob("inbox-*"))
    zygote.close()
