"""Smallest changes: what the searches cost."""

from __future__ import annotations

CANDIDATES = 10  # classes that a search considers, the predicted one among them
DEEPFOOL_STEPS = 5  # typically, of the many that it may take
LBFGS_PASSES = 350  # typically, forward and back
REFINEMENT_PASSES = 20  # forward, of one attack's result: halvings of the way to it
ALONG_PASSES = 31  # forward, along the closest change
PICTURE_PASSES = 60  # forward, for the pictures of 8 bit along one attack's result


def walks_left(step: int, steps: int, rivals: int) -> int:
    """Return how many walks of an image go on at a step: half of them end at each quarter.

    Args:
        step: Counted from 0.
        steps: Of the longest walk.
        rivals: Classes that a walk begins towards.
    """
    return -(-rivals >> 4 * step // steps)


def walk_passes(steps: int, rivals: int) -> int:
    """Return how often an image goes forward and back in walks towards some classes."""
    return sum(walks_left(step, steps, rivals) for step in range(steps))
