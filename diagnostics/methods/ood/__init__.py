"""OOD scores: how unlike the images that a network knows is this one.

Promise of every score here: one number per image, higher further out of distribution, finite
wherever the logits are. A number means nothing by itself: what it means is how many in-distribution
images score lower, see `diagnostics.methods.ood.detector`.

A new score is one new file: a function under `Score`, which registers what it needs, how its
statistics are fitted, and whether a guard may ship it.
"""

from diagnostics.methods.ood.detector import OODDetector

__all__ = ["OODDetector"]
