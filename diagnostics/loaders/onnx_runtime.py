"""Onnxruntime: what a conversion is held against, and what computes a graph that torch cannot."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diagnostics.errors import ModelError
from diagnostics.loaders.onnx_graph import Written
from diagnostics.models.layers import module_names

TYPES: dict[str, type[np.generic]] = {
    **{"tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(int32)": np.int32},
    **{"tensor(int64)": np.int64, "tensor(double)": np.float64, "tensor(float16)": np.float16},
}


class Runtime:
    """Runs the graph of a file with onnxruntime, as it is written.

    Args:
        path: The file, which was looked at already.
        written: What was found in it.

    Raises:
        ModelError: When onnxruntime does not take it.
    """

    def __init__(self, path: Path, written: Written) -> None:
        self._path, self._written = path, written
        self.nodes = [node for node in written.graph.nodes if node.outputs]
        self._sessions: dict[bool, Any] = {}
        try:
            self._session(listening=False)
        except Exception as error:  # whatever its C++ raises
            raise ModelError(f"onnxruntime does not run this file ({_said(error)}).") from None

    def run(self, images: Tensor, more: Sequence[str]) -> list[NDArray[Any]]:
        """Return the scores of images of shape (n, c, h, w), and other values by name.

        Raises:
            ModelError: When onnxruntime fails.
        """
        values = (images * 1.0).cpu().numpy()
        values = values.transpose(0, 2, 3, 1) if self._written.graph.channels_last else values
        step = self._written.batch or len(values)
        try:
            session = self._session(listening=bool(more))
            taken = session.get_inputs()[0]
            fed = values.astype(TYPES.get(taken.type, np.float32))
            names = [self._written.graph.output, *more]
            parts = [
                session.run(names, {taken.name: _filled(fed[at : at + step], step)})
                for at in range(0, len(fed), step)
            ]
        except Exception as error:  # whatever its C++ raises
            raise ModelError(f"onnxruntime does not run this file ({_said(error)}).") from None
        return [_joined(own, step, len(fed)) for own in zip(*parts, strict=True)]

    def _session(self, *, listening: bool) -> Any:
        """Return the session that gives the scores, or the one that gives every value.

        They are two because values that somebody may ask for stand in the way of fusion.
        """
        if listening not in self._sessions:
            onnxruntime = _imported()
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            options.log_severity_level = 4
            content = self._path.read_bytes()
            self._sessions[listening] = onnxruntime.InferenceSession(
                self._with_outputs(content) if listening else content,
                options,
                providers=["CPUExecutionProvider"],
            )
        return self._sessions[listening]

    def _with_outputs(self, content: bytes) -> bytes:
        import onnx

        model = onnx.load_model_from_string(content)
        known = {one.name for one in model.graph.output}
        wanted = [node.outputs[0] for node in self.nodes if node.outputs[0] not in known]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
        return bytes(model.SerializeToString())


class RuntimeNetwork(nn.Module):
    """A network that onnxruntime computes: its layers can be seen, its gradients cannot.

    Args:
        runtime: Runs the graph.
    """

    def __init__(self, runtime: Runtime) -> None:
        super().__init__()
        self._runtime = runtime
        names = module_names(node.name or node.operator for node in runtime.nodes)
        self._values = {}
        for name, node in zip(names, runtime.nodes, strict=True):
            kind = type(node.operator, (nn.Identity,), {})  # the kind of layer people read
            self.add_module(name, kind())
            self._values[name] = node.outputs[0]

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores of images of shape (n, c, h, w); layers that are listened to speak."""
        heard = [name for name, module in self.named_children() if module._forward_hooks]
        scores, *values = self._runtime.run(images.detach(), [self._values[one] for one in heard])
        for name, value in zip(heard, values, strict=True):
            self.get_submodule(name)(torch.from_numpy(value))
        return torch.from_numpy(scores)


def _imported() -> Any:
    """Import onnxruntime so that it keeps to itself: its builds report use to their maker."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    onnxruntime.set_default_logger_severity(4)
    return onnxruntime


def _said(error: Exception) -> str:
    return (str(error).splitlines() or [""])[-1][:120]


def _filled(values: NDArray[Any], count: int) -> NDArray[Any]:
    """Repeat the last image until there are enough."""
    return np.concatenate([values, np.repeat(values[-1:], count - len(values), 0)])


def _joined(parts: Sequence[NDArray[Any]], step: int, images: int) -> NDArray[Any]:
    """Put together what parts of the images gave; what has no axis of images gets one."""
    if len(parts) == 1 or (parts[0].ndim and len(parts[0]) == step):
        whole = np.concatenate(parts) if parts[0].ndim else np.stack(parts)
        return whole[:images] if len(whole) == len(parts) * step else whole
    return np.stack(parts)
