"""Which few pixels alone keep the model sure? Searched exactly, for small images."""

from __future__ import annotations

from typing import Annotated

from diagnostics.errors import OptionError
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.registry import method
from diagnostics.methods.sufficient_pixels._search import Settings, SufficientPixelSearch
from diagnostics.schema.options import Range
from diagnostics.schema.results.sufficient_pixels import SufficientPixelsAnswer
from diagnostics.schema.spec import Need
from diagnostics.schema.sufficient_pixels import Fill, exact_passes

MAX_PASSES = 600_000


@method(
    "Sufficient pixels, exactly",
    source="Sufficient input subsets, Carter et al. 2019, arXiv:1810.03805",
)
def exact(
    context: Context,
    *,
    tau: Annotated[float, Range(0.5, 0.9999)] = 0.9,
    fill: Fill = "dataset_mean",
    subsets: Annotated[int, Range(1, 8)] = 1,
    controls: bool = True,
    box: str = "",
) -> Outcome[SufficientPixelsAnswer]:
    """Few pixels that alone keep the model sure, found by trying every pixel at every step.

    Args:
        context: Gives the images in hand; its target is the class meant, else each image's first.
        tau: Probability that the kept pixels must reach.
        fill: What stands where a pixel is hidden.
        subsets: How many disjoint subsets are looked for.
        controls: Run the four controls; wrong classes are searched by gradients where the model
            offers these.
        box: Where the object is, "left,top,right,bottom" in percent; empty tests the border only.

    Returns:
        The same as the search by gradients, in steps of one pixel.

    Raises:
        OptionError: When the image has too many pixels: p pixels take p (p + 1) / 2 passes.
    """
    spec = context.classifier.spec
    pixels, classes = context.preprocessing.pixels, len(spec.class_names)
    each = pixels * (pixels + 1) // 2
    if each > MAX_PASSES:
        raise OptionError(
            f"The exact search of {pixels:,} pixels takes {each:,} passes for one image, and "
            f"{MAX_PASSES:,} are the most; use sufficient_pixels/batched_gradient."
        )
    passes = exact_passes(
        pixels,
        subsets=subsets,
        controls=controls,
        classes=classes,
        has_gradients=Need.GRADIENTS in spec.offers,
    )
    settings = Settings(tau, fill, 0, subsets, controls, box)
    return SufficientPixelSearch(context, settings, passes).run()
