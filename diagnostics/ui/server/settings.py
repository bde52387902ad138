"""How the server is offered: where, to whom, and how much of it one person may take."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnostics.schema.request import EngineChoice


@dataclass(frozen=True)
class ServerSettings:
    """How the server is offered.

    Args:
        address: Address to listen on.
        port: Port to listen on.
        hosts: Names under which browsers may reach it; empty takes this machine's own.
        base: Path before every address, where a proxy puts one.
        sign_in: File with the settings of an identity provider; None lets everybody in.
        model_mib: Largest model file.
        disk_mib: How much of the disk one person's files may take.
        places: How many requests compute at once.
        running: How many of one person compute at once.
        waiting: How many requests may wait.
        threads: With how many threads each model computes; None takes half of the processors.
        engine: What computes passes without gradients.
    """

    address: str = "127.0.0.1"
    port: int = 8501
    hosts: tuple[str, ...] = ()
    base: str = ""
    sign_in: Path | None = None
    model_mib: int = 4096
    disk_mib: int = 8192
    places: int = os.cpu_count() or 1
    running: int = 2
    waiting: int = 50
    threads: int | None = None
    engine: EngineChoice = "auto"

    def config(self) -> dict[str, Any]:
        """Return Streamlit's options that follow from it."""
        options: dict[str, Any] = {"server.address": self.address, "server.port": self.port}
        if self.hosts:
            options["server.allowedHosts"] = list(self.hosts)
        if self.base:
            options["server.baseUrlPath"] = self.base.strip("/")
        if self.sign_in is not None:
            options["secrets.files"] = [str(self.sign_in.resolve())]
        return options
