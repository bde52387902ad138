"""Adversarial perturbations, slowly and simply."""

from __future__ import annotations

import numpy as np
import torch


def slow_minimal_perturbation(pixels, gradient, fall, norm):
    """Return clip(x - t v, 0, 1) - x for the t, found by bisection, at which g·change = -fall.

    v is the gradient g for the Euclidean norm, its sign for the largest value.
    """
    direction = gradient if norm == "l2" else np.sign(gradient)
    low, high = 0.0, 1.0

    def change(time):
        return np.clip(pixels - time * direction, 0, 1) - pixels

    while -(gradient * change(high)).sum() < fall:
        high *= 2
        if high > 1e12:
            return change(high)
    for _ in range(200):
        middle = (low + high) / 2
        if -(gradient * change(middle)).sum() < fall:
            low = middle
        else:
            high = middle
    return change(high)


def foolbox_deepfool(model, pixels, steps=50, candidates=10, overshoot=0.02):
    """DeepFool for L2 as foolbox 3.3.4 has it (loss "logits"), an image at a time.

    Candidates are fixed at first; steps are taken from where the last one led, without the box;
    the whole change is stretched by the overshoot and clipped at every step.
    """
    changed = []
    for image in pixels:
        start = image[None]
        order = model.logits(start)[0].argsort(descending=True)[:candidates].tolist()
        total, current = torch.zeros_like(start), start
        for _ in range(steps):
            inputs = current.detach().requires_grad_()
            logits = model.logits(inputs)[0]
            if int(logits.argmax()) != order[0]:
                break
            best, shortest = None, np.inf
            for other in order[1:]:
                margin = logits[order[0]] - logits[other]
                (gradient,) = torch.autograd.grad(-margin, inputs, retain_graph=True)
                length = float(margin.detach().abs()) / (float(gradient.norm()) + 1e-8)
                if length < shortest:
                    best, shortest = (length + 1e-4) * gradient / (gradient.norm() + 1e-8), length
            total = total + best
            current = (start + (1 + overshoot) * total).clamp(0, 1)
        changed.append(current[0])
    return torch.stack(changed)
