"""Two gates, each proven alone: what a parser refuses, and what a locked worker cannot do.

The files are the same for both. A third test lets them do what they do where nothing stops them,
because files that do no harm would prove nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from diagnostics.errors import ModelError
from diagnostics.loaders.open import open_file
from diagnostics.loaders.registry import recognise
from diagnostics.schema.request import File, ModelSource, Request
from diagnostics.worker import WorkerRunner, Zygote, sandbox, selftest
from tests.loaders import hostile_programs, written
from tests.networks_for_tests import EXPORTED

pytest.importorskip("keras")
pytest.importorskip("onnx")
pytestmark = pytest.mark.filterwarnings("ignore")

# These only go into a file what is opened anyway, or what no reader looks at.
NEUTRALISED = ("samples", "opaque_constant", "custom_constant", "expression")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Every hostile file by name, and the folder of their markers."""
    folder = tmp_path_factory.mktemp("hostile")
    markers = folder / "markers"
    markers.mkdir()
    files = []
    for kind, numbers in hostile_programs.KINDS:
        for index in numbers:
            name = f"{kind.__name__}-{index}"
            path = folder / name
            path.write_bytes(kind(index, str(markers / name)))
            files.append(path)
    for marker in markers.iterdir():  # what was done while the files were made
        marker.rmdir() if marker.is_dir() else marker.unlink()
    return files, markers


def kind_of(path):
    return path.name.rpartition("-")[0]


def test_the_corpus_is_large(corpus):
    assert len(corpus[0]) >= 200


@pytest.mark.slow
def test_where_nothing_stops_them_the_files_do_their_harm(corpus, tmp_path):
    files, markers = corpus
    chosen = [path for path in files if kind_of(path) in hostile_programs.HARMFUL]
    code = "import sys; from tests.worker.actors import careless; careless(sys.argv[1:])"
    subprocess.run([sys.executable, "-c", code, *map(str, chosen)], check=True, capture_output=True)
    done = {path.name.removesuffix(".npy") for path in markers.iterdir()}
    assert done == {path.name for path in chosen}
    for marker in markers.iterdir():
        subprocess.run(["rm", "-rf", str(marker)], check=True)


@pytest.mark.slow
def test_the_parser_alone_refuses_every_file_and_runs_none(corpus):
    files, markers = corpus
    opened = []
    for path in files:
        with contextlib.suppress(ModelError):
            open_file(ModelSource(File(str(path), "0" * 64, path.name)))
            opened.append(kind_of(path))
    assert not list(markers.iterdir())
    assert set(opened) <= set(NEUTRALISED)


@pytest.mark.skipif(
    selftest.outcome().level is sandbox.Level.NONE, reason="this kernel has no Landlock or seccomp"
)
@pytest.mark.slow
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
    tried = 0
    for start in range(0, len(images), 20):  # one may end its process, but not the others' tests
        request = Request("open_carelessly", model, images[start : start + 20])
        tried += runner.run(request).scores["opened"]
    assert tried == len(images)
    assert not list(markers.iterdir())
    runner.close()
    zygote.close()


@pytest.mark.slow
def test_files_that_do_no_harm_are_opened(tmp_path):
    """Two small networks, each as its makers write it, and none of them is refused."""
    refused, count = [], 0
    for name in ("one channel", "vit"):
        make, shape = EXPORTED[name]
        network = make().eval()
        writers = {
            **written.WRITERS,
            "legacy": written.legacy,
            "one image": lambda *arguments: written.onnx(*arguments, one=True),
            "of one": lambda *arguments: written.pt2(*arguments, batch=1),
            "decomposed": lambda *arguments: written.pt2(*arguments, decomposed=True),
        }
        for format, write in writers.items():
            if format == "whole module" and name == "vit":
                continue  # its classes are of these tests
            path = write(network, shape, tmp_path / f"{name} {format}")
            count += 1
            try:
                recognise(path).read(path)
            except ModelError as error:
                refused.append(f"{path.name}: {error.message}")
    assert count == 2 * len(writers) - 1
    assert not refused
