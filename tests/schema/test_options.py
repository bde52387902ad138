import json
from dataclasses import asdict

import pytest

from diagnostics.errors import OptionError
from diagnostics.schema.options import MethodInfo, Option, Range, read_info

SIZE = Option("patch_px", "int", 16, Range(1, 64, "px"))
FILL = Option("fill", "choice", "mean", choices=("mean", "zero"))
SIGNED = Option("signed", "bool", False)
SIGMA = Option("sigma", "float", 0.1, Range(0, 1))
INFO = MethodInfo(
    "family/name", "analysis", "Name", "Does it.", "Paper", ("gradients",), (SIZE, FILL)
)


@pytest.mark.parametrize(
    ("option", "value"), [(SIZE, 1), (SIZE, 64), (FILL, "zero"), (SIGNED, True), (SIGMA, 0.5)]
)
def test_a_value_inside_its_range_is_taken_as_it_is(option, value):
    assert option.check(value) == value
    assert option.read(str(value)) == value


@pytest.mark.parametrize(
    ("option", "value"),
    [(SIZE, 0), (SIZE, 65), (SIZE, 1.5), (SIZE, True), (FILL, "blur"), (SIGNED, 1), (SIGMA, "x")],
)
def test_a_value_outside_is_refused_with_what_was_expected_and_got(option, value):
    with pytest.raises(OptionError, match=f"{option.name} must .*got"):
        option.check(value)


@pytest.mark.parametrize(("option", "text"), [(SIZE, "wide"), (SIGNED, "maybe"), (SIGMA, "")])
def test_text_that_is_no_value_is_refused(option, text):
    with pytest.raises(OptionError, match="got"):
        option.read(text)


def test_a_whole_number_stays_one():
    assert isinstance(SIZE.check(8.0), int)


def test_defaults_fill_what_is_not_given():
    assert INFO.check({"fill": "zero"}) == {"patch_px": 16, "fill": "zero"}


def test_an_unknown_option_lists_the_known_ones():
    with pytest.raises(OptionError, match="patch_px, fill"):
        INFO.check({"patch": 3})


def test_a_description_survives_json():
    assert read_info(json.loads(json.dumps(asdict(INFO)))) == INFO
