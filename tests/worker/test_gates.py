"""Two gates, each proven alone: what a parser refuses, and what a locked worker cannot do.

The files are the same for both. A third test lets them do what they do where nothing stops them,
because files that do no harm would prove nothing.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from diagnostics.errors import ModelError
from diagnostics.loaders import READERS, sniff
from diagnostics.request import File, ModelSource, Request
from diagnostics.worker import WorkerRunner, Zygote, sandbox, selftest
from tests.loaders import gadgets

COUNT = len(gadgets.CALLS)


@pytest.fixture
def corpus(tmp_path):
    """Every call in every container, and the folder of their markers."""
    markers = tmp_path / "markers"
    markers.mkdir()
    files = []
    for container in gadgets.CONTAINERS:
        for index in range(COUNT):
            name = f"{container.__name__}-{index}"
            path = tmp_path / f"{name}.pth"
            path.write_bytes(container(index, str(markers / name)))
            files.append(path)
    return files, markers


def test_the_corpus_is_large(corpus):
    assert len(corpus[0]) >= 150


@pytest.mark.slow
def test_where_nothing_stops_them_the_files_do_their_harm(corpus):
    files, markers = corpus
    chosen = [path for path in files if path.name.startswith(("plain", "in_archive"))]
    code = "import sys; from tests.worker.actors import careless; careless(sys.argv[1:])"
    subprocess.run([sys.executable, "-c", code, *map(str, chosen)], check=True, capture_output=True)
    done = {path.name.removesuffix(".npy") for path in markers.iterdir()}
    assert done == {path.stem for path in chosen}


def test_the_parser_alone_refuses_every_file_and_runs_none(corpus):
    files, markers = corpus
    for path in files:
        with pytest.raises(ModelError):
            READERS[sniff.sniff(path)](path)
    assert not list(markers.iterdir())


@pytest.mark.skipif(
    selftest.outcome().level is sandbox.Level.NONE, reason="this kernel has no Landlock or seccomp"
)
def test_the_locked_worker_alone_keeps_every_file_from_doing_harm(corpus, tmp_path):
    files, markers = corpus
    folder = tmp_path / "zygote"
    folder.mkdir()
    zygote = Zygote("tests.worker.actors:Actor", folder)
    images = tuple(
        File(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), path.name) for path in files
    )
    model = ModelSource(File(str(Path(__file__)), "0" * 64, "model"))
    runner = WorkerRunner(zygote=zygote)
    scores = runner.run(Request("open_carelessly", model, images)).scores
    assert scores["opened"] == len(files)
    assert not list(markers.iterdir())
    runner.close()
    zygote.close()
