"""TOML of strangers: whatever it holds, it costs little and is refused in one sentence."""

from __future__ import annotations

import random
import tomllib
import tracemalloc

import pytest

from diagnostics.errors import RecipeError
from diagnostics.schema import recipe, toml
from diagnostics.schema.preprocessing import Preprocessing

MIB = 2**20
HOSTILE = {
    "a key of 28,000 parts": "a" + ".a" * 28_000 + " = 1",
    "a key of short parts": "a . " * 14_000 + "a = 1",
    "a key of quoted parts": '"a".' * 14_000 + "a = 1",
    "a table's name of many parts": "[" + "a." * 28_000 + "a]",
    "a key of many parts in a list": "a = [{" + "a." * 28_000 + "a = 1}]",
    "a key behind a long string": 'b = """\n"."."\n"""\n' + "a" + ".a" * 28_000 + " = 1",
    "lists in lists": "a = " + "[" * 5000,
    "lists in lists over many lines": "a = " + "[\n" * 5000 + "]\n" * 5000,
    "tables in tables": "a = " + "{a = " * 3000 + "1" + "}" * 3000,
    "a number of 5,000 digits": "a = " + "9" * 5000,
    "a number of 5,000 digits in groups": "a = " + "_".join("999" for _ in range(1700)),
    "a number of 50,000 bits": "[model]\nname = 0x" + "f" * 12_500,
    "many tables": "".join(f"[a{number}.b.c]\n" for number in range(50_000)),
    "more than a megabyte": "# " + "x" * MIB,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_recipe_of_56_kb_does_not_take_the_server_to_3_gb(text):
    tracemalloc.start()
    try:
        with pytest.raises(RecipeError) as caught:
            recipe.loads(text)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("opening", ['"""\n\\', "'''\n", '"\\\n', "a .", "[ ", '""" \\"'])
def test_what_is_looked_for_before_parsing_is_found_in_one_pass(opening):
    """A megabyte of beginnings without an end; to look for each one's would take hours."""
    with pytest.raises(ValueError, match=r"."):
        toml.loads(opening * (MIB // len(opening) - 1))


def test_names_with_dots_brackets_and_digits_are_read():
    names = ("a.b.c.d.e.f.g", "[[[[[[[[[[[[", "9" * 5000, '"', "'''", '"""', "# no comment", "\\")
    original = recipe.Recipe("a.b.c.d.e.f.g.pt", "", "", "", names, Preprocessing())
    assert recipe.loads(recipe.dumps(original)) == original


def test_a_recipe_of_22_000_classes_is_read():
    names = tuple(f"n{number:08d} a name, with more words. {number}" for number in range(21_841))
    original = recipe.Recipe("m.pt", "", "", "", names, Preprocessing())
    text = recipe.dumps(original)
    assert len(text) > MIB * 0.8
    assert recipe.loads(text) == original


def test_mutated_recipes_are_read_as_the_parser_reads_them_or_refused_in_one_sentence():
    """What passes the limits is what the parser alone would have said."""
    draw = random.Random(0)
    names = ("cat", "a.b", 'quoted "x"', "#9")
    seed = recipe.dumps(recipe.Recipe("m.pt", "ab", "timm/x", "logits", names, Preprocessing()))
    pieces = [*"\"'.[]{}=#\n\\,_ 9ae", '"""', "'''", "1e999", "nan", "0x", "[[model]]\n", "\x00"]
    passed = longest = 0
    for _ in range(3000):
        text = seed
        for _ in range(draw.randrange(1, 6)):
            at = draw.randrange(len(text))
            piece = draw.choice(pieces) * draw.choice((1, 1, 1, 9, 2000))
            text = text[:at] + piece + text[at + draw.randrange(4) :]
        try:
            recipe.loads(text)
            passed += 1
        except RecipeError as error:
            longest = max(longest, len(error.message))
        try:
            content = toml.loads(text)
        except ValueError:
            continue
        assert repr(content) == repr(tomllib.loads(text))
    assert passed > 100
    assert longest < 400
