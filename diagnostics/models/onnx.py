"""ONNX: how a network is written as one, and how onnxruntime runs it. Only here both stand."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

OPSET = 17


def export_onnx(network: nn.Module, images: Tensor, input_name: str = "images") -> bytes:
    """Return a network as ONNX, for any number of images, with one output "logits".

    Args:
        network: In evaluation mode.
        images: What it receives, two or more.
        input_name: Of its one input.

    Raises:
        Exception: Whatever the exporter raises where ONNX has no word for an operation.
    """
    content = io.BytesIO()
    with _exportable_attention(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (images,),
            content,  # type: ignore[arg-type]
            dynamo=False,  # which needs no further library
            opset_version=OPSET,
            input_names=[input_name],
            output_names=["logits"],
            dynamic_axes={input_name: {0: "n"}, "logits": {0: "n"}},
        )
    return content.getvalue()


def onnx_session(content: bytes) -> Any:
    """Return a session of a model's bytes that computes on the processor with one thread.

    Its caller runs several parts of a batch beside each other instead: threads inside a session
    wait busily for each other, which takes the processor from whoever shares the machine.

    Raises:
        Exception: Whatever its C++ raises where it does not take the model.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # its builds report use to their maker
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@contextmanager
def _exportable_attention() -> Iterator[None]:
    """Let attention be written as the operations that it is made of; ONNX has none for it."""
    is_whole = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(is_whole)
