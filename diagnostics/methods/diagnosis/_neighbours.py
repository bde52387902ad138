"""The good images nearest to an image, in the features and in the pixels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from diagnostics.data.folder import UNKNOWN
from diagnostics.methods.diagnosis._case import ImageCase, Known
from diagnostics.schema.results.diagnosis import Neighbour

COUNT, SHOWN = 10, 5
SIDE = 14  # px, to which pixels are averaged before they are compared


def nearest_classes(image: ImageCase) -> NDArray[np.intp]:
    """Return the classes of the nearest good images in the features, at most ten.

    No more are taken than the said class has good images.
    """
    known = image.model.known
    if known is None:
        return np.zeros(0, np.intp)
    bank, classes = _bank(image.model.memory, known)
    here = _features(image.outputs.features, image.outputs.logits)
    distances = (bank - here).norm(dim=1)
    k = min(COUNT, max(1, int((classes == image.index).sum())))
    rows = distances.topk(min(k, len(bank)), largest=False).indices.numpy()
    found: NDArray[np.intp] = classes[rows]
    return found


def _bank(memory: dict[str, object], known: Known) -> tuple[Tensor, NDArray[np.intp]]:
    found = memory.get("bank")
    if found is None:
        halves = (known.reference.fit, known.reference.calibration)
        features = torch.cat([half.outputs.features for half in halves])
        logits = torch.cat([half.outputs.logits for half in halves])
        labels = torch.cat([half.labels for half in halves]).numpy()
        classes = np.where(labels == UNKNOWN, logits.argmax(1).numpy(), labels)
        found = memory["bank"] = (_features(features, logits), classes.astype(np.intp))
    return found  # type: ignore[return-value]


def _features(features: Tensor, logits: Tensor) -> Tensor:
    """Return features of length one; logits where there are none."""
    return functional.normalize((features if features.shape[1] else logits).double(), dim=1)


def nearest_pixels(image: ImageCase, k: int) -> NDArray[np.intp]:
    """Return the classes of the good images nearest in their averaged pixels."""
    known = image.model.known
    if known is None or not len(known.pixels):
        return np.zeros(0, np.intp)
    small = functional.adaptive_avg_pool2d(
        torch.cat([image.pixels[None], known.pixels]),
        (min(SIDE, image.pixels.shape[1]), min(SIDE, image.pixels.shape[2])),
    ).flatten(1)
    distances = (small[1:] - small[0]).norm(dim=1)
    rows = distances.topk(min(k, len(distances)), largest=False).indices.numpy()
    found: NDArray[np.intp] = known.classes[rows]
    return found


def shown(image: ImageCase) -> list[Neighbour]:
    """Return the nearest of the good images that are held as pictures."""
    known = image.model.known
    if known is None or not len(known.pixels):
        return []
    examples = known.reference.examples
    assert examples is not None
    bank = _features(examples.features, examples.logits)
    here = _features(image.outputs.features, image.outputs.logits)
    distances = (bank - here).norm(dim=1)
    names, found = image.model.spec.class_names, []
    for row in distances.topk(min(SHOWN, len(bank)), largest=False).indices.tolist():
        array = f"good/{row}"
        image.arrays[array] = examples.pixels[row].movedim(0, -1).numpy()
        found.append(
            Neighbour(
                array=array,
                label=names[int(known.classes[row])],
                said=names[int(known.predicted[row])],
                distance=float(distances[row]),
            )
        )
    return found
