"""What people brought is retained as long as somebody owns it, and deleted then."""

from __future__ import annotations

import pytest

from diagnostics.schema.request import File, ModelSource
from diagnostics.ui.session import store


@pytest.fixture(autouse=True)
def empty_store(monkeypatch):
    monkeypatch.setattr(store, "_entries", {})
    monkeypatch.setattr(store, "_closed_owners", set())
    monkeypatch.setattr(store, "GRACE_SECONDS", 3600)


@pytest.fixture
def upload(tmp_path):
    folder = store.upload_folder(tmp_path)
    path = folder / "a"
    path.write_bytes(b"content")
    return File(str(path), "a" * 64, "cat.png")


def test_a_file_is_found_by_its_id_while_somebody_owns_it(upload):
    identity = store.retain(upload, 1)
    assert store.find(identity, 2) == upload
    assert store.find("nonsense", 2) is None


def test_an_id_is_neither_the_hash_nor_made_from_it(upload):
    identity = store.retain(upload, 1)
    assert len(identity) == store.ID_LENGTH
    assert identity not in upload.sha256
    assert store.retain(File(upload.path, upload.sha256, "dog.png"), 1) != identity


def test_what_nobody_owns_is_there_until_it_is_deleted(upload, tmp_path):
    identity = store.retain(upload, 1)
    store.release_all(1)
    assert list(store.upload_folder(tmp_path).iterdir())
    store.delete_unowned()
    assert store.find(identity, 2) is None
    assert not list(store.upload_folder(tmp_path).iterdir())


def test_a_file_that_a_second_person_or_a_model_still_uses_stays(upload, tmp_path):
    store.retain(upload, 1)
    other = store.retain(ModelSource(upload, "timm/x"), 2)
    store.release_all(1)
    store.delete_unowned()
    assert store.find(other, 2) == ModelSource(upload, "timm/x")
    assert len(list(store.upload_folder(tmp_path).iterdir())) == 1


def test_whoever_finds_an_item_owns_it(upload):
    identity = store.retain(upload, 1)
    store.find(identity, 2)
    store.release_all(1)
    store.delete_unowned()
    assert store.find(identity, 2) == upload


def test_a_file_that_is_released_is_gone_at_once_with_what_was_made_from_it(upload, tmp_path):
    store.retain(upload, 1)
    store.retain(ModelSource(upload), 1)
    store.release(upload, 1)
    assert not list(store.upload_folder(tmp_path).iterdir())


def test_a_closed_owner_owns_nothing_again(upload):
    store.release_all(1)
    identity = store.retain(upload, 1)
    store.delete_unowned()
    assert store.find(identity, 2) is None


def test_files_that_are_not_ours_are_never_deleted(tmp_path):
    folder = store.upload_folder(tmp_path).with_name("theirs")
    folder.mkdir(parents=True)
    path = folder / "weights.pth"
    path.write_bytes(b"theirs")
    store.retain(File(str(path), "b" * 64, "weights.pth"), 1)
    store.release_all(1)
    store.delete_unowned()
    assert path.exists()
