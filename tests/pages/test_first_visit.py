"""The first visit to every page: a model and images are there, and nothing fails."""

from __future__ import annotations

import pytest

from tests.conftest import ROOT
from tests.pages_for_tests import PAGES, fine, open_page


def test_every_page_lies_in_a_section():
    assert "pages/1_look/1_inspect.py" in PAGES
    assert not list((ROOT / "pages").glob("*.py"))


def test_the_first_visit_has_model_and_images(app_with_workers):
    page = fine(app_with_workers.run())
    assert page.title[0].value == "Inspect"
    assert not page.error
    assert len(page.multiselect(key="shown").value) == 5


@pytest.mark.parametrize("name", PAGES[1:])
def test_every_page_shows_the_samples(app, name):
    page = open_page(app, name)
    assert f'TITLE, ICON = "{page.title[0].value}", ' in (ROOT / name).read_text("utf-8")
    assert not page.error
    assert page.caption[0].value or page.caption[1].value
