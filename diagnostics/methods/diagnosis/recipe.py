"""Do images reach the network as it was trained to receive them?"""

from __future__ import annotations

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.diagnosis import _recipe
from diagnostics.methods.diagnosis._findings import labelled, of_model
from diagnostics.methods.registry import method
from diagnostics.schema.results.diagnosis import FindingsAnswer


@method(
    "Recipe and BatchNorm",
    source="Accuracy and BatchNorm deviation, each a veto on the other",
)
def recipe(context: Context) -> Outcome[FindingsAnswer]:
    """What the answer is when images are prepared otherwise, or BatchNorm measures anew.

    Args:
        context: Gives the images, and the folder of good ones or the reference.

    Returns:
        What was done, what became of it, and the same of good images.
    """
    return of_model(context, labelled(_recipe.find))
