"""Forward passes without gradients, by whatever computes them fastest and answers the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from diagnostics.models.onnx import export_onnx, onnx_session
from diagnostics.text import line_of, number

# Another engine is tried once torch's passes, behind and ahead, are at least so many and take so
# long, in seconds of a processor. Export, session and trial took as long as 29, 29, 30 and 86
# passes of the four networks of decision 0032, and a session gains .1 to .6 of a pass: where it
# gains little, or the passes are few, only later questions about the same model repay it.
WORTH_PASSES, WORTH_SECONDS = 64, 3.0
MIN_SPEEDUP = 1.15  # in the trial; below it torch stays
TOLERANCE = 1e-5  # of an image's largest logit, in the trial
# Of the same: so far apart are the first two logits at least where the session's stand. Nine
# networks that agreed in the trial differed by 3.9e-6 at most on 2,084 other images, and by 5.1e-5
# on 32 grey blanks, EfficientNet-lite0's.
CLEAR = 2e-4
TRIAL_IMAGES = 2  # beside blank and random ones
CACHED_VALUES = 2**19  # of a part's images: larger parts leave the processor's cache
MAX_WEIGHTS_BYTES = 2**29  # the session holds a second copy of them


@dataclass(frozen=True)
class Decision:
    """Which engine computes passes without gradients.

    Args:
        sentence: What people read: which one, and why.
        session: Onnxruntime's session; None where torch stays.
        shape: Of each image that the session takes.
    """

    sentence: str
    session: Any = None
    shape: tuple[int, ...] = ()


class Engine:
    """Computes logits of one network for many images, without gradients.

    Torch does until so much work lies ahead, or behind, that an export is worth its time. Then
    onnxruntime does, if it is installed, takes the network, and answers the same and faster.

    Args:
        network: Frozen and in evaluation mode.
        compute: Gives torch's logits, shape (n, k), of what the network receives.
        trial_input: Makes what the network receives of blank and random images.
    """

    def __init__(
        self,
        network: nn.Module,
        compute: Callable[[Tensor], Tensor],
        trial_input: Callable[[], Tensor],
    ) -> None:
        self._network, self._compute, self._trial_input = network, compute, trial_input
        self.decision: Decision | None = None
        self._passes = self._ahead = self._question_passes = 0
        self._seconds = 0.0

    def begin(self) -> None:
        """Forget how much the last question asked: another begins."""
        self._question_passes = self._ahead = 0

    def expect(self, passes: int) -> None:
        """Take note of how many images will be asked about from now on."""
        self._ahead = passes

    def sentence(self) -> str:
        """Return which engine computed the passes of this question, and why; empty without any."""
        return self.decision.sentence if self.decision and self._question_passes else ""

    def logits(self, network_input: Tensor) -> Tensor:
        """Return the logits of what the network receives, shape (n, k).

        An image whose first two logits lie closer together than engines differ is torch's, so that
        no engine decides what is predicted.
        """
        if _is_observed(self._network) or not _is_plain(network_input) or not len(network_input):
            return self._compute(network_input)
        self._question_passes += len(network_input)
        if self.decision and self.decision.session:
            if tuple(network_input.shape[1:]) != self.decision.shape:
                return self._compute(network_input)
            logits = run_session(self.decision.session, network_input)
            undecided = _undecided(logits)
            if len(undecided):
                logits[undecided] = self._compute(network_input[undecided])
            return logits
        started = time.process_time()
        logits = self._compute(network_input)
        if self.decision is None:
            self._note(len(network_input), time.process_time() - started)
            if self._is_worth_trying():
                self.decision = self._decide(network_input[:TRIAL_IMAGES])
        return logits

    def _note(self, images: int, seconds: float) -> None:
        self._passes += images
        self._seconds += seconds
        self._ahead = max(0, self._ahead - images)

    def _is_worth_trying(self) -> bool:
        passes = self._passes + self._ahead
        seconds = self._seconds * passes / self._passes
        return passes >= WORTH_PASSES and seconds >= WORTH_SECONDS

    def _decide(self, network_input: Tensor) -> Decision:
        """Export the network, and hold the session's answers and its speed against torch's."""
        try:
            _demand_exportable(self._network)
            session = onnx_session(
                export_onnx(_Logits(self._network, self._compute).eval(), network_input)
            )
            run_session(session, network_input)  # its first run is slower than all others
            # Blank images come first: a network that looks at them may compute otherwise.
            trial = torch.cat([self._trial_input().to(network_input), network_input])
            seconds, logits = _timed(lambda: run_session(session, trial))
            torch_seconds, torch_logits = _timed(lambda: self._compute(trial))
        except ImportError:
            return _torch_because("onnxruntime is not installed")
        except Exception as error:  # exporters and sessions raise whatever they like
            return _torch_because(line_of(error))
        difference, speedup = logit_difference(logits, torch_logits), torch_seconds / seconds
        if not difference <= TOLERANCE:
            return _torch_because(
                f"onnxruntime's answers differ by {number(difference)} of the largest logit"
            )
        if speedup < MIN_SPEEDUP:
            return _torch_because(f"onnxruntime was {speedup:.2f} times as fast in a trial")
        sentence = (
            f"Forward passes by onnxruntime, {speedup:.1f} times as fast as torch in a trial, "
            f"where its logits agree to {number(difference)}."
        )
        return Decision(sentence, session, tuple(network_input.shape[1:]))


def _torch_because(reason: str) -> Decision:
    return Decision(f"Forward passes by torch: {reason}.")


def run_session(session: Any, network_input: Tensor) -> Tensor:
    """Return what a session gives for images, in parts that run beside each other.

    As many parts run at once as torch has threads.
    """
    threads = torch.get_num_threads()
    name = session.get_inputs()[0].name
    fitting = max(1, CACHED_VALUES // max(1, network_input[0].numel()))
    parts = -(-len(network_input) // fitting)
    parts = min(len(network_input), -(-parts // threads) * threads)
    values = [part.contiguous().numpy() for part in network_input.tensor_split(parts)]

    def run(part: Any) -> Tensor:
        return torch.from_numpy(session.run(None, {name: part})[0])

    if threads == 1 or parts == 1:
        return torch.cat([run(part) for part in values])
    with ThreadPoolExecutor(threads) as pool:
        return torch.cat(list(pool.map(run, values)))


def logit_difference(logits: Tensor, others: Tensor) -> float:
    """Return the largest difference in any image, as a share of the image's largest logit.

    Infinite where one of the two is not finite and the other is.
    """
    finite = others.isfinite()
    if logits.shape != others.shape or bool((logits.isfinite() != finite).any()):
        return float("inf")
    differences = (logits - others).where(finite, 0).abs().amax(1)
    largest = others.where(finite, 0).abs().amax(1)
    return float((differences / largest.clamp_min(torch.finfo(others.dtype).tiny)).max())


def _undecided(logits: Tensor) -> Tensor:
    """Return the rows whose largest logit another engine may have put second, and not finite ones.

    A single logit, which says yes above zero, has zero as its rival.
    """
    rivals = logits if logits.shape[1] > 1 else torch.cat([logits, torch.zeros_like(logits)], 1)
    first, second = rivals.topk(2).values.unbind(1)
    is_clear = first - second > CLEAR * logits.abs().amax(1)
    return (~is_clear).nonzero()[:, 0]


class _Logits(nn.Module):
    """A network whose outputs are logits already, to be exported."""

    def __init__(self, network: nn.Module, compute: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self._compute = network, compute

    def forward(self, network_input: Tensor) -> Tensor:
        return self._compute(network_input)


def _demand_exportable(network: nn.Module) -> None:
    """Refuse a network that is not worth an export.

    Raises:
        ValueError: When its weights are too large, or not known to torch.
    """
    tensors = (*network.parameters(), *network.buffers())
    if not tensors:
        raise ValueError("torch does not compute this network")
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if size > MAX_WEIGHTS_BYTES:
        raise ValueError(f"its weights take {size / 2**20:.0f} MiB, too much to hold them twice")


def _is_plain(network_input: Tensor) -> bool:
    return network_input.device.type == "cpu" and network_input.dtype == torch.float32


def _is_observed(network: nn.Module) -> bool:
    """Say whether somebody listens to a layer, or changes what it gives."""
    return any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def _timed(run: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """Return the seconds of a processor that something takes, and what it gives.

    They are the same however busy others keep the machine.
    """
    started = time.process_time()
    values = run()
    return max(time.process_time() - started, 1e-6), values
