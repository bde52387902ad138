"""What a method found, as lines and as files."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from diagnostics.report import export

SCORES = {
    "model": {"name": "m"},
    "complete": True,
    "limit": None,
    "history": [1.0, 2.0],
    "cost": {"forward": 12},
    "images": [{"file": "cat.png", "norm": 0.1234567, "top": [{"class": "a", "logit": -2.0}]}],
    "notes": ["One image left out."],
}


def test_every_number_and_note_has_a_line_and_lists_have_none():
    said = export.lines(SCORES)
    assert "complete: yes" in said
    assert "limit: can't tell" in said
    assert "cat.png" in said
    assert "  norm: 0.123" in said
    assert "  forward: 12" in said
    assert said[-1] == "note: One image left out."
    assert not any("history" in line or "model" in line for line in said)


def test_arrays_are_written_exactly_and_pictures_also_as_png(tmp_path):
    random = np.random.default_rng(0)
    arrays = {
        "0/changed": random.random((1, 4, 5)).astype(np.float32),
        "grey": random.integers(0, 256, (4, 5), np.uint8),
        "pictures": random.integers(0, 256, (2, 4, 5, 3), np.uint8),
        "thin": random.integers(0, 256, (3, 4, 5, 1), np.uint8),
    }
    names = export.write_arrays(arrays, tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(names)
    for name, values in arrays.items():
        file = tmp_path / "new" / f"{name.replace('/', '-')}.npy"
        assert np.array_equal(np.load(file, allow_pickle=False), values)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "new" / "grey.png")), arrays["grey"])
    second = np.asarray(Image.open(tmp_path / "new" / "pictures-001.png"))
    assert np.array_equal(second, arrays["pictures"][1])
    third = np.asarray(Image.open(tmp_path / "new" / "thin-002.png"))
    assert np.array_equal(third, arrays["thin"][2, ..., 0])
    assert not list((tmp_path / "new").glob("*changed*.png"))


@pytest.mark.parametrize("name", ["../../up", "a/b/c", "/etc/passwd"])
def test_names_of_arrays_stay_in_the_folder(tmp_path, name):
    export.write_arrays({name: np.zeros(2)}, tmp_path / "in")
    assert {path.parent for path in tmp_path.rglob("*.npy")} == {tmp_path / "in"}
