"""Choices among ids that stay in hand from page to page, and in the address."""

from __future__ import annotations

import streamlit as st

from diagnostics.ui.session.query_params import address
from diagnostics.ui.session.state import current_session

WIDTH = 215


def choose(
    label: str,
    key: str,
    shown: dict[str, str],
    help_text: str,
    *,
    first: str | None = None,
    width: int = WIDTH,
) -> str:
    """Draw a choice among ids, and keep the id in the address unless it is the first.

    Streamlit's own binding writes what is shown, which for classes is a person's text.
    """
    usual = first if first in shown else next(iter(shown))
    kept = current_session().choices
    before = (st.session_state.get(key), st.query_params.get(key), kept.get(key))
    # Set also when it stands there already: another page's widget has the same key.
    st.session_state[key] = next((value for value in before if value in shown), usual)
    chosen = str(
        st.selectbox(
            label,
            list(shown),
            format_func=shown.__getitem__,
            key=key,
            help=help_text,
            width=width,
        )
    )
    kept[key] = chosen
    address(key, "" if chosen == usual else chosen)
    return chosen


def choose_many(
    label: str, key: str, shown: dict[str, str], usual: list[str], *, most: int | None = None
) -> tuple[str, ...]:
    """Draw a choice of several ids, and keep them in the address unless they are the usual ones.

    Args:
        label: Of the widget.
        key: Of the widget, and its name in the address.
        shown: What people read, by id.
        usual: Ids chosen at first.
        most: How many may be chosen.
    """
    kept = current_session().choices
    chosen = st.session_state.get(key)
    if chosen is None or not set(chosen) <= shown.keys():
        asked = st.query_params.get(key, kept.get(key, "")).split(",")
        chosen = [name for name in dict.fromkeys(asked) if name in shown][:most] or usual
    st.session_state[key] = chosen
    names = st.multiselect(
        label, list(shown), key=key, max_selections=most, format_func=shown.__getitem__
    )
    kept[key] = ",".join(names)
    address(key, "" if names == usual else ",".join(names))
    return tuple(names)


def remembered(key: str, usual: int, most: int) -> None:
    """Let a slider or switch stand as it stood last, also on another page and after a reload.

    Args:
        key: Of the widget, and its name in the address.
        usual: Where it stands at first; a switch is 0 or 1.
        most: The largest value it may have; the smallest is 0.
    """
    kept, asked = current_session().settings, st.query_params.get(key, "")
    first = min(int(asked), most) if asked.isascii() and asked.isdigit() else usual
    kept[key] = int(st.session_state.get(key, kept.get(key, first)))
    st.session_state[key] = bool(kept[key]) if most == 1 else kept[key]
    address(key, "" if kept[key] == usual else str(kept[key]))


def stretched(page: str, *, usual: bool) -> bool:
    """Draw whether the axis of confidence is stretched towards its ends.

    Args:
        page: Begins the key of the switch.
        usual: Whether it is stretched unless a person says otherwise.
    """
    key = f"{page}.stretched"
    remembered(key, usual=int(usual), most=1)
    return st.toggle(
        "Stretch the axis near 100 %",
        key=key,
        help="On: 99 % and 99.99 % stand apart (the axis is log10 of p / (1 − p)). "
        "Off: equal steps in percent.",
    )


def shared_scale(row: str) -> bool:
    """Draw whether all images of a row share a scale."""
    remembered(f"{row}.shared", usual=0, most=1)
    return st.toggle(
        "One scale for all images",
        key=f"{row}.shared",
        help="On: equal colours are equal values, so images can be compared. "
        "Off: each image uses the whole scale.",
    )
