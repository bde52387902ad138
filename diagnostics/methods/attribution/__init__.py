"""Attribution: where changing the pixels changes a logit most.

Promise of every method here: one heatmap per image, on a grid that covers the whole input; a
signed map is positive where the target logit is raised; a magnitude is never negative. What is
explained is the logit, never the probability, whose gradient vanishes on the images that are
classified with certainty.
"""

from diagnostics.methods.attribution._batch_size import forward_batch_size
from diagnostics.methods.attribution._checks import (
    demand_against,
    demand_layer,
    demand_method,
    explained_classifier,
    rival_class,
)
from diagnostics.methods.attribution._heatmap import Heatmap, check, notes
from diagnostics.methods.attribution._masking import baseline_image, cell_indices

__all__ = [
    "Heatmap",
    "baseline_image",
    "cell_indices",
    "check",
    "demand_against",
    "demand_layer",
    "demand_method",
    "explained_classifier",
    "forward_batch_size",
    "notes",
    "rival_class",
]
