"""Which few pixels alone keep the model sure? Searched by gradients, many pixels at a time."""

from __future__ import annotations

from typing import Annotated

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method
from diagnostics.methods.sufficient_pixels._search import Settings, SufficientPixelSearch
from diagnostics.schema.options import Range
from diagnostics.schema.results.sufficient_pixels import SufficientPixelsAnswer
from diagnostics.schema.spec import Need
from diagnostics.schema.sufficient_pixels import Fill, batched_passes, default_step


@method(
    "Sufficient pixels",
    source="Batched gradient SIS, Carter et al. 2021, arXiv:2003.08907",
    needs={Need.GRADIENTS},
)
def batched_gradient(
    context: Context,
    *,
    tau: Annotated[float, Range(0.5, 0.9999)] = 0.9,
    fill: Fill = "dataset_mean",
    step: Annotated[int, Range(0, 65536, "px")] = 0,
    subsets: Annotated[int, Range(1, 8)] = 1,
    controls: bool = True,
    box: str = "",
) -> Outcome[SufficientPixelsAnswer]:
    """Few pixels that alone keep the model sure, searched by gradients, with four controls.

    Args:
        context: Gives the images in hand; its target is the class meant, else each image's first.
        tau: Probability that the kept pixels must reach.
        fill: What stands where a pixel is hidden.
        step: How many pixels are hidden at a time; 0 hides a hundredth of them.
        subsets: How many disjoint subsets are looked for.
        controls: Run the four controls, without which little can be read.
        box: Where the object is, "left,top,right,bottom" in percent; empty tests the border only.

    Returns:
        For each image the size of the subset, what the controls measured, and the verdict;
        "selection_order", each pixel's rank, with the margin at each point of the path.
    """
    pixels, classes = context.preprocessing.pixels, len(context.classifier.spec.class_names)
    step = min(step, pixels) or default_step(pixels)
    passes = batched_passes(pixels, step, subsets=subsets, controls=controls, classes=classes)
    settings = Settings(tau, fill, step, subsets, controls, box)
    return SufficientPixelSearch(context, settings, passes).run()
