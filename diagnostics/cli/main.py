"""The command line: what is asked, and who answers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagnostics.cli import flags, measurements
from diagnostics.cli.output import (
    BAD_INPUT,
    DONE,
    WORKER_FAILED,
    Command,
    add_command,
    add_output,
    emit,
    open_runner,
    report,
)
from diagnostics.data.samples import file_at
from diagnostics.errors import InputError, NotOfferedError, WorkerError
from diagnostics.report import console, export
from diagnostics.schema.request import INSPECT, OPEN, STRONGEST, Request
from diagnostics.schema.spec import read

if TYPE_CHECKING:
    from diagnostics.ui.server.startup import Beginning

WITH_COMMANDS = ("ood/fit_reference",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 bad input, 3 the worker failed."""
    asked = _read(arguments)
    command: Command = asked.command
    try:
        return command(asked)
    except (InputError, NotOfferedError) as error:
        print(f"oversure: {error.message}", file=sys.stderr)
        return BAD_INPUT
    except WorkerError as error:
        print(f"oversure: {error.message}", file=sys.stderr)
        return WORKER_FAILED


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; images may also stand after the flags, where argparse loses them."""
    made = parser()
    asked, rest = made.parse_known_args(arguments)
    if getattr(asked, "weights", None):
        asked.images = [*filter(None, [asked.model]), *asked.images]
        asked.model = asked.weights
    if rest and (not hasattr(asked, "images") or any(one.startswith("-") for one in rest)):
        made.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        asked.images = [*asked.images, *rest]
    return asked


def parser() -> argparse.ArgumentParser:
    """Return the parser of every command and flag."""
    made = argparse.ArgumentParser(
        "oversure", description="Find out why an image classifier is so sure."
    )
    commands = made.add_subparsers(required=True, metavar="COMMAND")

    app = add_command(commands, "app", _app, "serve the app, with samples or with a model of yours")
    add_output(app)
    app.add_argument("model", nargs="?", metavar="MODEL")
    app.add_argument("images", nargs="*", metavar="IMAGE")
    app.add_argument("--port", type=int, default=8501)
    app.add_argument("--address", default="127.0.0.1", help="listen elsewhere than on loopback")

    app.add_argument("--weights", metavar="FILE", help="the model, named by a flag")

    shared = add_command(commands, "serve", _serve, "serve the app to several people")
    add_output(shared)
    shared.add_argument("model", nargs="?", metavar="MODEL")
    shared.add_argument("images", nargs="*", metavar="IMAGE")
    flags.add_serving_flags(shared)

    load = add_command(commands, "load", _load, "say what a weights file is")
    add_output(load)
    load.add_argument("model", metavar="MODEL")
    load.add_argument("images", nargs="*", metavar="IMAGE", help="images that rank the networks")

    inspect = add_command(commands, "inspect", _inspect, "show everything about some images")
    add_output(inspect)
    inspect.add_argument("model", metavar="MODEL")
    inspect.add_argument("images", nargs="+", metavar="IMAGE")
    inspect.add_argument("--top", type=int, default=5, metavar="K", help="classes to rank")
    _add_target(inspect)
    inspect.add_argument("--layers", nargs="+", metavar="NAME", help='layers to draw, or "all"')
    inspect.add_argument(
        "--attribution",
        nargs="+",
        metavar="METHOD",
        help="family/name?option=value; see `oversure list`",
    )

    run = add_command(commands, "run", _run, "run one method")
    add_output(run)
    run.add_argument("method", metavar="FAMILY/METHOD")
    run.add_argument("model", metavar="MODEL")
    run.add_argument("images", nargs="*", metavar="IMAGE")
    _add_target(run)
    run.add_argument("--folder", type=Path, metavar="DIR", help="many images, where it takes some")
    run.add_argument("--seed", type=int, default=0, help="of everything random")
    run.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="method's options")

    measurements.add(commands)

    listing = add_command(commands, "list", _list, "list the methods and their options")
    add_output(listing, model=False)

    doctor = add_command(commands, "doctor", _doctor, "say what this machine offers")
    add_output(doctor, model=False)
    return made


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", type=int, metavar="INDEX", help="class to explain")
    parser.add_argument(
        "--against",
        type=int,
        metavar="INDEX",
        help=f"explain the margin over this class; {STRONGEST} takes the strongest other one",
    )


def _app(asked: argparse.Namespace) -> int:
    from diagnostics.ui.server.launch import demand_sandbox, serve
    from diagnostics.ui.server.settings import Serving

    demand_sandbox(asked.address, programs=asked.torchscript)
    first = beginning(asked)
    address = f"http://{asked.address}:{asked.port}"
    emit(asked, "app", {"address": address}, [f"Serving {address}; Ctrl+C ends it."])
    return serve(Serving(asked.address, asked.port), first)


def _serve(asked: argparse.Namespace) -> int:
    from diagnostics.ui.server.launch import demand_sandbox, demand_sign_in, serve

    serving = flags.serving(asked)
    demand_sandbox(serving.address, programs=asked.torchscript)
    demand_sign_in(serving)
    first = beginning(asked)
    base = f"/{serving.base.strip('/')}" if serving.base else ""
    address = f"http://{serving.address}:{serving.port}{base}"
    who = "people who signed in" if serving.sign_in else "everybody who can reach it"
    lines = [f"Serving {address} to {who}; Ctrl+C ends it."]
    emit(asked, "serve", {"address": address, "signs_in": bool(serving.sign_in)}, lines)
    return serve(serving, first)


def beginning(asked: argparse.Namespace) -> Beginning:
    """Return what people have in hand at first, and what they may do.

    Raises:
        InputError: When a file cannot be read.
    """
    from diagnostics.ui.server.startup import Beginning

    if not asked.model:
        return Beginning(programs=asked.torchscript)
    source, recipe = flags.source(asked)
    images = tuple(file_at(Path(image)) for image in asked.images)
    adapt = partial(flags.preprocessing, asked, recipe)
    return Beginning(source, images, adapt, programs=asked.torchscript)


def _load(asked: argparse.Namespace) -> int:
    source, _ = flags.source(asked)
    images = tuple(file_at(Path(image)) for image in asked.images)
    with closing(open_runner(asked)) as runner:
        result = runner.run(Request(OPEN, source, images))
    return report(asked, "load", result, console.model)


def _inspect(asked: argparse.Namespace) -> int:
    options: dict[str, Any] = {"top": asked.top}
    if asked.layers:
        options["layers"] = tuple(asked.layers)
    if asked.attribution:
        options["attributions"] = tuple(asked.attribution)
    return _look(asked, INSPECT, options)


def _run(asked: argparse.Namespace) -> int:
    from diagnostics.methods.registry import find

    info = find(asked.method).info
    options = info.read(flags.method_options(asked.set))
    if info.kind == "map":
        if not asked.images:
            raise InputError(f"{info.id} explains images; give one or more behind the model.")
        return _look(asked, info.id, options)
    if info.kind in ("score", "guard") or info.id in WITH_COMMANDS:
        raise InputError(f"{info.id} has a command of its own, see oversure --help.")
    result = measurements.ask(asked, info.id, more=options)
    scores = {name: value for name, value in result.scores.items() if name != "model"}
    if asked.out:
        scores["files"] = export.write_arrays(result.arrays, asked.out)
    emit(asked, info.id.replace("/", "-"), scores, export.lines(scores))
    return DONE


def _look(asked: argparse.Namespace, method: str, options: dict[str, Any]) -> int:
    """Open the model, ask, and report; all images unreadable is bad input."""
    source, recipe = flags.source(asked)
    images = tuple(file_at(Path(image)) for image in asked.images)
    with closing(open_runner(asked)) as runner:
        own = read(runner.run(Request(OPEN, source, images)).scores["model"]).preprocessing
        settings = flags.preprocessing(asked, recipe, own)
        result = runner.run(
            Request(method, source, images, settings, asked.target, asked.against, options)
        )
    report(asked, method.replace("/", "-"), result, console.images)
    entries = result.scores["images"]
    if all(entry["error"] for entry in entries):
        raise InputError(f"No image could be read; the first: {entries[0]['error']}")
    return DONE


def _list(asked: argparse.Namespace) -> int:
    from diagnostics.methods.registry import methods

    known = [method.info for method in methods()]
    lines = []
    for info in known:
        lines.append(f"{info.id}  {info.summary}")
        lines += [f"    {one.name}={one.default!r}  {one.help}" for one in info.options]
    emit(asked, "list", {"methods": [asdict(info) for info in known]}, lines)
    return DONE


def _doctor(asked: argparse.Namespace) -> int:
    from diagnostics.worker.doctor import examine

    report = examine()
    lines = [f"{one.status:8} {one.name}: {one.message}" for one in report.checks]
    emit(asked, "doctor", report.described(), lines)
    return DONE
