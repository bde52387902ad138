"""Onnxruntime: what a conversion is held against, and what computes a graph that torch cannot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diagnostics.errors import ModelError
from diagnostics.loaders._onnx_graph import OnnxModel
from diagnostics.models.layers import module_names
from diagnostics.models.onnx import onnx_session
from diagnostics.text import line_of

TYPES: dict[str, type[np.generic]] = {
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
}


class Runtime:
    """Runs the graph of a file with onnxruntime, as it is written.

    Args:
        path: The file, which was looked at already.
        model: What it holds.

    Raises:
        ModelError: When onnxruntime does not take it.
    """

    def __init__(self, path: Path, model: OnnxModel) -> None:
        self._path, self._model, self.output = path, model, model.graph.output
        self.nodes = [node for node in model.graph.nodes if node.outputs]
        self._sessions: dict[bool, Any] = {}
        try:
            self._session(all_values=False)
        except Exception as error:  # whatever its C++ raises
            raise _not_run(error) from None

    def scores(self, images: Tensor) -> NDArray[Any]:
        """Return the scores of images of shape (n, c, h, w), as a default session gives them.

        Raises:
            ModelError: When onnxruntime fails.
        """
        return self._run(images, [self.output], all_values=False)[0]

    def values(self, images: Tensor, names: Sequence[str]) -> list[NDArray[Any]]:
        """Return the values of these names for images of shape (n, c, h, w), computed unfused.

        Raises:
            ModelError: When onnxruntime fails.
        """
        return self._run(images, names, all_values=True)

    def unfused_scores(self, images: Tensor) -> NDArray[Any]:
        """Return the scores that belong to `values`: fusion changes how 8-bit values round.

        Raises:
            ModelError: When onnxruntime fails.
        """
        return self._run(images, [self.output], all_values=True)[0]

    def _run(
        self, images: Tensor, outputs: Sequence[str], *, all_values: bool
    ) -> list[NDArray[Any]]:
        values = (images * 1.0).cpu().numpy()
        values = values.transpose(0, 2, 3, 1) if self._model.graph.channels_last else values
        step = self._model.batch or len(values)
        try:
            session = self._session(all_values=all_values)
            image = session.get_inputs()[0]
            values = values.astype(TYPES.get(image.type, np.float32))
            parts = [
                session.run(
                    list(outputs), {image.name: _filled(values[start : start + step], step)}
                )
                for start in range(0, len(values), step)
            ]
        except Exception as error:  # whatever its C++ raises
            raise _not_run(error) from None
        return [_joined(output, step, len(values)) for output in zip(*parts, strict=True)]

    def _session(self, *, all_values: bool) -> Any:
        """Return the session that gives the scores, or the one that gives every value.

        They are two because values that somebody may ask for stand in the way of fusion, which is
        faster and, of a quantised graph, rounds otherwise: the answer is always the fused one.
        """
        if all_values not in self._sessions:
            content = self._path.read_bytes()
            self._sessions[all_values] = onnx_session(
                self._with_outputs(content) if all_values else content
            )
        return self._sessions[all_values]

    def _with_outputs(self, content: bytes) -> bytes:
        import onnx

        model = onnx.load_model_from_string(content)
        known = {output.name for output in model.graph.output}
        names = [node.outputs[0] for node in self.nodes if node.outputs[0] not in known]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
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
        """Return the scores of images of shape (n, c, h, w); layers with hooks run them."""
        hooked = [name for name, module in self.named_children() if module._forward_hooks]
        scores = self._runtime.scores(images.detach())
        if hooked:
            names = [self._values[name] for name in hooked]
            values = self._runtime.values(images.detach(), names)
            for name, value in zip(hooked, values, strict=True):
                is_answer = self._values[name] == self._runtime.output
                self.get_submodule(name)(torch.from_numpy(scores if is_answer else value))
        return torch.from_numpy(scores)


def _not_run(error: Exception) -> ModelError:
    return ModelError(f"onnxruntime does not run this file ({line_of(error, last=True)}).")


def _filled(values: NDArray[Any], count: int) -> NDArray[Any]:
    """Repeat the last image until there are enough."""
    return np.concatenate([values, np.repeat(values[-1:], count - len(values), 0)])


def _joined(parts: Sequence[NDArray[Any]], step: int, images: int) -> NDArray[Any]:
    """Put together what parts of the images gave; what has no axis of images gets one."""
    if len(parts) == 1 or (parts[0].ndim and len(parts[0]) == step):
        joined = np.concatenate(parts) if parts[0].ndim else np.stack(parts)
        return joined[:images] if len(joined) == len(parts) * step else joined
    return np.stack(parts)
