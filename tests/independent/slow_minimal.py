"""Smallest changes, slowly and simply."""

from __future__ import annotations

import numpy as np
import torch


def least_in_box(pixels, slope, need, norm):
    """Return clip(x - t v, 0, 1) - x for the t, found by bisection, at which slope·change = -need.

    v is the slope for the Euclidean norm, its sign for the largest value.
    """
    way = slope if norm == "l2" else np.sign(slope)
    low, high = 0.0, 1.0

    def change(time):
        return np.clip(pixels - time * way, 0, 1) - pixels

    while -(slope * change(high)).sum() < need:
        high *= 2
        if high > 1e12:
            return change(high)
    for _ in range(200):
        middle = (low + high) / 2
        if -(slope * change(middle)).sum() < need:
            low = middle
        else:
            high = middle
    return change(high)


def foolbox_deepfool(model, pixels, steps=50, candidates=10, overshoot=0.02):
    """DeepFool for L2 as foolbox 3.3.4 has it (loss "logits"), an image at a time.

    Candidates are fixed at first; steps are taken from where the last one led, without the box;
    the whole change is stretched by the overshoot and clipped at every step.
    """
    found = []
    for image in pixels:
        start = image[None]
        order = model.logits(start)[0].argsort(descending=True)[:candidates].tolist()
        total, current = torch.zeros_like(start), start
        for _ in range(steps):
            given = current.detach().requires_grad_()
            logits = model.logits(given)[0]
            if int(logits.argmax()) != order[0]:
                break
            best, shortest = None, np.inf
            for rival in order[1:]:
                lead = logits[order[0]] - logits[rival]
                (gradient,) = torch.autograd.grad(-lead, given, retain_graph=True)
                length = float(lead.detach().abs()) / (float(gradient.norm()) + 1e-8)
                if length < shortest:
                    best, shortest = (length + 1e-4) * gradient / (gradient.norm() + 1e-8), length
            total = total + best
            current = (start + (1 + overshoot) * total).clamp(0, 1)
        found.append(current[0])
    return torch.stack(found)
