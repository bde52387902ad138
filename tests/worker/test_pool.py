"""Whatever happens in a worker, its server lives, says why, and goes on."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
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
from diagnostics.ui.session import store
from diagnostics.worker import Admission, Limits, WorkerRunner, Zygote, watchdog
from diagnostics.worker.child import GIB, memory_limit
from diagnostics.worker.sandbox import THREADS
from diagnostics.worker.watchdog import PRINTED_KIB

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
    assert set(report["environment"]) <= {
        "HOME",
        "TMPDIR",
        "PATH",
        "LANG",
        "LC_ALL",
        "CUDA_VISIBLE_DEVICES",
    }
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


def test_a_file_that_keeps_the_worker_busy_while_it_is_opened_is_ended_with_a_sentence(zygote):
    runner = WorkerRunner(Limits(opening_seconds=0.5), zygote)
    with pytest.raises(WorkerTimeoutError, match=r"Opening model\.safetensors took more than"):
        runner.run(ask("open_for_ever"))
    assert runner.pid is None
    assert runner.run(ask("open_patiently")).scores == {}
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


def test_a_worker_drops_an_abandoned_request_and_holds_its_model(runner):
    """The work itself never ends, and tells how far it is every 0.05 s."""

    def leave(progress):
        raise KeyboardInterrupt

    for asked in (2, 4):
        with pytest.raises(KeyboardInterrupt):
            runner.run(ask("work"), leave)
        assert runner.run(ask("count")).scores == {"asked": asked}


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


@pytest.mark.parametrize("is_warm", [True, False])
def test_uploads_do_not_stay_when_the_server_dies_while_a_worker_starts(is_warm):
    """The zygote then has nobody whom it could tell the worker's process id."""
    script = (
        "from tests.worker.test_pool import *\n"
        "import socket\n"
        "from diagnostics.worker.wire import FORK, NUMBER\n"
        f"zygote = Zygote({ACTOR!r})\n"
        f"if {is_warm}: WorkerRunner(zygote=zygote).run(ask('count'))\n"
        "(zygote.folder / 'upload').write_text('private')\n"
        "print(zygote.process.pid, zygote.folder, flush=True)\n"
        "ours, theirs = socket.socketpair()\n"
        "socket.send_fds(zygote._control, [FORK + NUMBER.pack(0)], [theirs.fileno()])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    pid, folder = server.stdout.readline().split()
    server.wait()
    server.stdout.close()
    eventually(lambda: not alive(int(pid)), 60)
    eventually(lambda: not Path(folder).exists())


def test_what_a_killed_server_and_its_zygote_left_is_deleted_at_the_next_start(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    script = (
        "from tests.worker.test_pool import *\n"
        f"zygote = Zygote({ACTOR!r})\n"
        "(zygote.folder / 'upload').write_text('private')\n"
        "print(zygote.folder, flush=True)\n"
        "if sys.argv[1:]:\n"
        "    zygote.process.kill()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    living = subprocess.Popen(command, **pipes)
    theirs = Path(living.stdout.readline().strip())
    dead = subprocess.Popen([*command, "die"], **pipes)
    left = Path(dead.stdout.readline().strip())
    dead.wait()
    assert left.exists()
    next_one = Zygote(ACTOR)
    assert not left.exists()
    assert (theirs / "upload").exists()
    living.communicate("")
    dead.communicate()
    next_one.close()
    eventually(lambda: not theirs.exists())


def test_what_a_worker_prints_is_bounded_and_cannot_steer_a_terminal(capfd):
    zygote = Zygote(ACTOR)
    runner = WorkerRunner(zygote=zygote)
    runner.run(ask("print", mib=3))
    assert runner.run(ask("count")).scores == {"asked": 2}
    runner.close()
    zygote.close()
    printed = capfd.readouterr().err
    assert "\\x1b[2J" in printed
    assert "\x1b" not in printed
    assert "what it prints from here on is left out" in printed
    assert len(printed) < 2 * PRINTED_KIB * 1024


def test_threads_of_a_worker_are_limited(runner):
    started = runner.run(ask("multiply")).scores["threads"]
    assert 16 < started <= max(THREADS, 4 * (os.cpu_count() or 1))


def test_a_worker_that_litters_the_disk_is_ended_and_told_so(runner):
    with pytest.raises(WorkerCrashedError, match="10000 files"):
        runner.run(ask("litter", files=10_100))
    assert runner.run(ask("count")).scores == {"asked": 1}


def test_what_a_process_wrote_counts_also_where_it_deleted_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(watchdog, "DISK_MIB", 4)
    script = (
        "import os, sys\n"
        "kept = open(sys.argv[1] + '/kept', 'wb')\n"
        "kept.write(os.urandom(2**21)); kept.flush()\n"
        "print(flush=True); sys.stdin.readline()\n"
        "gone = open(sys.argv[1] + '/gone', 'wb'); os.unlink(gone.name)\n"
        "gone.write(os.urandom(2**22)); gone.flush()\n"
        "print(flush=True); sys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], **pipes)
    output, theirs = os.pipe()
    watched = watchdog.Watchdog(process.pid, tmp_path, output)
    process.stdout.readline()
    watched.watch()
    assert not watched.is_over_disk
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()
    watched.watch()
    assert watched.is_over_disk
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    os.close(theirs)
    watched.close()
    assert not tmp_path.exists()


def test_a_load_that_never_ends_ends_with_a_sentence_at_the_limit(zygote):
    runner = WorkerRunner(Limits(silent_seconds=0.5), zygote)
    runner.run(ask("count"))
    with pytest.raises(WorkerTimeoutError, match=r"no progress for 0\.5 s .* endless loop"):
        runner.run(ask("spin"))
    assert runner.run(ask("count")).scores == {"asked": 1}
    runner.close()


def uploaded(folder, content):
    folder.mkdir(exist_ok=True)
    digest = hashlib.sha256(content).hexdigest()
    path = folder / digest
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    return File(str(path), digest, "model.pt")


def test_a_refused_file_that_is_brought_again_is_not_called_damaged(zygote, runner):
    """It is another file to the kernel, and the worker is locked to the first one."""
    folder = zygote.folder / "uploads-again"
    for _ in range(6):
        model = ModelSource(uploaded(folder, b"not a model"))
        assert runner.run(Request("weigh", model)).scores == {"bytes": 11}
    assert runner.run(ask("count")).scores == {"asked": 7}


def test_a_worker_cannot_look_whether_somebody_brought_a_file(zygote, runner):
    folder = store.upload_folder(zygote.folder)
    model, other = (uploaded(folder, content) for content in (b"mine", b"another's"))
    request = Request("pry", ModelSource(model), options={"names": (other.sha256, model.sha256)})
    assert runner.run(request).scores == {"found": [], "listed": []}
    runner.close()
    Path(model.path).unlink()  # and is not told where it lay
    assert runner.run(request).scores == {"found": [], "listed": []}
    assert Path(other.path).exists()


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
    waiting = "Waiting for a turn, number 1 in line: the server answers 1 question at a time"
    assert activities == [waiting] * 3
    assert runners[1].pid is None
    busy.join()
    assert runners[1].run(ask("count")).scores["asked"] == 1
    for runner in runners:
        runner.close()
