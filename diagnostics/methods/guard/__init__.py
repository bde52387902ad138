"""Guards: a model that can also answer "none of the above".

Promise of every guard here: it is fitted on known-good images, and some also on noise, fooling
images and strangers where there are some; other known-good images set its threshold, so that at
most the promised share of good images is rejected; gains and costs are counted on images that were
used for neither, the same ones for every guard.
It never changes which class comes first. The arrays "file/0", "file/1" and so on are a .zip with
everything that runs it elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diagnostics.methods.context import Context, Outcome, in_parts
from diagnostics.methods.guard._export import shipped
from diagnostics.methods.guard._fitting import Material, compared
from diagnostics.models.guard import Guard
from diagnostics.schema.spec import LayerInfo


def outcome(
    context: Context, guard: Guard, layers: Sequence[LayerInfo], material: Material, alpha: float
) -> Outcome[Any]:
    """Return a guard's gains and costs, and the file that ships it."""
    context.progress("Writing the guard", 0.9)
    found = compared(guard, material, alpha)
    said: dict[str, Any] = {"kind": guard.kind, "score": guard.score, **found}
    content, problems = shipped(context, guard, layers, material, said)
    return Outcome({**said, "problems": problems}, in_parts(content))
