"""What a changed image is to be said to be: any other class, or one that was chosen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from diagnostics.models.classifier import Classifier

ROUNDING = 1e-5  # of the largest logit: what another batch's arithmetic may change
WARMTH = 0.1  # of the margin at first


class Goal:
    """The answer wanted for each of n images.

    Its margin is above zero as long as the goal is not reached. Gradients are those of margins of
    logits, never of probabilities: these underflow where a model is very sure.

    Args:
        classifier: The classifier asked.
        said: Index of the class said of each image, shape (n,).
        target: Index of the class to be said; None takes any other than the one said.
    """

    def __init__(self, classifier: Classifier, said: Tensor, target: int | None = None) -> None:
        self.classifier, self.said, self.target = classifier, said, target
        self._own = said if target is None else torch.full_like(said, target)

    def of(self, rows: Tensor) -> Goal:
        """Return the same of some of the images."""
        return Goal(self.classifier, self.said[rows], self.target)

    def logits(self, pixels: Tensor) -> Tensor:
        """Return the logits, shape (n, k), without a gradient."""
        with torch.no_grad():
            return self.classifier.logits(pixels)

    def margin(self, logits: Tensor) -> Tensor:
        """Return how far each image is from the goal in logits, shape (n,); below zero is there."""
        own, others = self._apart(logits)
        return self._signed(own - others.amax(1))

    def reached(self, logits: Tensor) -> Tensor:
        """Return which images are there by more than rounding, shape (n,); NaN never is."""
        return self.margin(logits) < -slack(logits)

    def slope(self, pixels: Tensor, warmth: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits, and the gradient of the smooth margin, from one pass forward and back.

        The smooth margin is the logit minus the soft maximum of the others. With a warmth of one
        its gradient points where that of the cross-entropy points; unlike that it does not vanish
        where the probability rounds to one.

        Args:
            pixels: Shape (n, c, h, w).
            warmth: Within how many logits other classes count alike, shape (n,); None takes what
                `warmth` gives for these pixels.
        """
        given = pixels.detach().requires_grad_()
        with torch.enable_grad():
            logits = self.classifier.logits(given)
            own, others = self._apart(logits)
            width = (self.warmth(logits.detach()) if warmth is None else warmth)[:, None]
            soft = width[:, 0] * (others / width).logsumexp(1)
            (gradient,) = torch.autograd.grad(self._signed(own - soft).sum(), given)
        return logits.detach(), _finite(gradient)

    def warmth(self, logits: Tensor) -> Tensor:
        """Return a share of the margin, so that the scale of the logits does not matter."""
        share = (WARMTH * self.margin(logits)).maximum(slack(logits))
        return share.clamp_min(torch.finfo(logits.dtype).tiny)

    def penalty(self, logits: Tensor, width: Tensor) -> Tensor:
        """Return max(margin, 0), shape (n,), its corner rounded between plus and minus a width.

        It is zero a width beyond the goal, and its slope is one a width before it.
        """
        ahead = (self.margin(logits) + width).clamp_min(0)
        return torch.where(ahead < 2 * width, ahead.square() / (4 * width), ahead - width)

    def pull(self, pixels: Tensor, width: Tensor) -> Tensor:
        """Return the gradient of the penalty, shape (n, c h w), from one pass forward and back."""
        given = pixels.detach().requires_grad_()
        with torch.enable_grad():
            loss = self.penalty(self.classifier.logits(given), width)
            (gradient,) = torch.autograd.grad(loss.sum(), given)
        return _finite(gradient).flatten(1)

    def rivals(self, logits: Tensor, most: int) -> Tensor:
        """Return the strongest other classes of each image, shape (n, r)."""
        if self.target is not None:
            return self._own[:, None]
        _, others = self._apart(logits)
        return others.topk(min(most, logits.shape[1] - 1), dim=1).indices

    def leads(self, logits: Tensor, rivals: Tensor) -> Sequence[Tensor]:
        """Return by how much each rival is behind, each of shape (n,); one below zero suffices.

        With a target there is one: by how much the strongest other class leads the target.
        """
        if self.target is not None:
            return [self.margin(logits)]
        own, _ = self._apart(logits)
        return list((own[:, None] - logits.gather(1, rivals)).unbind(1))

    def _apart(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logit in question, and all logits with that one put out of the way."""
        own = logits.gather(1, self._own[:, None])
        return own[:, 0], logits.scatter(1, self._own[:, None], -torch.inf)

    def _signed(self, lead: Tensor) -> Tensor:
        return lead if self.target is None else -lead


def slack(logits: Tensor) -> Tensor:
    """Return how large a margin must be to survive rounding, shape (n,)."""
    return ROUNDING * logits.abs().amax(1)


def _finite(gradient: Tensor) -> Tensor:
    return torch.where(gradient.isfinite(), gradient, 0.0)
