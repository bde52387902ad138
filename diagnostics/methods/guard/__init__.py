"""Guards: a model that can also answer "none of the above".

Promise of every guard here: it is fitted on in-distribution images, and some also on noise, fooling
images and OOD images where there are some; other in-distribution images set its threshold, so that
at most the promised share of such images is rejected; gains and costs are counted on images that
were used for neither, the same ones for every guard. It never changes which class comes first. The
arrays "file/0", "file/1" and so on are a .zip with everything that runs it elsewhere.

A new guard is one new file: a method of the kind "guard" that fits tensors on `Splits`, and the
formula that reads them, a function that `standalone_source` can ship.
"""

from __future__ import annotations

from collections.abc import Sequence

from diagnostics.methods.context import Context, Outcome, split_file
from diagnostics.methods.guard._evaluation import calibrate, gains_and_costs
from diagnostics.methods.guard._export import export
from diagnostics.methods.guard._splits import Splits
from diagnostics.models.guard import Guard
from diagnostics.schema.results.guard import GuardAnswer
from diagnostics.schema.spec import LayerInfo


def outcome(
    context: Context,
    name: str,
    guard: Guard,
    layers: Sequence[LayerInfo],
    splits: Splits,
    alpha: float,
    score: str = "",
) -> Outcome[GuardAnswer]:
    """Calibrate a guard; return its gains and costs, and the file that ships it.

    Args:
        context: Gives the classifier.
        name: Name of the guard's method.
        guard: The guard, fitted.
        layers: Layers whose statistics it reads.
        splits: What it was fitted on, is calibrated with and tested by.
        alpha: Share of in-distribution images that may be rejected.
        score: Name of its OOD score, if it has one.
    """
    context.progress("Writing the guard", 0.9)
    calibrate(guard, splits.calibration, alpha)
    gains = gains_and_costs(guard, splits, alpha, name, score)
    content, problems = export(context, guard, layers, splits, gains)
    return Outcome(GuardAnswer(**gains, problems=problems), split_file(content))
