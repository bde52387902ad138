"""Numbers as people read them."""

from __future__ import annotations

import math
import re

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # colours for terminals
JOINER = "\u2060"  # has no width; keeps an address from becoming a link by itself


def probability(value: float, one_minus_p: float) -> str:
    """Return a probability in percent, or its distance from one where percent would say 100.

    Args:
        value: 0 to 1.
        one_minus_p: 1 - value, exact.

    Returns:
        "97.3 %", "1 − 3.2e-9", "0.042 %" or "2.1e-7".
    """
    if not math.isfinite(value):
        return "not a number"
    if value == 0:
        return "below 1e-300"
    if value > 0.999:
        return f"1 − {_scientific(one_minus_p)}" if one_minus_p > 0 else "1 − less than 1e-300"
    for least, decimals in ((1e-2, 1), (1e-3, 2), (1e-4, 3), (1e-5, 4)):
        if value >= least:
            return f"{100 * value:.{decimals}f} %"
    return _scientific(value)


def number(value: float | None) -> str:
    """Return a number with three significant digits; None was no finite number."""
    if value is None or not math.isfinite(value):
        return "not finite"
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return _scientific(value)
    return f"{value:.3g}".replace("-", "−")


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign, such as a logit."""
    return f"{value:+.{digits}f}".replace("-", "−")


def counted(count: int, thing: str, things: str = "") -> str:
    """Return "1 image" or "5 images"; `things` is the plural where it needs more than an s."""
    return f"{count} {thing if count == 1 else things or f'{thing}s'}"


def duration(seconds: float) -> str:
    """Return an estimate of a time, such as "About 12 s" or "Less than a second"."""
    if seconds < 1:
        return "Less than a second"
    if seconds < 90:
        return f"About {seconds:.0f} s"
    if seconds < 5400:
        return f"About {seconds / 60:.0f} min"
    return f"About {seconds / 3600:.1f} h"


def shortened(name: str, length: int = 24) -> str:
    """Shorten a long name in the middle."""
    if len(name) <= length:
        return name
    tail = (length - 1) // 2
    return f"{name[: length - 1 - tail]}…{name[-tail:]}"


def line_of(error: Exception, length: int = 120, *, last: bool = False) -> str:
    """Return one line of what a library says of an error, without colours and the final stop.

    Args:
        error: Whatever it raised.
        length: At most so many characters.
        last: Whether the reason stands in its last line.
    """
    lines = ANSI.sub("", str(error)).strip().splitlines() or [""]
    line = "".join(filter(str.isprintable, lines[-1 if last else 0])).strip()
    return line[:length].rstrip(" .:") or type(error).__name__


def markdown(text: str) -> str:
    """Return Markdown that reads as this text, whatever marks and addresses are in it."""
    unlinked = text.replace("://", f":{JOINER}//").replace("www.", f"www{JOINER}.")
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", unlinked)


def printable(text: str) -> str:
    """Return text without anything that steers a terminal; line breaks and tabs stay."""
    return "".join(
        mark if mark.isprintable() or mark in "\n\t" else ascii(mark)[1:-1] for mark in text
    )


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"
