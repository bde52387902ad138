"""Attributions beside the bare passes that they state, and beside their peers at equal values.

A peer is timed as it is called by default, and at the batch size at which the bare network is
fastest with torch, which is the only engine that peers have. Before anything is timed, a method
must ask for as many passes as it states, and give what the peer gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import captum.attr
import torch
from pytorch_grad_cam import ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn
from torch.nn.functional import interpolate

from diagnostics.methods.attribution._heatmap import Heatmap
from diagnostics.methods.attribution._masking import cell_indices
from diagnostics.methods.registry import find
from diagnostics.schema.spec import Need
from tests.benchmarks import bare
from tests.benchmarks.bare import Asked, Bare
from tests.benchmarks.figure import Figure
from tests.benchmarks.networks import PHOTO_NETWORKS, Timed, additive, letters
from tests.benchmarks.timing import beside, faster, in_turn

LIMIT, NEVER_SLOWER = 1.1, 1.0
FASTER, FASTER_ON = 2.0, ("ResNet-18", "EfficientNet-lite0")
TARGET = torch.tensor([0])
NOISE = 0.15


@dataclass(frozen=True)
class Sizes:
    """How much each method does, so that it can be timed often.

    Args:
        window: Side of occlusion's window in px.
        stride: From one window to the next.
        masks: Of RISE.
        cells: In a row of KernelSHAP's grid.
        coalitions: Of KernelSHAP.
        steps: Of the methods of gradients.
    """

    window: int
    stride: int
    masks: int
    cells: int
    coalitions: int
    steps: int


PHOTO, SMALL = Sizes(32, 32, 48, 3, 46, 10), Sizes(4, 1, 512, 7, 512, 96)
TOLERANCE = 1e-2  # of a map's length
ALIKE = 0.9  # correlation of Score-CAM's maps: pytorch-grad-cam enlarges them by another rule

Peer = Callable[[nn.Module, int | None], Tensor]


@dataclass(frozen=True)
class Case:
    """A method, how it is called, and the peer that gives the same.

    Args:
        identity: Of the registry.
        options: Of the method, small enough to be timed often.
        peer_name: Of the package; empty where no peer has the method.
        peer: Returns what the peer makes of a network, with a batch size or its default.
        equal_options: With which values are compared, where drawn numbers would differ.
        equal: What the peer gives with those; None takes `peer`.
        additive: Compare on a network that adds up what its pixels give, where both estimate.
        alike: Correlation that suffices, where the peer computes almost the same; 1 asks for equal.
        remark: Why there is no peer, or what is different with it.
    """

    identity: str
    options: Mapping[str, Any]
    peer_name: str = ""
    peer: Peer | None = None
    equal_options: Mapping[str, Any] = field(default_factory=dict)
    equal: Peer | None = None
    additive: bool = False
    alike: float = 1.0
    remark: str = ""


@dataclass(frozen=True)
class Passes:
    """The fastest ways to pass images through one network.

    Args:
        forward: With any engine.
        of_torch: Forward with torch, as peers do.
        both: Forward and back.
    """

    forward: Bare
    of_torch: Bare
    both: Bare

    def run(self, asked: Asked) -> None:
        """Pass as many images as were asked about."""
        self.forward.run(asked.forward)
        self.both.run(asked.both)


def figures() -> Iterator[Figure]:
    """Yield every method on every network, beside the limit and beside its peers.

    Raises:
        ValueError: In the end, when values differed.
    """
    wrong = []
    for make in (*PHOTO_NETWORKS, letters):
        timed = make()
        print(f"{timed.name}: {timed.engine}", flush=True)
        passes = Passes(
            bare.best_forward(timed.network, timed.shape),
            bare.best_torch(timed.network, timed.shape),
            bare.best_both(timed.network, timed.shape),
        )
        for case in cases(timed):
            try:
                yield from measured(timed, case, passes)
            except ValueError as error:
                wrong.append(str(error))
    if wrong:
        raise ValueError(" ".join(wrong))


def measured(timed: Timed, case: Case, passes: Passes) -> Iterator[Figure]:
    """Yield one method on one network."""
    method = find(case.identity)
    with_gradients = Need.GRADIENTS in method.info.needs
    pixels = timed.pixels(1)
    asked = demand_stated(timed, case, pixels)
    demand_equal(timed, case, pixels)
    runs: list[Callable[[], object]] = [
        lambda: ours(timed, case, pixels),
        lambda: passes.run(asked),
    ]
    at_once = (passes.both if with_gradients else passes.of_torch).batch
    if case.peer is not None:
        peer = case.peer
        runs += [lambda: peer(timed.network, None), lambda: peer(timed.network, at_once)]
    seconds = in_turn(*runs)
    title, threads = f"{method.info.title} on {timed.name}", torch.get_num_threads()
    yield beside(
        f"{title}, beside {asked.forward + asked.both} bare passes",
        *seconds[:2],
        limit=LIMIT,
        engine=passes.both.engine if with_gradients else passes.forward.engine,
        threads=threads,
        remark=case.remark,
    )
    often = not with_gradients and timed.name in FASTER_ON
    for setting, theirs in zip(("by default", f"{at_once} at once"), seconds[2:], strict=False):
        yield faster(
            f"{title}, against {case.peer_name} {setting}",
            seconds[0],
            theirs,
            limit=FASTER if often else NEVER_SLOWER,
            threads=threads,
        )


def cases(timed: Timed) -> Iterator[Case]:
    """Yield every attribution that takes more passes than Inspect makes anyway, with its peer."""
    sizes = SMALL if timed.shape[0] == 1 else PHOTO
    yield _occlusion(timed, sizes)
    yield Case("attribution/rise", {"masks": sizes.masks}, remark="no peer has it")
    yield _kernel_shap(timed, sizes)
    yield _score_cam(timed)
    yield _integrated_gradients(timed, sizes)
    yield _smooth_grad(timed, sizes)
    if timed.shape[0] == 3 and timed.name != "ViT-tiny":  # whose LayerNorm has no rule
        remark = "no peer: captum's refuses layers that run twice, or misses part of the rise"
        yield Case("attribution/deep_lift", {}, remark=remark)


def _occlusion(timed: Timed, sizes: Sizes) -> Case:
    channels = timed.shape[0]
    window = (channels, sizes.window, sizes.window)
    strides = (channels, sizes.stride, sizes.stride)

    def peer(network: nn.Module, batch: int | None) -> Tensor:
        attribution = captum.attr.Occlusion(network).attribute(
            timed.pixels(1), window, strides, target=TARGET, perturbations_per_eval=batch or 1
        )
        return attribution[0, 0]

    options = {"window": sizes.window, "stride": sizes.stride, "fill": "black"}
    return Case("attribution/occlusion", options, "captum", peer)


def _kernel_shap(timed: Timed, sizes: Sizes) -> Case:
    grid = cell_indices(timed.pixels(1), sizes.cells, sizes.cells)[None, None]
    centre = torch.arange(1, 2 * sizes.cells, 2) * timed.shape[1] // (2 * sizes.cells)

    def peer(network: nn.Module, batch: int | None) -> Tensor:
        torch.manual_seed(0)
        attribution = captum.attr.KernelShap(network).attribute(
            timed.pixels(1),
            target=TARGET,
            feature_mask=grid,
            n_samples=sizes.coalitions + 2,
            perturbations_per_eval=batch or 1,
        )
        return attribution[0, 0][centre][:, centre]

    options = {"cells": sizes.cells, "samples": sizes.coalitions, "fill": "black"}
    remark = "both draw coalitions; equal on a network that adds up its pixels"
    return Case("attribution/kernel_shap", options, "captum", peer, additive=True, remark=remark)


def _score_cam(timed: Timed) -> Case:
    layer = timed.layer
    if timed.name == "ViT-tiny":
        remark = f"{layer}; against its peer on the other networks"
        return Case("attribution/score_cam", {"layer": layer}, remark=remark)

    def peer(network: nn.Module, batch: int | None) -> Tensor:
        with redirect_stderr(StringIO()), ScoreCAM(network, [network.get_submodule(layer)]) as cam:
            if batch is not None:
                cam.batch_size = batch
            return torch.from_numpy(cam(timed.pixels(1), [ClassifierOutputTarget(0)]))[0]

    remark = f"{layer}; the peer enlarges maps by another rule"
    return Case(
        "attribution/score_cam",
        {"layer": layer},
        "pytorch-grad-cam",
        peer,
        alike=ALIKE,
        remark=remark,
    )


def _integrated_gradients(timed: Timed, sizes: Sizes) -> Case:
    def peer(network: nn.Module, batch: int | None) -> Tensor:
        attribution = captum.attr.IntegratedGradients(network).attribute(
            timed.pixels(1), target=TARGET, n_steps=sizes.steps, internal_batch_size=batch
        )
        return attribution.sum(1)[0].detach()

    return Case("attribution/integrated_gradients", {"steps": sizes.steps}, "captum", peer)


def _smooth_grad(timed: Timed, sizes: Sizes) -> Case:
    def smoothed(network: nn.Module, batch: int | None, noise: float) -> Tensor:
        tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(network))
        attribution = tunnel.attribute(
            timed.pixels(1),
            nt_samples=sizes.steps,
            nt_samples_batch_size=batch,
            stdevs=noise,
            target=TARGET,
            abs=False,
        )
        return attribution[0].abs().amax(0)

    return Case(
        "attribution/smooth_grad",
        {"samples": sizes.steps},
        "captum",
        lambda network, batch: smoothed(network, batch, NOISE),
        equal_options={"noise": 0.0},
        equal=lambda network, batch: smoothed(network, batch, 0.0),
        remark="equal without noise; both draw their own",
    )


def ours(timed: Timed, case: Case, pixels: Tensor, **changed: Any) -> Tensor:
    """Return our map, shape (h, w)."""
    heatmap: Heatmap = find(case.identity).function(
        timed.classifier, pixels, TARGET, **{**case.options, **changed}
    )
    return heatmap.values[0]


def demand_stated(timed: Timed, case: Case, pixels: Tensor) -> Asked:
    """Return how many passes a method asks for, of each kind.

    Raises:
        ValueError: When it states another number.
    """
    method, asked = find(case.identity), Asked(timed.classifier)
    method.function(asked, pixels, TARGET, **case.options)
    stated = method.forward_passes(asked.spec, **method.info.check(case.options))
    if asked.forward + asked.both != stated:
        raise ValueError(
            f"{case.identity} states {stated} passes and asks for {asked.forward + asked.both}."
        )
    if Need.GRADIENTS not in method.info.needs:  # a pass that gradients could follow is none back
        asked.forward, asked.both = stated, 0
    return asked


def demand_equal(timed: Timed, case: Case, pixels: Tensor) -> None:
    """Hold a method to what its peer gives.

    Raises:
        ValueError: When values differ.
    """
    peer = case.equal or case.peer
    if peer is None:
        return
    compared = additive(timed.shape) if case.additive else timed
    our_map = ours(compared, case, pixels, **case.equal_options)
    peer_map = peer(compared.network, None)
    if case.alike < 1:
        our_map = interpolate(our_map[None, None], peer_map.shape, mode="bilinear")[0, 0]
        alike = float(torch.corrcoef(torch.stack([our_map.flatten(), peer_map.flatten()]))[0, 1])
        if alike < case.alike:
            raise ValueError(f"{case.identity} on {timed.name}: maps correlate by {alike:.2f}.")
    elif (difference := float((our_map - peer_map).norm() / peer_map.norm())) > TOLERANCE:
        raise ValueError(f"{case.identity} on {timed.name}: values differ by {difference:.2g}.")
