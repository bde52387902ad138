"""TOML of strangers: held to a size and a shape before it is parsed.

Python's parser takes memory that grows with the square of a key's dots, and calls itself for every
level of nesting. What we read is flat: a few tables of values and lists.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

MIB = 2**20
MAX_BYTES = MIB
MAX_PARTS = 4  # of a key: a.b.c has three
MAX_DEPTH = 8
MAX_NAMES = 1000  # keys, tables and lists
MAX_WORD = 64  # a name or a number outside of quotes

# A string without its end goes to the end, so that none is looked for twice.
QUOTED = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\\?\Z)'
    r"|'''(?:[^']|'(?!''))*+(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\[^\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+",
    re.DOTALL,
)
WORD = re.compile(rf"[\w.+-]{{{MAX_WORD + 1}}}")
DOTTED = re.compile(rf"(?:[\w-]+[ \t]*\.[ \t]*){{{MAX_PARTS}}}")


def loads(text: str) -> dict[str, Any]:
    """Read TOML.

    Args:
        text: Of anybody.

    Raises:
        ValueError: When it is no TOML, or larger or deeper than what we write; the text says why.
    """
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_BYTES:
        raise ValueError(f"it has {size / MIB:.1f} MiB, and at most {MAX_BYTES / MIB:.0f} are read")
    bare = QUOTED.sub("q", text)
    if WORD.search(bare):
        raise ValueError(f"a name or number outside of quotes has more than {MAX_WORD} characters")
    if DOTTED.search(bare):
        raise ValueError(f"a name has more than {MAX_PARTS} parts with dots between them")
    if sum(map(bare.count, "=[{")) > MAX_NAMES:
        raise ValueError(f"it has more than {MAX_NAMES} keys, tables and lists")
    if _depth(bare) > MAX_DEPTH:
        raise ValueError(f"its brackets are nested more than {MAX_DEPTH} deep")
    return tomllib.loads(text)


def _depth(bare: str) -> int:
    deepest = depth = 0
    for bracket in re.findall(r"[\[\]{}]", bare):
        depth = depth + 1 if bracket in "[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest
