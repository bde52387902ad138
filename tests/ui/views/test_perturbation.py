"""Random changes and single pixels on a page, without a browser."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages_for_tests import chart_titles, fine, page_text

PAGE = """
from diagnostics.ui import sidebar
from diagnostics.ui.views import perturbation
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.session.state import current_session

spec, methods = sidebar.selection()
board = Board("Beside", "What is beside the smallest change?", spec)
perturbation.draw(spec, methods, board, current_session().shown_images()[0], TARGET, LENGTH)
board.offer_report()
"""


@pytest.fixture
def on(recorded_answers):
    """Return a function that opens the sections on a page of their own."""

    def opened(length, target=None):
        script = PAGE.replace("LENGTH", str(length)).replace("TARGET", str(target))
        page = AppTest.from_string(script, default_timeout=180)
        return fine(page.run())

    return opened


@pytest.mark.slow
def test_both_sections_state_their_cost_and_wait_until_they_are_wanted(on):
    page = on(0.9)
    assert not page.toggle(key="random.rays").value
    assert not page.toggle(key="random.pixels").value
    assert not chart_titles(page)
    costs = [text.value for text in page.caption if "passes forward" in text.value]
    assert f"{24 * 52 + 2 * 256 + 9 * 64} passes forward" in costs[0]
    assert f"{784 * 8 + 6 * 128} passes forward" in costs[1]
    page = fine(page.toggle(key="random.rays").set_value(True).run())
    assert chart_titles(page) == ["Distance to another answer, 24 rays"]
    assert "random changes of the smallest change's length, L2 0.9" in page_text(page)
    page = fine(page.toggle(key="random.pixels").set_value(True).run())
    assert chart_titles(page)[1] == "Answer kept by random pixels, 128 draws each"
    assert "all 784 pixels were tried at 8 levels" in page_text(page)
    tables = [table.value for table in page.dataframe]
    assert list(tables[1]["pixels redrawn together"]) == ["1", "4", "16", "64", "256", "784"]
    assert "L2 distance" in tables[0]


@pytest.mark.slow
def test_without_a_smallest_change_the_rest_is_still_drawn(on):
    page = on(0.0, target=0)
    page = fine(page.toggle(key="random.rays").set_value(True).run())
    assert "No smallest change is known" in page_text(page)
    assert chart_titles(page)
