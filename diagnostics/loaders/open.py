"""From a weights file to a classifier and everything that is known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from diagnostics.data.image import Decoded
from diagnostics.errors import ArchitectureError, ModelError, OversureError
from diagnostics.loaders import architectures, assumptions, factory, index
from diagnostics.loaders.architectures import NetworkInput
from diagnostics.loaders.classes import known_names, match_names
from diagnostics.loaders.loaded import LoadedNetwork
from diagnostics.loaders.probe import probe
from diagnostics.loaders.registry import Loader, recognise
from diagnostics.loaders.weights import Weights
from diagnostics.models.classifier import TorchClassifier
from diagnostics.models.ending import Ending
from diagnostics.models.ensemble import MEMBERS, EnsembleNetwork, ensemble_spec
from diagnostics.preprocessing.pipeline import Pipeline, network_input
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import ModelSource
from diagnostics.schema.spec import Candidate, Check, ModelSpec, Need, Output

NO_MEMORY = "can't allocate memory"

Result = TypeVar("Result")


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


@dataclass(frozen=True)
class OpenedFile:
    """What came out of a weights file, before its network was looked at.

    Args:
        format: How the file is written.
        network: The network with its weights; None while a person must choose which one.
        candidates: The networks that fit, best first; the chosen one first.
        parameters: Number of learned values.
        class_names: One name per output.
        checks: What was looked at.
        ending: What the file shows of the network's end; None where only running it tells.
    """

    format: str
    network: nn.Module | None
    candidates: tuple[Candidate, ...]
    parameters: int
    class_names: tuple[str, ...]
    checks: tuple[Check, ...]
    ending: Ending | None = None


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
        return _ensemble(source, images)
    return _model(source, open_file(source, _network_input(images) if images else None))


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
    network = network.eval().requires_grad_(False)
    loaded = assumptions.loaded_network(network, name, sides, message)
    if preprocessing is not None:
        candidate = replace(loaded.candidate, preprocessing=preprocessing)
        loaded = LoadedNetwork(network, candidate, loaded.checks[:1])
    return _model(source, _of_loaded(source, "module", loaded))


def open_file(source: ModelSource, network_input: NetworkInput | None = None) -> OpenedFile:
    """Open a weights file and recognise its network.

    Args:
        source: The file, and what a person decided about it.
        network_input: Gives the images at hand as a candidate's network would receive them, to
            rank candidates where the tensors cannot tell.

    Raises:
        ModelError: When the file cannot be opened.
        ArchitectureError: When no known network takes its tensors.
    """
    path = Path(source.file.path)
    loader = guarded(recognise, path)
    loader.permit(source)
    if loader.brings_network and source.factory is not None:
        raise _holds_network(loader, source.factory.name)
    read = partial(loader.read, stated_size=source.size) if loader.takes_size else loader.read
    content = guarded(read, path)
    if isinstance(content, LoadedNetwork):
        name, architecture = source.architecture, content.candidate.architecture
        if name is not None and not index.is_called(architecture, name):
            raise _holds_network(loader, name)
        return _of_loaded(source, loader.format, content)
    content, ema = _trained_or_averaged(source.ema, content)
    if source.factory is not None:
        built = factory.build(source.factory, content.tensors, source.size)
        return _of_loaded(source, loader.format, replace(built, checks=(*ema, *built.checks)))
    file = _of_weights(source, loader.format, content, network_input)
    return replace(file, checks=(*ema, *file.checks))


def _trained_or_averaged(ema: bool | None, weights: Weights) -> tuple[Weights, tuple[Check, ...]]:
    """Return the weights as they were trained or their moving average, and which it is.

    Raises:
        ModelError: When a person wants the average of a file that has none.
    """
    if weights.averaged is None:
        if ema:
            raise ModelError(
                "The file holds no moving average (EMA) of its weights beside them; leave --ema "
                "and ema = true out."
            )
        return weights, ()
    taken = weights if ema is False else weights.averaged
    words = "the weights as they were trained are" if ema is False else "the average is"
    how = "as timm does" if ema is None else "as you chose"
    message = (
        f"The file holds trained weights and their moving average (EMA); {words} taken, {how}. "
        "Choose where the model is opened, with --ema or --no-ema, or by ema in a recipe."
    )
    return taken, (Check("ema", "warned" if ema is None else "passed", message),)


def guarded(read: Callable[[Path], Result], path: Path) -> Result:
    """Return what a function makes of a file; what it did not foresee is damage of the file.

    Raises:
        ModelError: When the file cannot be read.
        MemoryError: When memory does not suffice.
    """
    try:
        return read(path)
    except (OversureError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file leads a library to
        if NO_MEMORY in str(error):
            raise MemoryError from error
        raise ModelError(
            f"The file is damaged, or holds what nobody writes there ({type(error).__name__}); "
            "save it again."
        ) from error


def to_device(network: nn.Module) -> nn.Module:
    """Put a network where it runs fastest, ready for inspection: frozen, in evaluation mode."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.eval().requires_grad_(False)
    return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _ensemble(source: ModelSource, images: Sequence[Decoded]) -> Model:
    members = [open_model(member, images).classifier() for member in source.members]
    network = EnsembleNetwork(members)
    known = ensemble_spec(source, members)
    spec = probe(network, known, ending=Ending(known.output, "The mean of its members' logits"))
    of_the_last_member = {Need.FEATURES, Need.HEAD}
    # The layers that compute the mean and the standard deviation are no layers of a member.
    layers = tuple(layer for layer in spec.layers if layer.name.startswith(MEMBERS))
    return Model(
        replace(spec, offers=spec.offers - of_the_last_member, head="", layers=layers), network
    )


def _model(source: ModelSource, file: OpenedFile) -> Model:
    """Return the model, looked at if it is decided which network it is."""
    first = file.candidates[0]
    if file.network is None:
        return Model(_spec(source, file, first, architecture=""), None)
    network = to_device(file.network)
    spec = _spec(source, file, first, first.architecture)
    try:
        return Model(probe(network, spec, source.output, file.ending), network)
    except RuntimeError:  # some networks view their values as if channels came first in memory
        network = network.to(memory_format=torch.contiguous_format)
        return Model(probe(network, spec, source.output, file.ending), network)


def _of_loaded(source: ModelSource, format: str, loaded: LoadedNetwork) -> OpenedFile:
    """Return a file that brings its network."""
    names, check = _class_names(source, loaded.candidate, loaded.class_names)
    parameters = loaded.parameters or _count(loaded.network)
    checks = (*loaded.checks, check)
    return OpenedFile(
        format=format,
        network=loaded.network,
        candidates=(loaded.candidate,),
        parameters=parameters,
        class_names=names,
        checks=checks,
        ending=loaded.ending,
    )


def _of_weights(
    source: ModelSource, format: str, weights: Weights, network_input: NetworkInput | None
) -> OpenedFile:
    """Return a file of weights, its network recognised."""
    known = index.read()
    choice = architectures.choose(source.architecture, weights, known)
    chosen, candidates = choice.network, choice.candidates
    if chosen is not None:
        candidates = (chosen, *(other for other in candidates if other != chosen))
    elif network_input is not None:
        candidates = architectures.ranked(candidates, weights.tensors, network_input)
    names, names_check = _class_names(source, candidates[0])
    network = architectures.build_with(candidates[0], weights.tensors)
    return OpenedFile(
        format=format,
        network=network if chosen else None,
        candidates=candidates,
        parameters=_count(network),
        class_names=names,
        checks=(*_file_checks(weights, known), choice.check, names_check),
        ending=Ending(Output.LOGITS, f"{candidates[0].architecture} gives logits"),
    )


def _holds_network(loader: Loader, name: str) -> ArchitectureError:
    """Hold a person who named a network to the one in the file."""
    return ArchitectureError(
        f"A file of {loader.format} holds its own network, so {name} cannot be chosen; leave the "
        "name out."
    )


def _class_names(
    source: ModelSource, candidate: Candidate, of_file: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], Check]:
    """Return the names that a person gave, or the file, or those that the network is known for."""
    names = of_file if source.class_names is None else source.class_names
    if names is None:
        return known_names(candidate.architecture, candidate.classes)
    return match_names(names, candidate.classes, source.class_names_read_as)


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _file_checks(weights: Weights, known: index.Index) -> list[Check]:
    checks = [Check("file", "passed", note) for note in weights.notes]
    bad = [name for name, tensor in weights.tensors.items() if not torch.isfinite(tensor).all()]
    if bad:
        message = f"{len(bad)} tensors hold values that are not finite, first {bad[0][:80]}."
        checks.append(Check("weights", "failed", message))
    if known.versions != index.installed():
        indexed = ", ".join(f"{name} {number}" for name, number in known.versions.items())
        installed = ", ".join(f"{name} {number}" for name, number in index.installed().items())
        message = (
            f"Networks are recognised as in {indexed}; installed are {installed}. Run "
            "python -m diagnostics.loaders to make the index anew."
        )
        checks.append(Check("index", "warned", message))
    return checks


def _spec(source: ModelSource, file: OpenedFile, first: Candidate, architecture: str) -> ModelSpec:
    return ModelSpec(
        name=source.file.name,
        format=file.format,
        architecture=architecture,
        sha256=source.file.sha256,
        parameters=file.parameters,
        height=first.height,
        width=first.width,
        channels=first.channels,
        class_names=file.class_names,
        output=Output.LOGITS,
        preprocessing=first.preprocessing,
        checks=file.checks,
        candidates=file.candidates,
    )


def _network_input(images: Sequence[Decoded]) -> NetworkInput:
    """Return what gives a candidate's network input for the images at hand."""

    def inputs(candidate: Candidate) -> Tensor:
        pipeline = Pipeline(candidate.preprocessing)
        values = [network_input(pipeline.run(image), candidate.preprocessing) for image in images]
        return torch.from_numpy(np.stack(values))

    return inputs
