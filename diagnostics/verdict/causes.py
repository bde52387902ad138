"""The causes that can explain an answer, in the order in which they are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["model", "image"]
Stage: TypeAlias = Literal["cheap", "closer"]


@dataclass(frozen=True)
class Cause:
    """A cause.

    Args:
        id: As answers name it.
        title: The name people read.
        level: Whether it is a cause of the model, whatever the image, or of one image.
        ends: Whether nothing after it is asked once it holds: what a network with it says of an
            image means nothing.
        lab: Address of the page that shows more; empty where there is none.
    """

    id: str
    title: str
    level: Level
    ends: bool = False
    lab: str = ""


CAUSES = (
    Cause("model.one_class", "The model knows one class only", "model", ends=True),
    Cause("model.constant", "The answer does not depend on the image", "model", ends=True),
    Cause("output.double_softmax", "Softmax is applied twice", "model", lab="calibration"),
    Cause("classes.order", "Class names in another order", "model", ends=True),
    Cause("head.bias", "One class is preferred whatever the image", "model", lab="calibration"),
    Cause("head.dead_class", "One class is hardly ever said", "model", lab="calibration"),
    Cause("preprocessing.scale", "Wrong value range", "model", ends=True, lab="ood"),
    Cause("preprocessing.normalisation", "Wrong mean or std", "model", ends=True, lab="ood"),
    Cause("preprocessing.channels", "Wrong order of channels", "model", ends=True, lab="ood"),
    Cause("preprocessing.polarity", "Dark and bright are swapped", "model", ends=True, lab="ood"),
    Cause("preprocessing.geometry", "Wrong size, crop or filter", "model", ends=True, lab="ood"),
    Cause(
        "model.batchnorm", "BatchNorm remembers something else", "model", ends=True, lab="layers"
    ),
    Cause("model.random", "The model answers hardly better than chance", "model", ends=True),
    Cause("shortcut.local", "A small part decides", "image", lab="sufficient_pixels"),
    Cause("shortcut.border", "The border decides", "image", lab="sufficient_pixels"),
    Cause("reliance.edges", "Hard edges decide", "image", lab="corruption"),
    Cause("reliance.texture", "The fine texture decides", "image", lab="corruption"),
    Cause("shortcut.background", "The background decides", "image", lab="sufficient_pixels"),
    Cause("reliance.statistic", "An overall property decides", "image", lab="corruption"),
    Cause("calibration.sharp", "The percentages are too high", "model", lab="calibration"),
    Cause("image.fooling", "A pattern grown for the model", "image", lab="fooling"),
    Cause("image.adversarial", "A tiny change decides", "image", lab="adversarial"),
    Cause("image.out_of_distribution", "Unlike every good image", "image", lab="ood"),
    Cause("classes.overlap", "Two classes are confused both ways", "model", lab="calibration"),
    Cause("image.ambiguous", "It shows two classes", "image", lab="attributions"),
    Cause("none.justified", "Nothing explains it away", "image"),
    Cause("none.unsure", "The model is rightly unsure", "image"),
)
ORDER = {cause.id: place for place, cause in enumerate(CAUSES)}
BY_ID = {cause.id: cause for cause in CAUSES}
