"""Whether what a worker sent is the answer that was agreed: every key, type and number.

A worker is not trusted. An answer that is drawn as sentences and links is held to its TypedDict
before anybody reads it.
"""

from __future__ import annotations

from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from diagnostics.schema.results import Count
from diagnostics.schema.results.diagnosis import WhyAnswer

AGREED: dict[str, Any] = {"diagnosis/why": WhyAnswer}

BESIDE = "model"  # what is known of the model stands in every answer, and is read on its own
LARGEST = 1e15
TEXT_LENGTH = 10_000  # characters
ENTRIES = 10_000


def is_agreed(method: str, scores: object) -> bool:
    """Say whether the scores of an answer are as agreed; of other methods nothing is demanded.

    Args:
        method: Its id.
        scores: What JSON gave.
    """
    if method not in AGREED or not isinstance(scores, dict):
        return method not in AGREED
    own = {name: value for name, value in scores.items() if name != BESIDE}
    return _fits(own, AGREED[method])


def _fits(value: object, kind: Any) -> bool:
    """Say whether a value of JSON is of a type: a TypedDict, or what stands in one."""
    if is_typeddict(kind):
        fields = _fields(kind)
        return (
            isinstance(value, dict)
            and value.keys() == fields.keys()
            and all(_fits(value[name], expected) for name, expected in fields.items())
            and (kind is not Count or 0 <= value["hits"] <= value["n"])
        )
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is list:
        if not isinstance(value, list) or len(value) > ENTRIES:
            return False
        return all(_fits(one, inner[0]) for one in value)
    return _is_plain(value, kind)


def _is_plain(value: object, kind: Any) -> bool:
    """Say whether a value is a text, a truth value, nothing, or a number that can be written."""
    if isinstance(value, bool) or value is None:
        return type(value) is kind
    if isinstance(value, str):
        return kind is str and len(value) <= TEXT_LENGTH
    is_number = isinstance(value, int) or (isinstance(value, float) and kind is float)
    return kind in (int, float) and is_number and abs(value) < LARGEST  # type: ignore[arg-type]


@cache
def _fields(answer_type: Any) -> dict[str, Any]:
    return get_type_hints(answer_type)
