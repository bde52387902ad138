"""Do the outputs depend on the image, and are they what they are said to be?"""

from __future__ import annotations

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.diagnosis import _outputs
from diagnostics.methods.diagnosis._findings import of_model
from diagnostics.methods.registry import method
from diagnostics.schema.results.diagnosis import FindingsAnswer


@method("Outputs", source="Softmax of probabilities lies below e / (e + C - 1): its definition")
def outputs(context: Context) -> Outcome[FindingsAnswer]:
    """Whether the outputs depend on the image, and whether softmax is applied twice.

    Args:
        context: Gives the images, and the folder of good ones or the reference.

    Returns:
        What was done, what became of it, and the same of good images.
    """
    return of_model(context, _outputs.find)
