import subprocess
import sys
import types
from typing import Annotated, Literal

import pytest

from diagnostics.errors import OptionError
from diagnostics.methods import registry
from diagnostics.schema.options import Layer, Option, Range
from diagnostics.schema.spec import Need


def covering(
    classifier,
    *,
    patch_px: Annotated[int, Range(1, 64, "px")] = 16,
    fill: Literal["mean", "zero"] = "mean",
    layer: Annotated[str, Layer()] = "",
    signed: bool = False,
):
    """What happens without a patch.

    Args:
        patch_px: Side of the patch,
            in pixels.
        fill: What replaces it.
        layer: Where.
        signed: Keep the sign.

    Returns:
        A map.
    """


@pytest.fixture
def registered(monkeypatch):
    registry.methods()  # found once, and not into the copy
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    return lambda function, module: registry.method("T", source="S", needs={Need.LAYERS})(
        _moved(function, module)
    )


def _moved(function, module):
    copy = types.FunctionType(function.__code__, function.__globals__, function.__name__)
    copy.__kwdefaults__, copy.__annotations__ = function.__kwdefaults__, function.__annotations__
    copy.__doc__, copy.__module__ = function.__doc__, module
    return copy


def test_a_signature_becomes_options(registered):
    registered(covering, "diagnostics.methods.attribution.covering")
    info = registry.find("attribution/covering").info
    assert info.options == (
        Option("patch_px", "int", 16, Range(1, 64, "px"), help="Side of the patch, in pixels."),
        Option("fill", "choice", "mean", choices=("mean", "zero"), help="What replaces it."),
        Option("layer", "layer", "", help="Where."),
        Option("signed", "bool", False, help="Keep the sign."),
    )
    assert info.summary == "What happens without a patch."
    assert info.needs == ("layers",)


def test_settings_are_read_from_one_line(registered):
    registered(covering, "diagnostics.methods.attribution.covering")
    written = "attribution/covering?patch_px=8&layer=conv.1&signed=true"
    identity, options = registry.parse(written)
    assert identity == "attribution/covering"
    assert options == {"patch_px": 8, "layer": "conv.1", "signed": True}


def test_a_name_used_twice_raises(registered):
    registered(covering, "diagnostics.methods.attribution.covering")
    with pytest.raises(ValueError, match="Two methods"):
        registered(covering, "elsewhere.attribution.covering")


def test_a_function_must_bear_its_files_name(registered):
    with pytest.raises(ValueError, match="own name"):
        registered(covering, "diagnostics.methods.attribution.other")


def test_an_unknown_method_lists_the_known_ones():
    with pytest.raises(OptionError, match="attribution/gradient"):
        registry.find("attribution/nothing")


def test_the_same_methods_are_found_by_family_and_in_order():
    found = [known.info.id for known in registry.methods("map")]
    assert found == sorted(found)
    assert {"attribution/gradient", "attribution/grad_cam"} <= set(found)


@pytest.mark.slow
def test_finding_the_methods_loads_no_library_that_only_some_of_them_call():
    """Every command and every worker waits for it: scipy's statistics alone take a second."""
    code = (
        "import sys; from diagnostics.methods.registry import methods; methods(); "
        "sys.exit(', '.join({'scipy', 'sklearn'} & sys.modules.keys()) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
