"""What this machine offers: sandbox, library versions, room on the disk."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict, dataclass
from typing import Any

from diagnostics.schema.results.inspection import Status
from diagnostics.schema.spec import Check
from diagnostics.versions import EXTRAS, Floor, floors
from diagnostics.worker import selftest
from diagnostics.worker.sandbox import Level

GIB = 2**30
MIN_FREE_GIB = 5
STATUS_OF_LEVEL: dict[Level, Status] = {
    Level.STRICT: "passed",
    Level.PARTIAL: "warned",
    Level.NONE: "failed",
}


@dataclass(frozen=True)
class Report:
    """Everything that was checked, and the sandbox's test act by act."""

    checks: tuple[Check, ...]
    sandbox: selftest.Outcome

    def content(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"checks": [asdict(check) for check in self.checks], "sandbox": asdict(self.sandbox)}


def examine() -> Report:
    """Look at this machine."""
    outcome = selftest.outcome()
    checks = [Check("sandbox", STATUS_OF_LEVEL[outcome.level], sandbox_sentence(outcome))]
    checks += map(_library, floors())
    free = shutil.disk_usage(tempfile.gettempdir()).free / GIB
    enough: Status = "passed" if free >= MIN_FREE_GIB else "warned"
    checks.append(Check("disk", enough, f"{free:.0f} GiB are free for uploads"))
    return Report(tuple(checks), outcome)


def sandbox_sentence(outcome: selftest.Outcome) -> str:
    """Say how far the processes that hold models are locked down."""
    count = f"{outcome.refused} of {len(outcome.acts)} forbidden acts are refused"
    if outcome.level is Level.STRICT:
        return f"strict: {count} to the processes that hold models"
    if outcome.level is Level.PARTIAL:
        free = ", ".join(name for name, refused in outcome.acts.items() if not refused)
        return f"partial: {count}; a process that holds a model could still {free}"
    return (
        "none: this system cannot lock down the processes that hold models; open only files that "
        "you trust, and do not offer the app to others"
    )


def _library(floor: Floor) -> Check:
    """Hold one library to its lower bound."""
    if floor.have is None and floor.extra:
        message = f"not installed; {EXTRAS[floor.extra]} files need it"
        return Check(floor.name, "warned", message)
    have = floor.have or "not installed"
    message = f"{have}; {floor.least} or newer is needed"
    return Check(floor.name, "passed" if floor.kept else "failed", message)
