"""The guards of the page are those of the registry."""

from __future__ import annotations

import json
from dataclasses import replace

from streamlit.testing.v1 import AppTest

from diagnostics.methods.registry import methods
from diagnostics.schema.options import Option, Range
from diagnostics.ui.views.guard import guards_of

INFOS = {method.info.id: method.info for method in methods()}


def test_guards_stand_in_the_order_that_they_give_themselves():
    titles = [info.title for info in guards_of(INFOS)]
    assert titles == ["Threshold", "Extra class", "Discriminator"]
    assert all(info.explanation for info in guards_of(INFOS))


def test_a_new_guard_needs_no_other_file():
    new = replace(INFOS["guard/threshold"], id="guard/mine", title="Mine", order=2)
    titles = [info.title for info in guards_of({new.id: new, **INFOS})]
    assert titles == ["Threshold", "Extra class", "Mine", "Discriminator"]


def drawn_options():
    """Draw the options of the threshold and of a guard with options of its own."""
    import json

    import streamlit as st

    from diagnostics.ui.views import guard
    from tests.ui.views.test_guard import INFOS, own_guard

    options = guard.draw_options([INFOS["guard/extra_class"], own_guard()], {})
    st.json(json.dumps(options))


def own_guard():
    options = (
        Option("alpha", "float", 0.05, Range(0.001, 0.5)),
        Option("hidden_units", "int", 64, Range(1, 256)),
    )
    return replace(INFOS["guard/threshold"], id="guard/mine", title="Mine", options=options)


def test_the_options_of_every_guard_are_drawn_from_its_signature():
    page = AppTest.from_function(drawn_options, default_timeout=180).run()
    assert not page.exception
    labels = [widget.label for widget in page.number_input]
    assert labels == ["Extra class: alpha", "Mine: alpha", "Mine: hidden units"]
    page.number_input[2].set_value(8).run()
    assert json.loads(page.json[0].value) == {
        "guard/extra_class": {"alpha": 0.05},
        "guard/mine": {"alpha": 0.05, "hidden_units": 8},
    }
