"""Why is an image classifier so sure, and should it be? The library behind Oversure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diagnostics.live import RunningApp, show
    from diagnostics.notebook import LoadedModel, inspect, load, run, why

__all__ = ["LoadedModel", "RunningApp", "inspect", "load", "run", "show", "why"]


def __getattr__(name: str) -> Any:
    """Load the notebook API when it is asked for: importing the package must not load torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from diagnostics import live, notebook

    return getattr(live if name in ("RunningApp", "show") else notebook, name)
