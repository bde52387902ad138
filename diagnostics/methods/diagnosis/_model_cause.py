"""A cause of the model, whatever the image: found on the folder, and then shown on an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diagnostics.methods.diagnosis._case import Floats, ImageCase, probabilities
from diagnostics.schema.results.diagnosis import Finding
from diagnostics.text import probability

Right = NDArray[np.bool_]


@dataclass(frozen=True)
class ModelCause:
    """What was found on the folder, and what it does to an image.

    Args:
        finding: What was found.
        after: Accuracy with the cause mended; None where it is no matter of accuracy.
        mended: Returns the logits of an image with the cause mended, shape (k,), and the picture
            that the network then receives, None where it is the same; None where the cause cannot
            be mended.
        least: How far the probability must fall for the cause to explain an image's answer; an
            answer that changes is always explained.
        wanted: A class that must be said once it is mended, for the cause to explain an image.
    """

    finding: Finding
    after: float | None = None
    mended: Callable[[ImageCase], Floats] | None = None
    least: float = 0.25
    wanted: int | None = None

    def on(self, image: ImageCase) -> Finding:
        """Return the finding about an image."""
        found: Finding = {**self.finding, "p_before": image.p}
        if self.mended is None or not found["holds"]:
            return found
        logits = self.mended(image)
        shares = probabilities(logits[None], image.model.spec)[0]
        after = float(shares[image.index])
        first = int(logits.argmax())
        explains = image.p - after >= self.least or first != image.index
        if self.wanted is not None:
            explains = first == self.wanted != image.index
        found["p_after"] = after
        name = image.model.spec.class_names[first]
        p = probability(float(shares[first]), float(np.delete(shares, first).sum()))
        found["done"] = f"{found['done']} it says “{name}” with {p}"
        if not explains:
            found["holds"] = False
            found["why_not"] = (
                f"It holds for the model, but mended, the answer to this image stays “{name}”."
            )
        return found
