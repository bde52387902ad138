"""The oldest versions of libraries that are trusted with a file, as pyproject.toml has them."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version

EXTRAS = {
    "onnx": "ONNX",
    "keras": "Keras",
    "huggingface": "Hugging Face",
}
LOWER_BOUND = re.compile(rf"""^([\w.-]+)>=([\w.]+)(; ?extra == ['"]({"|".join(EXTRAS)})['"])?$""")


@dataclass(frozen=True)
class Floor:
    """One library.

    Args:
        name: Of its distribution.
        least: Oldest version whose behaviour was looked at.
        have: The version that is installed; None when there is none.
        extra: The extra that brings it; empty for those that are always needed.
    """

    name: str
    least: str
    have: str | None
    extra: str

    @property
    def kept(self) -> bool:
        """Whether it is there and new enough."""
        return self.have is not None and _numbers(self.have) >= _numbers(self.least)


@cache
def floors() -> tuple[Floor, ...]:
    """Return every library with a lower bound, but for what only development needs."""
    bounds = (LOWER_BOUND.match(one) for one in requires("oversure") or ())
    return tuple(
        Floor(bound[1], bound[2], _version(bound[1]), bound[4] or "") for bound in bounds if bound
    )


def lacking(extra: str) -> str:
    """Say what an extra lacks here, as a sentence; empty when it has all it needs."""
    own = [floor for floor in floors() if floor.extra == extra]
    missing = [one.name for one in own if importlib.util.find_spec(one.name) is None]
    if missing:
        return (
            f"{' and '.join(missing)}, which read it, are not installed"
            if missing[1:]
            else (f"{missing[0]}, which reads it, is not installed")
        )
    old = [one for one in own if not one.kept]
    if old:
        return f"{old[0].name} {old[0].have} is too old for it, {old[0].least} or newer is needed"
    return ""


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3])
