"""What is done to images to tell grey transitions from the value range."""

from __future__ import annotations

from dataclasses import dataclass

from diagnostics.corruptions.intensity import otsu
from diagnostics.corruptions.registry import Step, corrupt
from diagnostics.preprocessing.stages import Values
from diagnostics.schema.results.corruption import Group


@dataclass(frozen=True)
class Condition:
    """What is done to every image.

    Args:
        title: What people read.
        steps: Corruptions with their numbers, one after the other.
        otsu_threshold: Each image is parted into black and white at its own level instead.
        group: "edges" changes the transitions and keeps the range; "range" changes the range alone.
    """

    title: str
    steps: tuple[Step, ...] = ()
    otsu_threshold: bool = False
    group: Group = "edges"

    def apply(self, values: Values, seed: int) -> Values:
        """Return an image of shape (h, w, c) in [0, 1] under this condition."""
        steps = (("threshold", otsu(values)),) if self.otsu_threshold else self.steps
        return corrupt(values, steps, seed)


CONDITIONS: dict[str, Condition] = {
    "as_is": Condition("As it is", group="none"),
    **{
        f"contrast_{slope}": Condition(f"Contrast curve, slope {slope}", (("contrast", slope),))
        for slope in (1, 5, 10, 25, 100)
    },
    "threshold": Condition("Hard threshold at 0.5", (("threshold", 0.5),)),
    "own_threshold": Condition("Hard threshold at each image's own level", otsu_threshold=True),
    **{
        f"blur_{sigma:g}": Condition(f"Gaussian blur, {sigma:g} px", (("blur", sigma),))
        for sigma in (0.5, 1.0, 2.0)
    },
    "thinner": Condition("Dark parts grow by 1 px", (("thickened", -1),)),
    "thicker": Condition("Bright parts grow by 1 px", (("thickened", 1),)),
    "faded": Condition("ImageNet-C contrast, severity 1", (("imagenet_c_contrast", 1),)),
    "range_same": Condition("Range × 1", (("value_range", 1),), group="range"),
    "range_255th": Condition("Range ÷ 255", (("value_range", 1 / 255),), group="range"),
    "range_255": Condition("Range × 255", (("value_range", 255),), group="range"),
    "negative": Condition("Negative", (("inverted", 1),), group="range"),
}
