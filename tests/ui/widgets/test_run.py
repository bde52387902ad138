"""Progress and what is there so far stand where they belong."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

pytestmark = pytest.mark.slow


def page():
    import streamlit as st

    from diagnostics.schema.request import Progress, Request, Result
    from diagnostics.ui.session.state import current_session
    from diagnostics.ui.widgets import run

    run.PATIENCE_SECONDS = 0.0
    request = Request("open", current_session().model)
    partial = Result(request.key, {}, {}, 0.0, {})
    display = run._ProgressDisplay(st.empty(), request, lambda _: st.markdown("so far"))
    display(Progress("working", 0.5, 3.0, partial))


def descendants(block):
    for child in getattr(block, "children", {}).values():
        yield child
        yield from descendants(child)


def floats(block):
    """Say whether the corner that floats above the page is this block."""
    return "progress-" in str(getattr(getattr(block, "proto", None), "id", ""))


def test_what_is_there_so_far_stands_in_the_page_and_not_in_the_floating_corner(recorded_answers):
    everything = list(descendants(AppTest.from_function(page, default_timeout=180).run()._tree))
    (corner,) = [block for block in everything if floats(block)]
    floating = [getattr(element, "value", "") for element in descendants(corner)]
    shown = [getattr(element, "value", "") for element in everything]
    assert "so far" in shown
    assert "so far" not in floating


def answered():
    from types import SimpleNamespace

    import streamlit as st

    from diagnostics.schema.request import Result
    from diagnostics.ui.session.state import current_session
    from diagnostics.ui.widgets import run

    session = current_session()
    request = SimpleNamespace(key="k")
    engine = "![x](http://evil.example/x.png) :red[aten::mT] <b>fast</b>"
    session.results["k"] = Result("k", {}, {}, 0.0, {}, engine)
    run.try_request(request, st.empty())


def test_what_computed_an_answer_is_text_whatever_its_process_sent(recorded_answers):
    app = AppTest.from_function(answered, default_timeout=180).run()
    assert not app.exception
    (caption,) = app.caption
    assert "\\!\\[x\\]" in caption.value
    assert "\\:red\\[aten\\:\\:mT\\]" in caption.value
    assert "http://" not in caption.value
