"""The tests, which mirror the library."""

import os

# onnxruntime's builds report their use over the network; nothing here may.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ["KERAS_BACKEND"] = "torch"
