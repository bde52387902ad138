"""Forms drawn from what a method says of its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from diagnostics.schema.options import MethodInfo, Option, Range, Value
from diagnostics.ui.session.choices import WIDTH, choose, toggle


@dataclass(frozen=True)
class Field:
    """How a page draws an option; what is left out is as the method's signature has it.

    Args:
        label: Stands over the widget.
        help: Its tooltip.
        choices: The values to choose from: some of those that the method takes, or those that
            depend on the selected model.
        title: How people read a choice.
        default: What is chosen at first.
        key: The widget's key, and its name in the address.
        width: In px.
    """

    label: str = ""
    help: str = ""
    choices: Sequence[Value] = ()
    title: Callable[..., str] = str
    default: Value = None
    key: str = ""
    width: int = WIDTH


AS_SIGNED = Field()


def options(info: MethodInfo, fields: Mapping[str, Field], prefix: str = "") -> dict[str, Any]:
    """Draw options of a method, in the order of the fields; return a value of each one's type.

    Args:
        info: The method.
        fields: How each option is drawn, by its name.
        prefix: Begins the names under which choices and switches stay as they are on other pages
            and in the address; without one only fields that have a key do.

    Raises:
        OptionError: When the method does not have an option, or does not take a choice.
    """
    return {name: _draw(info, info.option(name), field, prefix) for name, field in fields.items()}


def _draw(info: MethodInfo, option: Option, field: Field, prefix: str) -> Value:
    label = field.label or option.name.replace("_", " ").capitalize()
    help_text = field.help or option.help
    default = option.default if field.default is None else field.default
    key = field.key or (f"{prefix}.{option.name}" if prefix else "")
    values = {str(value): option.check(value) for value in field.choices or option.choices}
    if not key:
        return _plain(option, label, f"{info.id}.{option.name}", help_text)
    if option.kind == "bool":
        return toggle(label, key, help_text, default=bool(default))
    titles = {name: field.title(value) for name, value in values.items()}
    return values[choose(label, key, titles, help_text, default=str(default), width=field.width)]


def _plain(option: Option, label: str, key: str, help_text: str) -> Value:
    """Draw a widget that keeps its value no longer than its page."""
    if option.kind == "bool":
        return st.toggle(label, bool(option.default), key=key, help=help_text)
    if option.kind == "choice":
        index = option.choices.index(str(option.default))
        return st.selectbox(label, option.choices, index, key=key, help=help_text)
    if option.kind == "text":
        return st.text_input(label, str(option.default), key=key, help=help_text)
    limits, kind = option.range or Range(-1e9, 1e9), int if option.kind == "int" else float
    low, high, default = (kind(end or 0) for end in (limits.low, limits.high, option.default))
    return kind(st.number_input(label, low, high, default, key=key, help=help_text))
