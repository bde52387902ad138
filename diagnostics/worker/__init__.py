"""Workers: processes that hold one model each, so that no file and no model can harm the server."""

from diagnostics.worker.admission import Admission
from diagnostics.worker.live import Live
from diagnostics.worker.pool import Limits, WorkerRunner
from diagnostics.worker.spawn import Zygote

__all__ = ["Admission", "Limits", "Live", "WorkerRunner", "Zygote"]
