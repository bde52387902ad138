"""The one thing every method sees: a classifier of pixels in [0, 1], normalisation inside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from diagnostics.models.engine import Engine
from diagnostics.models.layers import capture
from diagnostics.models.outputs import as_logits, class_scores
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.spec import ModelSpec, Output

SAME = 1e-6  # as far as probabilities differ that are the same but for rounding


@dataclass
class Trace:
    """One forward pass: pixels, logits, and what the named layers gave.

    Args:
        pixels: Shape (n, c, h, w), values in [0, 1].
        logits: Shape (n, k).
        activations: What each layer that ran gave, first axis n.
    """

    pixels: Float[Tensor, "n c h w"]
    logits: Float[Tensor, "n k"]
    activations: Mapping[str, Tensor]
    _gradients: dict[tuple[int, ...], dict[str, Tensor]] = field(default_factory=dict, repr=False)

    def pixel_gradient(self, target: Int[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
        """Return the gradient of each image's target logit with respect to its pixels."""
        return self._backward(target)[""]

    def layer_gradient(self, target: Int[Tensor, " n"], layer: str) -> Tensor:
        """Return the gradient of each image's target logit with respect to a layer's output."""
        return self._backward(target)[layer]

    def _backward(self, target: Tensor) -> dict[str, Tensor]:
        """One backward pass gives every gradient; the next question for this target is free."""
        key = tuple(target.tolist())
        if key not in self._gradients:
            score = self.logits.gather(1, target[:, None]).sum()
            sources = {
                "": self.pixels,
                **{name: value for name, value in self.activations.items() if value.requires_grad},
            }
            gradients = torch.autograd.grad(
                score, list(sources.values()), retain_graph=True, allow_unused=True
            )
            self._gradients[key] = {
                name: torch.zeros_like(source) if gradient is None else gradient
                for (name, source), gradient in zip(sources.items(), gradients, strict=True)
            }
        return self._gradients[key]


@runtime_checkable
class Classifier(Protocol):
    """An image classifier as methods see it."""

    @property
    def spec(self) -> ModelSpec:
        """What is known of the model."""

    def logits(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return the logits of pixels in [0, 1]; differentiable if the pixels require it."""

    def trace(self, pixels: Float[Tensor, "n c h w"], layers: Collection[str]) -> Trace:
        """Return logits and the named layers' activations from one forward pass."""


class TorchClassifier:
    """A `Classifier` around a torch network.

    Args:
        network: Takes normalised images, gives logits or what `spec.output` says.
        spec: What is known of the model.
        preprocessing: Channel order, value range, mean and std the network wants.
    """

    def __init__(self, network: nn.Module, spec: ModelSpec, preprocessing: Preprocessing) -> None:
        self.network = network
        self.spec = spec
        self.preprocessing = preprocessing
        self.engine: Engine | None = None  # of passes without gradients; None leaves them to torch
        parameter = next(network.parameters(), torch.zeros(()))
        self.device, self.dtype = parameter.device, parameter.dtype

    def logits(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return the logits of pixels in [0, 1]; differentiable if the pixels require it.

        Without gradients another engine than torch may compute them, see `engine`.
        """
        if self.engine is None or torch.is_grad_enabled():
            return self.torch_logits(pixels)
        return self.engine.logits(self.network_input(pixels))

    def torch_logits(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return the logits as torch computes them, to confirm what another engine found."""
        return self.received_logits(self.network_input(pixels))

    def received_logits(self, received: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return the logits, as torch computes them, of what the network receives."""
        if self.spec.output is Output.SIGMOID_PROBABILITIES and self.spec.head:
            return self._before_sigmoid(received)
        return as_logits(class_scores(self.network(received)), self.spec.output)

    def make_engine(self) -> Engine:
        """Return what may compute its passes without gradients, whatever the preprocessing."""
        shape = (self.spec.channels, self.spec.height, self.spec.width)
        random = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
        pixels = torch.cat([torch.zeros(1, *shape), torch.ones(1, *shape), random])
        return Engine(self.network, self.received_logits, lambda: self.network_input(pixels))

    def expect(self, passes: int) -> None:
        """Say how many images it will be asked about, without gradients."""
        if self.engine is not None:
            self.engine.expect(passes)

    def _before_sigmoid(self, received: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return what the last layer gave where the scores are its sigmoid, which round to one."""
        with capture(self.network, {self.spec.head}) as activations:
            scores = class_scores(self.network(received))
        last = activations.get(self.spec.head, scores).flatten(1).to(scores.dtype)
        if last.shape == scores.shape and torch.allclose(last.sigmoid(), scores, atol=SAME):
            return last
        return as_logits(scores, self.spec.output)

    def trace(self, pixels: Float[Tensor, "n c h w"], layers: Collection[str]) -> Trace:
        """Return logits and the named layers' activations from one forward pass."""
        pixels = pixels.detach().requires_grad_()
        known = {layer.name for layer in self.spec.layers}
        with torch.enable_grad(), capture(self.network, known & set(layers)) as activations:
            logits = self.logits(pixels)
        return Trace(pixels, logits, activations)

    def network_input(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Return what the network receives: channel order, value range, mean and std applied."""
        settings = self.preprocessing
        values = pixels.to(self.device, self.dtype)
        if settings.bgr:
            values = values.flip(1)
        mean = values.new_tensor(settings.mean)[:, None, None]
        std = values.new_tensor(settings.std)[:, None, None]
        return (values * settings.value_range).sub_(mean).div_(std)


class Margin:
    """A `Classifier` whose logits are margins: each class's logit minus that of another class.

    Args:
        classifier: The classifier.
        against: Index of the other class. It stays the same for whatever image is asked about, so
            that a margin is continuous, and its map can sum to its rise over a baseline.
    """

    def __init__(self, classifier: Classifier, against: int) -> None:
        self.spec = classifier.spec
        self._classifier = classifier
        self._against = against

    def logits(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return the margins of pixels in [0, 1]."""
        return self._margins(self._classifier.logits(pixels))

    def trace(self, pixels: Float[Tensor, "n c h w"], layers: Collection[str]) -> Trace:
        """Return margins and the named layers' activations from one forward pass."""
        return self.over(self._classifier.trace(pixels, layers))

    def over(self, trace: Trace) -> Trace:
        """Return a pass that was made already, its logits turned into margins."""
        with torch.enable_grad():
            return Trace(trace.pixels, self._margins(trace.logits), trace.activations)

    def _margins(self, logits: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return logits - logits[:, self._against, None]


class Counted:
    """A `Classifier` that says how many images it was asked about.

    Args:
        classifier: The classifier.
        count: Called with the number of images after each pass.
    """

    def __init__(self, classifier: Classifier, count: Callable[[int], None]) -> None:
        self.spec = classifier.spec
        self._classifier = classifier
        self._count = count

    def logits(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return the logits of pixels in [0, 1]."""
        logits = self._classifier.logits(pixels)
        self._count(len(pixels))
        return logits

    def trace(self, pixels: Float[Tensor, "n c h w"], layers: Collection[str]) -> Trace:
        """Return logits and the named layers' activations from one forward pass."""
        trace = self._classifier.trace(pixels, layers)
        self._count(len(pixels))
        return trace


class SharedTrace:
    """A `Classifier` that answers from a forward pass that was made already.

    Methods that need only that pass then share it, and its backward pass, at no further cost.

    Args:
        classifier: The classifier that made the pass.
        recorded: The pass.
    """

    def __init__(self, classifier: Classifier, recorded: Trace) -> None:
        self.spec = classifier.spec
        self.logits = classifier.logits
        self._classifier = classifier
        self._recorded = recorded

    def trace(self, pixels: Float[Tensor, "n c h w"], layers: Collection[str]) -> Trace:
        """Return the recorded pass if it answers the question, a new one otherwise."""
        if pixels is self._recorded.pixels and set(layers) <= self._recorded.activations.keys():
            return self._recorded
        return self._classifier.trace(pixels, layers)


@contextmanager
def unchanged(network: nn.Module) -> Iterator[None]:
    """Hold whoever works with the network to leaving it as it was.

    Raises:
        RuntimeError: When hooks, modes, values or gradients were left behind.
    """
    before = _state(network)
    yield
    if _state(network) != before:
        raise RuntimeError("A method changed the network's hooks, modes, values or gradients.")


def _state(network: nn.Module) -> list[tuple[Any, ...]]:
    """Return what must stay of each module, and the versions of its tensors."""
    return [
        (
            module.training,
            len(module._forward_pre_hooks),
            len(module._forward_hooks),
            len(module._backward_hooks),
            *(
                (tensor._version, tensor.requires_grad, tensor.grad is not None)
                for tensor in (
                    *module.parameters(recurse=False),
                    *module.buffers(recurse=False),
                )
            ),
        )
        for module in network.modules()
    ]
