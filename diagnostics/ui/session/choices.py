"""Choices that stay as they are from page to page, and in the address."""

from __future__ import annotations

import streamlit as st

from diagnostics.ui.session.query_params import set_query_param
from diagnostics.ui.session.state import current_session

WIDTH = 215


def choose(
    label: str,
    key: str,
    titles: dict[str, str],
    help_text: str,
    *,
    default: str | None = None,
    width: int = WIDTH,
) -> str:
    """Draw a choice among ids, and keep the id in the address unless it is the default.

    Streamlit's own binding writes what is shown, which for classes is a person's text.

    Args:
        label: Of the widget.
        key: Of the widget, and its name in the address.
        titles: What people read, by id.
        help_text: The tooltip.
        default: Id chosen at first; None, or one that is not offered, takes the first id.
        width: In px.
    """
    default = default if default in titles else next(iter(titles))
    choices = current_session().choices
    earlier = (st.session_state.get(key), st.query_params.get(key), choices.get(key))
    # Set also when it stands there already: another page's widget has the same key.
    st.session_state[key] = next((value for value in earlier if value in titles), default)
    chosen = str(
        st.selectbox(
            label,
            list(titles),
            format_func=titles.__getitem__,
            key=key,
            help=help_text,
            width=width,
        )
    )
    choices[key] = chosen
    set_query_param(key, "" if chosen == default else chosen)
    return chosen


def choose_many(
    label: str,
    key: str,
    titles: dict[str, str],
    default: list[str],
    *,
    max_selections: int | None = None,
) -> tuple[str, ...]:
    """Draw a choice of several ids, and keep them in the address unless they are the default.

    Args:
        label: Of the widget.
        key: Of the widget, and its name in the address.
        titles: What people read, by id.
        default: Ids chosen at first.
        max_selections: How many may be chosen.
    """
    choices = current_session().choices
    chosen = st.session_state.get(key)
    if chosen is None or not set(chosen) <= titles.keys():
        earlier = dict.fromkeys(st.query_params.get(key, choices.get(key, "")).split(","))
        chosen = [name for name in earlier if name in titles][:max_selections] or default
    st.session_state[key] = chosen
    names = st.multiselect(
        label, list(titles), key=key, max_selections=max_selections, format_func=titles.__getitem__
    )
    choices[key] = ",".join(names)
    set_query_param(key, "" if names == default else ",".join(names))
    return tuple(names)


def remember(key: str, default: int, max_value: int) -> None:
    """Let a slider or a number stand as it stood last, also on another page and after a reload.

    Args:
        key: Of the widget, and its name in the address.
        default: Where it stands at first.
        max_value: The largest value it may have; the smallest is 0.
    """
    positions, param = current_session().positions, st.query_params.get(key, "")
    first = min(int(param), max_value) if param.isascii() and param.isdigit() else default
    positions[key] = int(st.session_state.get(key, positions.get(key, first)))
    st.session_state[key] = positions[key]
    set_query_param(key, "" if positions[key] == default else str(positions[key]))


def toggle(label: str, key: str, help_text: str | None = None, *, default: bool = False) -> bool:
    """Draw a switch that stands as it stood last, also on another page and after a reload.

    Args:
        label: Of the widget.
        key: Of the widget, and its name in the address.
        help_text: The tooltip.
        default: Where it stands at first.
    """
    remember(key, int(default), 1)
    st.session_state[key] = bool(st.session_state[key])
    return st.toggle(label, key=key, help=help_text)


def stretch_toggle(page: str, *, default: bool) -> bool:
    """Draw whether the axis of confidence is stretched towards its ends.

    Args:
        page: Begins the key of the switch.
        default: Whether it is stretched at first.
    """
    return toggle(
        "Stretch the axis near 100 %",
        f"{page}.stretched",
        "On: 99 % and 99.99 % stand apart (the axis is log10 of p / (1 − p)). "
        "Off: equal steps in percent.",
        default=default,
    )


def shared_scale_toggle(row: str) -> bool:
    """Draw whether all images of a row share a scale."""
    return toggle(
        "One scale for all images",
        f"{row}.shared",
        "On: equal colours are equal values, so images can be compared. "
        "Off: each image uses the whole scale.",
    )
