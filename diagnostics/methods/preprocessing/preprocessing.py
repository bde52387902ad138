"""Is the preprocessing right?"""

from __future__ import annotations

from typing import Any

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.preprocessing.check import examine
from diagnostics.methods.registry import method


@method(
    "Preprocessing",
    source="BatchNorm statistics: Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.1",
)
def preprocessing(context: Context) -> Outcome[Any]:
    """Which of the plausible ways of preparing images fits this network best.

    Args:
        context: Gives the folder's images with their labels, or those in hand.

    Returns:
        A verdict in a sentence, the evidence it rests on, how many images, and every way tried.
    """
    return Outcome({"preprocessing": examine(context), "notes": context.remarks()})
