"""The registry of loaders: one file for each format, which says itself what it can read."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias, TypeVar

from diagnostics.errors import ModelError
from diagnostics.loaders.loaded import LoadedNetwork
from diagnostics.loaders.preview import Preview, preview
from diagnostics.loaders.refusals import why_not
from diagnostics.loaders.weights import Weights
from diagnostics.schema.request import ModelSource

PACKAGE = "diagnostics.loaders"

Read: TypeAlias = Callable[..., Weights | LoadedNetwork]
Reader = TypeVar("Reader", bound=Read)


@dataclass(frozen=True)
class Loader:
    """Reads the files of one format.

    Args:
        format: The name of the format.
        files: What people call such files; empty where these are not recommended.
        matches: Says whether a file is one, from what can be seen of it.
        read: Returns weights, whose network is then recognised, or a network with its weights; of a
            path, and where `takes_size` of the size that a person states, too.
        brings_network: Whether it returns a network.
        takes_size: Whether the size of images stands nowhere in such files.
        permit: Raises a `ModelError` where such files may not be opened.
    """

    format: str
    files: str
    matches: Callable[[Preview], bool]
    read: Read
    brings_network: bool
    takes_size: bool
    permit: Callable[[ModelSource], None]


_REGISTRY: dict[str, Loader] = {}


def _always(_source: ModelSource) -> None:
    return None


def loader(
    format: str,
    matches: Callable[[Preview], bool],
    *,
    files: str = "",
    brings_network: bool = False,
    takes_size: bool = False,
    permit: Callable[[ModelSource], None] = _always,
) -> Callable[[Reader], Reader]:
    """Register the function that reads a format; every module of this package is looked at.

    A file is opened by the one loader that it matches, and refused where it matches several, so
    the order of loaders decides nothing.

    Args:
        format: The name of the format.
        matches: Says whether a file is one; never opens or unpickles it.
        files: What people call such files; empty where these are not recommended.
        brings_network: Whether the files hold a network, and not only its weights.
        takes_size: Whether the size of images stands nowhere in such files, so that the function
            takes the size that a person states as well.
        permit: Raises a `ModelError` where a source may not be opened.

    Raises:
        ValueError: When another module reads a format of that name.
    """

    def register(read: Reader) -> Reader:
        taken = _REGISTRY.get(format)
        if taken is not None and taken.read.__module__ != read.__module__:
            raise ValueError(f"Two loaders read {format!r}.")
        _REGISTRY[format] = Loader(format, files, matches, read, brings_network, takes_size, permit)
        return read

    return register


def loaders() -> tuple[Loader, ...]:
    """Return every registered loader, sorted by the name of its format."""
    _discover()
    return tuple(_REGISTRY[name] for name in sorted(_REGISTRY))


def recognise(path: Path) -> Loader:
    """Return the loader of a file or folder, by its content and never by its name.

    Raises:
        ModelError: When no loader reads it, or more than one; the sentence says what to do.
    """
    file = preview(path)
    known = loaders()
    matching = [loader for loader in known if loader.matches(file)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        formats = " and as ".join(loader.format for loader in matching)
        raise ModelError(
            f"The file can be read as {formats}, and readers differ on which; refused."
        )
    raise ModelError(why_not(file, sorted(filter(None, (one.files for one in known)))))


@cache
def _discover() -> None:
    package = importlib.import_module(PACKAGE)
    for module in pkgutil.iter_modules(package.__path__, f"{PACKAGE}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
