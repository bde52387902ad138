"""Onnxruntime: the one place that imports it and says how its sessions run."""

from __future__ import annotations

import os
from typing import Any


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
