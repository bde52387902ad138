"""A session closes what makes room, and shows its images in order."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from diagnostics.data import samples
from diagnostics.schema.request import File, ModelSource, Result
from diagnostics.ui.session import state, store
from diagnostics.ui.session.state import MAX_MODELS, MAX_SHOWN, Session

FIRST, *OTHERS = (
    ModelSource(File(f"/nowhere/{name}", name * 64, f"{name}.pt")) for name in "abcdef"
)


def image(name):
    return File(f"/nowhere/{name}", name * 8, f"{name}.png")


class Runner:
    """Stands for a worker's runner."""

    closed = False

    def __init__(self, **_):
        pass

    def close(self):
        self.closed = True


@pytest.fixture
def session(monkeypatch, tmp_path):
    monkeypatch.setattr(state, "WorkerRunner", Runner)
    monkeypatch.setattr(store, "_entries", {})
    monkeypatch.setattr(state.st, "toast", lambda _: None)
    return Session(store.upload_folder(tmp_path), 1, FIRST, [FIRST], [], [])


def test_the_least_recently_used_runner_is_closed_for_another_model(session):
    models = [FIRST, *OTHERS][: MAX_MODELS + 1]
    runners = [session.runner(model) for model in models[:-1]]
    assert session.runner(models[0]) is runners[0]
    session.runner(models[-1])
    assert [runner.closed for runner in runners] == [False, True, False]
    assert session.runner(models[1]) is not runners[1]
    session.close()
    assert all(runner.closed for runner in session.runners.values())


def result(mib):
    return Result("key", {"a": np.empty(mib * 2**20, np.uint8)}, {}, 0.1, {})


def test_results_take_so_much_memory_and_no_more(session):
    for number in range(12):
        session.results[str(number)] = result(20)
        assert "0" in session.results
        session.results["0"]  # a page that is looked at again stays
    assert "1" not in session.results
    assert "11" in session.results
    held = sum(found.arrays["a"].nbytes for found in session.results.values())
    assert state.RESULT_BYTES / 2 < held <= state.RESULT_BYTES


def test_an_answer_larger_than_that_is_there_alone(session):
    session.results["small"] = result(1)
    session.results["large"] = result(state.RESULT_BYTES // 2**20 + 9)
    assert list(session.results) == ["large"]
    session.results["small"] = result(1)
    assert list(session.results) == ["small"]


def test_of_a_session_that_ended_no_result_stays_although_somebody_holds_the_session(session):
    """A page's callbacks and timers may refer to it for a while."""
    answer = weakref.ref(session.results.setdefault("key", result(1)))
    session.partial_results["key"] = answer()
    session.picture_source("digest", lambda: "x" * 1000)
    session.close()
    gc.collect()
    assert answer() is None
    assert not session.pictures


def test_a_picture_is_encoded_once_while_there_is_room(session, monkeypatch):
    encoded = []

    def encode(character, size):
        encoded.append(character)
        return character * size

    def source(character, size=state.PICTURE_BYTES // 2):
        return session.picture_source(character, lambda: encode(character, size))

    assert source("a") == source("a")
    assert encoded == ["a"]
    source("b")
    source("a")
    source("c")
    source("a")
    assert encoded == ["a", "b", "c"]
    source("b")
    assert encoded == ["a", "b", "c", "b"]
    assert len(source("d", state.PICTURE_BYTES + 1)) == state.PICTURE_BYTES + 1
    source("d", state.PICTURE_BYTES + 1)
    assert encoded[4:] == ["d", "d"]


def test_added_images_are_shown_first_and_the_pinned_one_stays_in_sight(session):
    session.add_images([image(name) for name in "abc"])
    session.pinned = image("b").sha256
    session.add_images([image(name) for name in "cdefghijk"])
    names = [file.name[0] for file in session.shown_images()]
    assert names == list("bcdefghi")
    assert len(names) == MAX_SHOWN
    assert [file.name[0] for file in session.images] == list("abcdefghijk")
    assert session.is_comparing


def test_a_drawing_takes_the_place_of_the_one_before(session):
    session.add_images([image("a")])
    session.draw(image("d"))
    session.pinned = image("d").sha256
    session.draw(image("e"))
    assert [file.name[0] for file in session.images] == ["a", "e"]
    assert [file.name[0] for file in session.shown_images()] == ["e", "a"]
    assert session.pinned == image("e").sha256


def test_a_drawing_that_is_an_image_already_is_shown(session):
    session.add_images([image("a")])
    session.draw(File("/nowhere/drawing", image("a").sha256, "drawing.png"))
    session.draw(image("e"))
    assert image("e") in session.shown_images()


def test_known_good_samples_come_and_go_with_sample_models(session, monkeypatch):
    monkeypatch.setattr(state, "set_query_param", lambda *_: None)
    sample = ModelSource(samples.model_files()[samples.FIRST_MODEL])
    session.select_model(sample)
    assert session.in_distribution == samples.folders()["in_distribution"]
    marked = samples.model_files()["letters_marked"]
    session.select_model(ModelSource(marked))
    assert session.in_distribution == samples.folders(marked)["in_distribution"]
    session.select_model(OTHERS[0])
    assert session.in_distribution is None, "letters say nothing of a person's own model"
    session.in_distribution = own = image("z")
    session.select_model(sample)
    assert session.in_distribution == own


def test_known_good_samples_that_were_put_away_stay_away_with_other_settings(session, monkeypatch):
    monkeypatch.setattr(state, "set_query_param", lambda *_: None)
    session.select_model(ModelSource(samples.model_files()[samples.FIRST_MODEL]))
    session.in_distribution = None
    session.select_model(session.model)
    assert session.in_distribution is None


def test_models_are_forgotten_but_for_the_latest(session, monkeypatch):
    released = []
    monkeypatch.setattr(state, "set_query_param", lambda *_: None)
    monkeypatch.setattr(store, "release", lambda file, owner: released.append(file.name))
    session.choices = {"class": "3", "layer.grad_cam": "conv1", "sweep.axis": "blur"}
    for model in OTHERS[:MAX_MODELS]:
        session.select_model(model)
    assert session.models == OTHERS[:MAX_MODELS]
    assert released == ["a.pt"]
    assert session.choices == {"sweep.axis": "blur"}
    assert session.model_changes == MAX_MODELS
