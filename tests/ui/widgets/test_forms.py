"""Forms are what a method's signature says; a page changes the words, and offers fewer values."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from diagnostics.errors import OptionError
from diagnostics.schema.options import MethodInfo, Option, Range
from diagnostics.ui.session import choices
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.forms import AS_SIGNED, Field

METHOD = MethodInfo(
    id="attribution/example",
    kind="map",
    title="Example",
    summary="An example.",
    source="Nobody",
    options=(
        Option("window_px", "int", 32, Range(1, 128, "px"), help="Side of the window."),
        Option("share", "float", 0.05, Range(0.001, 0.5)),
        Option("fill", "choice", "blur", choices=("black", "blur")),
        Option("signed", "bool", True, help="Whether signs are kept."),
        Option("layer", "layer", ""),
        Option("names", "text", "a,b"),
    ),
)


class Session:
    """What the choices need of a session."""

    def __init__(self):
        self.choices, self.positions = {}, {}


@pytest.fixture
def drawn(monkeypatch):
    """Return a function that draws fields of the method; it gives the page and the values."""
    session, values = Session(), {}
    monkeypatch.setattr(choices, "current_session", lambda: session)

    def draw(fields, prefix="", **address):
        def script(fields, prefix, values):
            from tests.ui.widgets.test_forms import METHOD, forms

            values.update(forms.options(METHOD, fields, prefix))

        page = AppTest.from_function(script, args=(fields, prefix, values), default_timeout=180)
        for name, value in address.items():
            page.query_params[name] = value
        return page.run(), values

    return draw


def test_every_option_is_drawn_as_it_is_signed(drawn):
    page, values = drawn({name: AS_SIGNED for name in ("window_px", "fill", "signed", "names")})
    assert not page.exception
    assert values == {"window_px": 32, "fill": "blur", "signed": True, "names": "a,b"}
    (window,) = page.number_input
    assert (window.label, window.min, window.max, window.value) == ("Window px", 1, 128, 32)
    assert window.help == "Side of the window."
    assert page.selectbox[0].options == ["black", "blur"]
    assert page.toggle[0].help == "Whether signs are kept."
    assert not page.query_params


def test_a_page_offers_some_of_the_values_under_words_of_its_own(drawn):
    field = Field("Rejected", "How many.", choices=(0.01, 0.05), title="{:.0%}".format)
    page, values = drawn({"share": field}, "guard")
    (box,) = page.selectbox
    assert (box.label, box.help, box.options) == ("Rejected", "How many.", ["1%", "5%"])
    assert values == {"share": 0.05}
    assert "guard.share" not in page.query_params
    page = page.selectbox(key="guard.share").set_value("0.01").run()
    assert values == {"share": 0.01}
    assert page.query_params["guard.share"] == "0.01"


def test_values_have_the_type_of_their_option(drawn):
    _, values = drawn({"window_px": Field(choices=(8, 16), default=16)}, "page")
    assert values == {"window_px": 16}
    assert type(values["window_px"]) is int


def test_the_address_says_what_stands_there_unless_it_is_nonsense(drawn):
    fields = {"window_px": Field(choices=(8, 32)), "signed": AS_SIGNED, "fill": AS_SIGNED}
    address = {"page.window_px": "8", "page.signed": "0", "page.fill": "purple"}
    _, values = drawn(fields, "page", **address)
    assert values == {"window_px": 8, "signed": False, "fill": "blur"}


def test_a_layer_is_one_of_the_models(drawn):
    field = Field(choices=("", "conv1"), title=lambda name: name or "usual", key="layer.example")
    page, values = drawn({"layer": field})
    assert page.selectbox[0].options == ["usual", "conv1"]
    assert values == {"layer": ""}


@pytest.mark.parametrize(
    ("name", "field", "sentence"),
    [
        ("window_px", Field(choices=(32, 256)), "between 1 and 128 px; got 256"),
        ("fill", Field(choices=("blur", "road")), "must be one of black, blur; got 'road'"),
        ("size", AS_SIGNED, "has no option 'size'; it has window_px, share"),
    ],
)
def test_a_page_cannot_offer_what_the_method_does_not_take(name, field, sentence):
    with pytest.raises(OptionError, match=sentence):
        forms.options(METHOD, {name: field}, "page")
