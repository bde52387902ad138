"""The lists and mappings that YAML and Python write as text, read without either: names only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

TOKEN = re.compile(
    r"""\s*(?:\#[^\n]*\n\s*)*(?:
    (?P<mark>[\[\]{},:]) |
    '(?P<single>(?:[^'\\]|''|\\.)*)' |
    (?P<double>"(?:[^"\\]|\\.)*") |
    (?P<plain>[^\[\]{},:\s'"\#](?:[^\[\]{},:\n\#]|:(?=\S)|(?<=\S)\#)*)
    )""",
    re.VERBOSE | re.DOTALL,
)
BLOCK = re.compile(r"-\s+(?P<item>\S.*)|(?P<key>'[^']*'|\"[^\"]*\"|[^:\s][^:]*):\s+(?P<value>\S.*)")
CLOSING = {"[": "]", "{": "}"}

Pairs = list[tuple[str, str]]


def read(text: str) -> list[str] | Pairs:
    """Read a list or mapping that begins a text: `['cat', 'dog']`, `{0: cat, 1: dog}`.

    Raises:
        ValueError: When it is neither, or holds anything but text.
    """
    tokens = _tokens(text)
    _, opening = next(tokens)
    if opening not in CLOSING:
        raise ValueError("expected a list or a mapping")
    items: list[str] = []
    keys: list[str] = []
    for kind, token in tokens:
        if (kind, token) == ("mark", CLOSING[opening]):
            if opening == "[":
                return items
            return list(zip(keys, items, strict=True))
        if kind == "mark" and token == ",":
            continue
        if kind == "mark" and token == ":" and opening == "{" and items:
            keys.append(items.pop())
        elif kind == "mark":
            raise ValueError("expected text")
        else:
            items.append(token)
    raise ValueError("expected an end")


def block(text: str) -> list[str] | Pairs:
    """Read the lines behind a key of YAML, one item each: `- cat`, or `0: cat`.

    Raises:
        ValueError: When they are neither.
    """
    items: list[str] = []
    pairs: Pairs = []
    for line in text.splitlines():
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        found = BLOCK.fullmatch(content)
        if not line[:1].isspace() and not content.startswith("-"):
            break  # the next key
        if found is None:
            raise ValueError("expected an item")
        if found["item"] is not None:
            items.append(_scalar(found["item"]))
        else:
            pairs.append((_scalar(found["key"]), _scalar(found["value"])))
    if items and pairs:
        raise ValueError("expected a list or a mapping")
    return pairs or items


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while found := TOKEN.match(text, position):
        position = found.end()
        kind = str(found.lastgroup)
        token = found[kind]
        if kind == "single":
            token = token.replace("''", "'").replace("\\'", "'")
        yield kind, _unescaped(token) if kind == "double" else token.strip()
    raise ValueError("expected an end")


def _scalar(text: str) -> str:
    """Return what a value of YAML stands for, without a comment behind it."""
    if text[0] in "'\"":
        kind, token = next(_tokens(text))
        return token if kind in ("single", "double") else text
    return re.split(r"\s+#", text)[0].strip()


def _unescaped(quoted: str) -> str:
    try:
        return str(json.loads(quoted, strict=False))
    except ValueError:
        return quoted[1:-1].replace('\\"', '"')
