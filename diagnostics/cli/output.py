"""What every command shares: its flags of output, who answers it, and how it reports."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from diagnostics.cli import flags
from diagnostics.report import export
from diagnostics.schema.request import Result
from diagnostics.schema.runner import Runner

DONE, BAD_INPUT, WORKER_FAILED = 0, 2, 3

Command = Callable[[argparse.Namespace], int]


def add_command(
    commands: Any, name: str, command: Command, sentence: str
) -> argparse.ArgumentParser:
    """Add a command and return its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=sentence, description=sentence)
    parser.set_defaults(command=command)
    return parser


def add_output(parser: argparse.ArgumentParser, *, model: bool = True) -> None:
    """Add the flags that say how to report, and those that say how to open the model."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write JSON, pictures and arrays")
    if model:
        flags.add_model_flags(parser)


def open_runner(arguments: argparse.Namespace) -> Runner:
    """Return what answers: this process, or a locked-down one where a program may run."""
    if not arguments.torchscript:
        from diagnostics.execution.local import LocalRunner

        return LocalRunner(arguments.engine)
    from diagnostics.ui.server.launch import LOOPBACK, demand_sandbox
    from diagnostics.worker import WorkerRunner

    demand_sandbox(LOOPBACK[0], programs=True)
    return WorkerRunner(engine=arguments.engine)


def report(
    arguments: argparse.Namespace,
    name: str,
    result: Result,
    lines: Callable[[Any], list[str]],
) -> int:
    """Print the answer, and write it with its files where the person wants them."""
    scores = export.write(result, arguments.out) if arguments.out else export.without_files(result)
    scores.pop("methods", None)
    engine = result.engine
    emit(arguments, name, {**scores, "engine": engine}, [*lines(scores), *filter(None, [engine])])
    return DONE


def emit(
    arguments: argparse.Namespace, name: str, content: dict[str, Any], lines: Sequence[str]
) -> None:
    """Print JSON or lines, and write the JSON where the person wants it."""
    text = json.dumps({"schema": 1, **content}, indent=2, ensure_ascii=False, allow_nan=False)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / f"{name}.json").write_text(text + "\n", "utf-8")
    print(text if arguments.json else "\n".join(lines), flush=True)
