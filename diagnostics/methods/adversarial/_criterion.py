"""When a changed image is adversarial: another class is predicted, or one that was chosen."""

from __future__ import annotations

import torch
from torch import Tensor

from diagnostics.models.classifier import Classifier

RELATIVE_TOLERANCE = 1e-5  # of the largest logit: what another batch's arithmetic may change
RELATIVE_TEMPERATURE = 0.1  # of the margin at first


class Criterion:
    """Which class is wanted of each of n images.

    Its margin is above zero as long as an image is not adversarial. Gradients are those of margins
    of logits, never of probabilities: these underflow where a model is very sure.

    Args:
        classifier: The classifier.
        predicted: Index of the class predicted of each image, shape (n,).
        target: Index of the class to reach; None takes any other than the predicted one.
        rivals: Index of the class that each image's gradient leads to, shape (n,); None leads to
            all that count.
    """

    def __init__(
        self,
        classifier: Classifier,
        predicted: Tensor,
        target: int | None = None,
        rivals: Tensor | None = None,
    ) -> None:
        self.classifier, self.predicted, self.target = classifier, predicted, target
        self._rivals = rivals
        self._label = predicted if target is None else torch.full_like(predicted, target)

    def subset(self, rows: Tensor) -> Criterion:
        """Return the criterion of some of the images."""
        rivals = None if self._rivals is None else self._rivals[rows]
        return Criterion(self.classifier, self.predicted[rows], self.target, rivals)

    def towards(self, rivals: Tensor) -> Criterion:
        """Return the criterion of every image once for each of its rivals, shape (n, r).

        An image stays adversarial where any other class is predicted.
        """
        predicted = self.predicted.repeat_interleave(rivals.shape[1])
        return Criterion(self.classifier, predicted, None, rivals.flatten())

    def logits(self, pixels: Tensor) -> Tensor:
        """Return the logits, shape (n, k), without a gradient."""
        with torch.no_grad():
            return self.classifier.logits(pixels)

    def margin(self, logits: Tensor) -> Tensor:
        """Return by how many logits each image is not adversarial, shape (n,); below zero it is."""
        logit, others = self._split(logits)
        return self._signed(logit - others.amax(1))

    def rival_margin(self, logits: Tensor) -> Tensor:
        """Return by how many logits each image's rival is behind, shape (n,)."""
        if self._rivals is None:
            return self.margin(logits)
        return self._split(logits)[0] - logits.gather(1, self._rivals[:, None])[:, 0]

    def is_adversarial(self, logits: Tensor, *, rounding: bool = True) -> Tensor:
        """Return which images are adversarial, shape (n,); without finite logits none is.

        Args:
            logits: Shape (n, k).
            rounding: Whether the margin must survive rounding.
        """
        margin = self.margin(logits)
        beyond = margin < (-tolerance(logits) if rounding else 0)
        return beyond & logits.isfinite().all(1)

    def smooth_margin_gradient(
        self, pixels: Tensor, temperature: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return logits, and the gradient of the smooth margin, from one pass forward and back.

        Of images that have a rival it is the gradient of the margin over that one.

        The smooth margin is the logit minus the soft maximum of the others. With a temperature of
        one its gradient points where that of the cross-entropy points; unlike that it does not
        vanish where the probability rounds to one.

        Args:
            pixels: Shape (n, c, h, w).
            temperature: Within how many logits other classes count alike, shape (n,); None takes
                what `temperature` gives for these pixels.
        """
        inputs = pixels.detach().requires_grad_()
        with torch.enable_grad():
            logits = self.classifier.logits(inputs)
            if self._rivals is None:
                margin = self._smooth_margin(logits, temperature)
            else:
                margin = self.rival_margin(logits)
            (gradient,) = torch.autograd.grad(margin.sum(), inputs)
        return logits.detach(), finite(gradient)

    def _smooth_margin(self, logits: Tensor, temperature: Tensor | None) -> Tensor:
        logit, others = self._split(logits)
        if temperature is None:
            temperature = self.temperature(logits.detach())
        soft_maximum = temperature * (others / temperature[:, None]).logsumexp(1)
        return self._signed(logit - soft_maximum)

    def temperature(self, logits: Tensor) -> Tensor:
        """Return a share of the margin, so that the scale of the logits does not matter."""
        share = (RELATIVE_TEMPERATURE * self.margin(logits)).maximum(tolerance(logits))
        return share.clamp_min(torch.finfo(logits.dtype).tiny)

    def penalty(self, pixels: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        """Return max(margin, 0), shape (n,), and its gradient, from one pass forward and back.

        The corner is rounded: the penalty is zero a width beyond the boundary, and its slope is
        one a width before it.

        Args:
            pixels: Shape (n, c, h, w).
            width: In logits, shape (n,).
        """
        inputs = pixels.detach().requires_grad_()
        with torch.enable_grad():
            ahead = (self.margin(self.classifier.logits(inputs)) + width).clamp_min(0)
            rounded = ahead.square() / (4 * width)
            penalty = torch.where(ahead < 2 * width, rounded, ahead - width)
            (gradient,) = torch.autograd.grad(penalty.sum(), inputs)
        return penalty.detach(), finite(gradient)

    def other_classes(self, logits: Tensor, limit: int) -> Tensor:
        """Return the strongest other classes of each image, at most so many, shape (n, r)."""
        if self.target is not None:
            return self._label[:, None]
        _, others = self._split(logits)
        return others.topk(min(limit, logits.shape[1] - 1), dim=1).indices

    def margins(self, logits: Tensor, classes: Tensor) -> list[Tensor]:
        """Return the margin over each of other classes, each of shape (n,); one below 0 suffices.

        With a target there is one: by how much the strongest other class is ahead of the target.
        """
        if self.target is not None:
            return [self.margin(logits)]
        logit, _ = self._split(logits)
        return list((logit[:, None] - logits.gather(1, classes)).unbind(1))

    def _split(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logit in question, and all logits with that one put out of the way."""
        logit = logits.gather(1, self._label[:, None])
        return logit[:, 0], logits.scatter(1, self._label[:, None], -torch.inf)

    def _signed(self, margin: Tensor) -> Tensor:
        return margin if self.target is None else -margin


def tolerance(logits: Tensor) -> Tensor:
    """Return how large a margin must be to survive rounding, shape (n,)."""
    return RELATIVE_TOLERANCE * logits.abs().amax(1)


def finite(gradient: Tensor) -> Tensor:
    """Return a gradient with zeros where it is no finite number."""
    return gradient.nan_to_num(0.0, 0.0, 0.0)
