"""From a weights file to a classifier and everything that is known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from diagnostics.data.image import Decoded
from diagnostics.errors import ModelError, NotOfferedError
from diagnostics.loaders import Opened, assumptions, open_weights, opened
from diagnostics.loaders.loaded import Held
from diagnostics.models.attention import global_layers
from diagnostics.models.batchnorm import batchnorm_layers
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.ensemble import MEMBERS, EnsembleNetwork, ensemble_spec
from diagnostics.models.head import find_head
from diagnostics.models.layers import list_layers
from diagnostics.models.outputs import as_logits, head, recognise
from diagnostics.preprocessing.pipeline import Pipeline, network_input
from diagnostics.schema.layouts import Size
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import ModelSource
from diagnostics.schema.spec import Candidate, Check, LayerInfo, ModelSpec, Need, Output

PROBES = 8
MIXED, SMALL = 0.01, 1e-6  # of scores that differ from batch to batch


@dataclass(frozen=True)
class Model:
    """An opened file: what is known of it, and its network once it is decided which one it is."""

    spec: ModelSpec
    network: nn.Module | None

    def classifier(self, preprocessing: Preprocessing | None = None) -> TorchClassifier:
        """Return the classifier, with its published preprocessing or another.

        Raises:
            ModelError: While several networks fit and none was chosen.
        """
        if self.network is None:
            fitting = ", ".join(candidate.architecture for candidate in self.spec.candidates)
            raise ModelError(
                f"The tensors cannot tell which network this is: {fitting} all fit and differ in "
                "answers or preprocessing; choose one (--architecture NAME on the command line)."
            )
        return TorchClassifier(self.network, self.spec, preprocessing or self.spec.preprocessing)


def open_model(source: ModelSource, images: Sequence[Decoded]) -> Model:
    """Open a weights file, recognise its network, and look at what leaves it.

    Args:
        source: The file, and what a person decided about it.
        images: Images at hand; they rank the candidates where the tensors cannot tell.

    Raises:
        ModelError: When the file cannot be opened.
        ArchitectureError: When no known network takes its tensors.
    """
    if source.others:
        members = [open_model(one, images).classifier() for one in source.members]
        network = EnsembleNetwork(members)
        known = ensemble_spec(source, members)
        spec = probed(network, known, known.output)
        one_members = {Need.FEATURES, Need.HEAD}  # of its last member alone
        own = tuple(one for one in spec.layers if one.name.startswith(MEMBERS))  # no mean and std
        spec = replace(spec, offers=spec.offers - one_members, head="", layers=own)
        return Model(spec, network)
    return model_of(source, open_weights(source, _ranker(images) if images else None))


def open_live(
    source: ModelSource, network: nn.Module, preprocessing: Preprocessing | None
) -> Model:
    """Look at a network that is in this process already.

    Args:
        source: What it is called, and what a person decided about it.
        network: A copy that is ours, because it is frozen and may be moved.
        preprocessing: How its images become what it receives; None guesses.

    Raises:
        ModelError: When it is no classifier of images.
    """
    name = type(network).__name__
    sides: list[int | None] = [None, None, None]
    if preprocessing is not None:
        sides = [3 if preprocessing.colour else 1, preprocessing.height, preprocessing.width]
    message = f"The network {name}, as it is in your process."
    held = assumptions.held(network.eval().requires_grad_(False), name, sides, message)
    if preprocessing is not None:
        candidate = replace(held.candidate, preprocessing=preprocessing)
        held = Held(network, candidate, held.checks[:1])
    return model_of(source, opened(source, "module", held))


def model_of(source: ModelSource, found: Opened) -> Model:
    """Return the model that was opened, looked at if it is decided which network it is."""
    first = found.candidates[0]
    if found.network is None:
        return Model(_spec(source, found, first, architecture=""), None)
    network = place(found.network)
    spec = _spec(source, found, first, first.architecture)
    try:
        return Model(probed(network, spec, source.output), network)
    except RuntimeError:  # some networks view their values as if channels came first in memory
        network = network.to(memory_format=torch.contiguous_format)
        return Model(probed(network, spec, source.output), network)


def place(network: nn.Module) -> nn.Module:
    """Put a network where it runs fastest, ready for inspection: frozen, in evaluation mode."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.eval().requires_grad_(False)
    return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def probed(network: nn.Module, spec: ModelSpec, output: str | None = None) -> ModelSpec:
    """Return the spec with what one look at the running network adds: output, layers, offers.

    Args:
        network: Frozen and in evaluation mode.
        spec: Gives the input size and the preprocessing.
        output: What a person says the outputs are; None recognises them.

    Raises:
        ModelError: When the network gives no class scores.
    """
    classifier = TorchClassifier(network, spec, spec.preprocessing)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(PROBES, spec.channels, spec.height, spec.width, generator=generator)
    pixels[0], pixels[1], pixels[PROBES // 2 :] = 0, 1, pixels[PROBES // 2 :].round()
    with torch.no_grad():
        scores = head(network(classifier.network_input(pixels)))
    kind, checks = recognise(scores)
    if output is not None:
        kind, checks = Output(output), (Check("output", "passed", f"{output}, as you said."),)
    fed = classifier.network_input(pixels[:2])
    layers = list_layers(network, fed)
    offers = _offers(network, layers, (spec.height, spec.width))
    last, by_weights = find_head(network, fed, layers, as_logits(scores[:2], kind))
    offers |= {Need.FEATURES} if last else set()
    offers |= {Need.HEAD} if by_weights else set()
    with torch.enable_grad():
        again = head(network(fed.detach().requires_grad_()))
    if again.requires_grad:
        offers |= {Need.GRADIENTS}
    off = float((again.detach() - scores[:2]).abs().max() / scores[:2].abs().max().clamp_min(SMALL))
    if off > MIXED:
        message = (
            f"An image's scores change with the others in its batch, by up to {off:.0%} here; what "
            "is shown of it holds among the images beside it."
        )
        checks = (*checks, Check("batch", "warned", message))
    return replace(
        spec,
        output=kind,
        layers=layers,
        offers=offers,
        checks=(*spec.checks, *checks),
        head=last,
    )


def _offers(network: nn.Module, layers: Sequence[LayerInfo], image_size: Size) -> frozenset[Need]:
    """Say what methods may use of a network, besides its gradients."""
    offers = {Need.LAYERS} if layers else set()
    if batchnorm_layers(network):
        offers.add(Need.BATCHNORM)
    with suppress(NotOfferedError):
        global_layers(layers, image_size)
        offers.add(Need.ATTENTION)
    return frozenset(offers)


def _spec(
    source: ModelSource, opened: Opened, candidate: Candidate, architecture: str
) -> ModelSpec:
    return ModelSpec(
        name=source.file.name,
        format=opened.format,
        architecture=architecture,
        sha256=source.file.sha256,
        parameters=opened.parameters,
        height=candidate.height,
        width=candidate.width,
        channels=candidate.channels,
        class_names=opened.class_names,
        output=Output.LOGITS,
        preprocessing=candidate.preprocessing,
        checks=opened.checks,
        candidates=opened.candidates,
    )


def _ranker(images: Sequence[Decoded]) -> Callable[[Candidate], Tensor]:
    """Return what gives a candidate's network input for the images at hand."""

    def inputs(candidate: Candidate) -> Tensor:
        pipeline = Pipeline(candidate.preprocessing)
        fed = [network_input(pipeline.run(image), candidate.preprocessing) for image in images]
        return torch.from_numpy(np.stack(fed))

    return inputs
