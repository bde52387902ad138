"""What a person's images do to the page, and what is no image."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages_for_tests import fine, press

pytestmark = pytest.mark.slow


def page():
    import streamlit as st

    from diagnostics.data import noise
    from diagnostics.data.image import encode_png
    from diagnostics.ui import sidebar
    from diagnostics.ui.dialogs.add_images import store_images

    if st.button("Bring"):
        mine = encode_png(noise.generate("uniform", 28, 28, 1, seed=7)[..., 0])
        store_images([(mine, "mine.png"), (b"no image", "notes.png")])
    sidebar.selection()


@pytest.fixture
def brought(recorded_answers):
    """The page after an image and something that is none were brought."""
    first = fine(AppTest.from_function(page, default_timeout=180).run())
    assert len(first.multiselect(key="shown").options) == 5
    first = fine(press(first, "Noise"))
    return fine(press(first, "Bring"))


def test_what_is_no_image_is_refused_when_it_is_added(brought):
    """A column of its own would say the same again and again."""
    assert "notes.png" not in brought.multiselect(key="shown").options
    (error,) = [error.value.replace("\\", "") for error in brought.main.error]
    assert "notes.png is no image that can be recognised" in error
    assert not fine(press(brought, "Dismiss")).error


def test_the_samples_leave_when_ones_own_image_comes(brought):
    assert brought.multiselect(key="shown").options == ["uniform 1.png", "mine.png"]
