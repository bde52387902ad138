"""Formats in which a page can be saved; a file here is a format of the report menu."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias, TypeVar

from diagnostics.report.table import Row, Table

Sections: TypeAlias = Mapping[str, Sequence[Row | Table]]
Write: TypeAlias = Callable[[str, Mapping[str, str], Sections], str | bytes]
Writer = TypeVar("Writer", bound=Write)


@dataclass(frozen=True)
class Format:
    """A format of the report.

    Args:
        title: What people read in the menu.
        ending: Of the file, with its dot.
        mime: Its media type.
        summary: First line of the docstring of `write`.
        write: Makes the file from a title, facts by name, and the rows and tables of each section,
            in the order of the screen.
    """

    title: str
    ending: str
    mime: str
    summary: str
    write: Write


_FORMATS: dict[str, Format] = {}


def report_format(title: str, *, ending: str, mime: str) -> Callable[[Writer], Writer]:
    """Register what writes a format, see `Format`."""

    def register(write: Writer) -> Writer:
        summary = (write.__doc__ or "").partition("\n")[0]
        _FORMATS[write.__module__] = Format(title, ending, mime, summary, write)
        return write

    return register


@cache
def formats() -> tuple[Format, ...]:
    """Return every format, in the order of their files' names."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)
    return tuple(_FORMATS[name] for name in sorted(_FORMATS))
