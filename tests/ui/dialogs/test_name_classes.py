"""Names for the classes of a model that has none."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages_for_tests import fine

pytestmark = pytest.mark.slow


def page():
    import streamlit as st

    from diagnostics.schema.request import OPEN, Request
    from diagnostics.schema.spec import read
    from diagnostics.ui.dialogs.name_classes import name_classes
    from diagnostics.ui.session.state import current_session
    from diagnostics.ui.widgets.run import run_request

    session = current_session()
    spec = read(run_request(Request(OPEN, session.model)).scores["model"])
    st.text(", ".join(spec.class_names))
    name_classes(spec)


def test_names_are_taken_where_there_is_one_for_each_class(recorded_answers):
    app = fine(AppTest.from_function(page, default_timeout=180).run())
    app.text_area(key="names.typed").set_value("only one")
    app = fine(app.run())
    assert "1 name for 26 outputs" in app.error[0].value
    assert app.button(key="names.use").disabled
    app.text_area(key="names.typed").set_value("\n".join(f"bird {n}" for n in range(26)))
    app = fine(app.run())
    assert not app.error
    app = fine(app.button(key="names.use").click().run())
    assert app.text[0].value.startswith("bird 0, bird 1, ")
