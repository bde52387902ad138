"""Whatever happens in a worker, its server lives, says why, and goes on."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diagnostics.errors import (
    CancelledError,
    ImageError,
    WorkerCrashedError,
    WorkerError,
    WorkerMemoryError,
    WorkerTimeoutError,
)
from diagnostics.schema.request import File, ModelSource, Request
from diagnostics.worker import Admission, Limits, WorkerRunner, Zygote
from diagnostics.worker.child import GIB, memory_limit

ACTOR = "tests.worker.actors:Actor"


@pytest.fixture(scope="module")
def zygote():
    os.environ["A_SECRET"] = "of the server"
    shared = Zygote(ACTOR)
    del os.environ["A_SECRET"]
    yield shared
    shared.close()


@pytest.fixture
def runner(zygote):
    worker_runner = WorkerRunner(zygote=zygote)
    yield worker_runner
    worker_runner.close()


def ask(method, **options):
    source = ModelSource(File(str(Path(__file__)), "0" * 64, "model.safetensors"))
    return Request(method, source, options=options)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def eventually(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def later(seconds, action):
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def test_an_answer_comes_back_with_its_arrays_and_progress(runner):
    reports = []
    result = runner.run(ask("count"), reports.append)
    assert result.scores == {"asked": 1}
    assert result.key == ask("count").key
    np.testing.assert_array_equal(result.arrays["ramp"], [[0, 1, 2], [3, 4, 5]])
    assert ("Acting", 0.25, 1.5) in [(p.activity, p.done, p.seconds_left) for p in reports]


def test_a_worker_keeps_its_state_and_shares_it_with_nobody(zygote, runner):
    other = WorkerRunner(zygote=zygote)
    for expected in (1, 2, 3):
        assert runner.run(ask("count")).scores == {"asked": expected}
    assert other.run(ask("count")).scores == {"asked": 1}
    assert other.pid != runner.pid
    other.close()


def test_a_worker_has_a_private_home_few_rights_and_an_empty_environment(runner):
    report = runner.run(ask("look")).scores
    assert set(report["environment"]) <= {"HOME", "TMPDIR", "PATH", "LANG", "LC_ALL"}
    assert "PATH" in report["begun with"]
    assert "A_SECRET" not in report["begun with"]
    assert report["private"] == 0o700
    assert report["nice"] >= 10
    assert report["session"]
    assert report["limits"]["Max core file size"] == "0"
    assert report["limits"]["Max open files"] == "256"
    limit = int(report["limits"]["Max address space"]) - memory_limit(Path(__file__))
    assert 0 < limit < 2 * GIB  # what was mapped already: the libraries
    home = Path(report["home"])
    assert report["temporary"] == report["home"]
    assert home.is_dir()


def test_the_memory_limit_grows_with_the_model_up_to_a_ceiling(tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"")
    with large.open("wb") as stream:
        stream.truncate(100 * GIB)
    assert memory_limit(small) == 4 * GIB
    assert memory_limit(large) == 12 * GIB


def test_a_refusal_comes_back_as_it_was_raised_and_the_worker_lives(runner):
    runner.run(ask("count"))
    with pytest.raises(ImageError, match=r"This is no image\."):
        runner.run(ask("refuse"))
    assert runner.run(ask("count")).scores == {"asked": 3}


def test_what_nobody_foresaw_comes_back_as_a_number_and_not_as_a_trace(runner):
    with pytest.raises(WorkerError, match=r"error [0-9a-f]{8}") as caught:
        runner.run(ask("stumble"))
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(("method", "words"), [("segfault", "signal 11"), ("leave", "exit code 7")])
def test_a_crash_is_named_and_the_next_request_gets_a_new_worker(runner, method, words):
    with pytest.raises(WorkerCrashedError, match=words):
        runner.run(ask(method))
    assert runner.run(ask("count")).scores == {"asked": 1}


def test_too_much_memory_is_refused_by_the_limit_and_named(runner):
    with pytest.raises(WorkerMemoryError, match=r"memory limit of 4\.0 GiB"):
        runner.run(ask("allocate"))
    assert runner.run(ask("count")).scores == {"asked": 1}  # by another process


def test_a_worker_killed_from_outside_is_named(runner):
    runner.run(ask("count"))
    later(0.3, lambda: os.kill(runner.pid, signal.SIGKILL))
    with pytest.raises(WorkerMemoryError, match="signal 9"):
        runner.run(ask("wait", seconds=60))


def test_an_endless_loop_ends_at_the_time_limit(zygote):
    runner = WorkerRunner(Limits(wall_seconds=0.5), zygote)
    runner.run(ask("count"))
    looping = runner.pid
    with pytest.raises(WorkerTimeoutError, match=r"limit of 0\.5 s"):
        runner.run(ask("spin"))
    assert not alive(looping)
    runner.close()


def test_cancel_ends_an_endless_loop_within_a_second(runner):
    runner.run(ask("count"))
    looping, cancelled = runner.pid, []

    def cancel():
        started = time.monotonic()
        runner.cancel()
        cancelled.append(time.monotonic() - started)

    timer = later(0.3, cancel)
    with pytest.raises(CancelledError):
        runner.run(ask("spin"))
    timer.join()
    assert cancelled[0] < 1
    assert not alive(looping)
    assert runner.run(ask("count")).scores == {"asked": 1}


def test_what_was_there_before_a_cancel_is_told_once(runner):
    reports = []

    def watch(progress):
        if progress.partial is not None:
            reports.append(progress.partial)
            later(0.3, runner.cancel)

    with pytest.raises(CancelledError):
        runner.run(ask("work"), watch)
    (found,) = reports
    assert found.scores == {"complete": False}
    assert np.array_equal(found.arrays["part"], [1, 1])


def test_cancel_with_nothing_to_cancel_does_nothing(runner):
    runner.cancel()
    assert runner.run(ask("count")).scores == {"asked": 1}


def test_an_abandoned_request_is_dropped_and_the_next_gets_its_own_answer(runner):
    def leave(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(ask("wait", seconds=0.3), leave)
    assert runner.run(ask("count")).scores == {"asked": 2}


def test_an_abandoned_request_that_does_not_end_loses_its_worker(runner):
    def leave(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(ask("spin"), leave)
    assert runner.run(ask("count")).scores == {"asked": 1}


def test_an_answer_to_another_question_is_refused(runner):
    with pytest.raises(WorkerCrashedError, match="cannot be read"):
        runner.run(ask("swap"))
    assert runner.run(ask("count")).scores == {"asked": 1}


def test_an_answer_too_large_to_show_is_refused_before_it_is_sent(runner):
    with pytest.raises(WorkerError, match="640 MiB, too much for the page"):
        runner.run(ask("flood"))
    assert runner.run(ask("count")).scores == {"asked": 2}


def test_an_error_ends_no_worker(runner):
    runner.run(ask("count"))
    with pytest.raises(ImageError):
        runner.run(ask("refuse"))
    assert runner.run(ask("count")).scores == {"asked": 3}


def test_a_worker_that_nobody_asks_ends_and_is_replaced():
    zygote = Zygote("tests.worker.actors:Impatient")
    runner = WorkerRunner(zygote=zygote)
    home = runner.run(ask("look")).scores["home"]
    idle = runner.pid
    eventually(lambda: not alive(idle))
    assert not list(Path(home).iterdir())
    assert runner.run(ask("count")).scores == {"asked": 1}
    assert runner.pid != idle
    assert not Path(home).exists()
    runner.close()
    zygote.close()


def test_a_killed_zygote_is_named():
    zygote = Zygote(ACTOR)
    runner = WorkerRunner(zygote=zygote)
    runner.run(ask("count"))
    worker = runner.pid
    zygote.process.kill()
    zygote.process.wait()
    assert runner.run(ask("count")).scores == {"asked": 2}
    runner.close()
    eventually(lambda: not alive(worker))
    with pytest.raises(WorkerCrashedError, match="could be started"):
        runner.run(ask("count"))
    zygote.close()
    shutil.rmtree(zygote.folder)


def test_nothing_outlives_the_server():
    script = (
        "from tests.worker.test_pool import *\n"
        f"zygote = Zygote({ACTOR!r})\n"
        "runner = WorkerRunner(zygote=zygote)\n"
        "runner.run(ask('count'))\n"
        "(zygote.folder / 'upload').write_text('private')\n"
        "print(zygote.process.pid, runner.pid, zygote.folder, flush=True)\n"
        "runner.run(ask('spin'))\n"
    )
    server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    *numbers, folder = server.stdout.readline().split()
    pids = [int(number) for number in numbers]
    assert (Path(folder) / "upload").exists()
    assert all(alive(pid) for pid in pids)
    server.kill()
    server.wait()
    server.stdout.close()
    eventually(lambda: not any(alive(pid) for pid in pids))
    eventually(lambda: not Path(folder).exists())


def test_a_killed_worker_leaves_no_files_behind(runner):
    home = Path(runner.run(ask("look")).scores["home"])
    assert home.is_dir()
    runner.close()
    assert not home.exists()


@pytest.mark.slow
def test_workers_killed_at_any_moment_leave_the_others_untouched(zygote):
    """Twenty times one of three is killed while all of them answer."""
    chance = random.Random(0)
    runners = [WorkerRunner(zygote=zygote) for _ in range(3)]
    answered = [0, 0]
    end = threading.Event()
    wrong = []

    def answer(number):
        while not end.is_set():
            found = runners[number].run(ask("count")).scores["asked"]
            answered[number] += 1
            if found != answered[number]:  # a worker that began anew would count from one
                wrong.append((number, found, answered[number]))

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        victim = threading.Thread(target=_killed, args=(runners[2],))
        victim.start()
        time.sleep(chance.uniform(0.0, 0.1))
        while runners[2].pid is None:
            time.sleep(0.005)
        os.kill(runners[2].pid, signal.SIGKILL)
        victim.join()
    end.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert min(answered) > 50
    for runner in runners:
        runner.close()


def _killed(runner):
    with pytest.raises(WorkerError):
        runner.run(ask("wait", seconds=5.0))


def test_images_that_were_taken_away_are_taken_from_the_worker_too(runner, tmp_path):
    files = []
    for number in range(3):
        path = tmp_path / f"image {number}"
        path.write_bytes(bytes([number]) * 10)
        files.append(File(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), path.name))
    runner.run(replace(ask("count"), images=tuple(files)))
    assert len(list(runner._inbox.iterdir())) == 3
    runner.run(replace(ask("count"), images=tuple(files[1:2])))
    assert [one.name for one in runner._inbox.iterdir()] == [files[1].sha256]


def test_a_question_that_waits_says_so_and_can_be_given_up(zygote):
    admission = Admission(1)
    runners = [WorkerRunner(zygote=zygote, owner=n, admission=admission) for n in range(2)]
    busy = threading.Thread(target=runners[0].run, args=(ask("wait", seconds=1.5),))
    busy.start()
    while runners[0].pid is None:
        time.sleep(0.01)
    activities = []

    def watch(progress):
        activities.append(progress.activity)
        if len(activities) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runners[1].run(ask("count"), watch)
    assert activities == ["Waiting for a free place"] * 3
    assert runners[1].pid is None
    busy.join()
    assert runners[1].run(ask("count")).scores["asked"] == 1
    for runner in runners:
        runner.close()
