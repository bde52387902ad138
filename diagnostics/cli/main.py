"""The command line: what is arguments, and who answers."""

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
from diagnostics.schema.request import INSPECT, OPEN, STRONGEST, Options, Request

if TYPE_CHECKING:
    from diagnostics.ui.server.startup import SessionDefaults

WITH_COMMANDS = ("ood/fit_reference",)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 bad input, 3 the worker failed."""
    arguments = _read(sys.argv[1:] if words is None else words)
    command: Command = arguments.command
    try:
        return command(arguments)
    except (InputError, NotOfferedError) as error:
        print(f"oversure: {error.message}", file=sys.stderr)
        return BAD_INPUT
    except WorkerError as error:
        print(f"oversure: {error.message}", file=sys.stderr)
        return WORKER_FAILED


def _read(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line; images may also stand after the flags, where argparse loses them."""
    commands = parser(words)
    arguments, rest = commands.parse_known_args(words)
    if getattr(arguments, "weights", None):
        arguments.images = [*filter(None, [arguments.model]), *arguments.images]
        arguments.model = arguments.weights
    if rest and (not hasattr(arguments, "images") or any(word.startswith("-") for word in rest)):
        commands.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.images = [*arguments.images, *rest]
    return arguments


def parser(words: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """Return the parser of every command.

    Args:
        words: The command line. The command that it calls also gets the flags of its method, which
            takes the registry; the other commands do not wait for that. None gives every command
            its flags.
    """
    top = argparse.ArgumentParser(
        "oversure", description="Find out why an image classifier is so sure."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

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
    flags.add_server_flags(shared)

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

    _add_run(commands, words)
    measurements.add(commands, words)

    listing = add_command(commands, "list", _list, "list the methods and their options")
    add_output(listing, model=False)

    doctor = add_command(commands, "doctor", _doctor, "say what this machine offers")
    add_output(doctor, model=False)
    return top


def _add_run(commands: Any, words: Sequence[str] | None) -> None:
    run = add_command(commands, "run", _run, "run one method; its options are flags")
    add_output(run)
    run.add_argument("method", metavar="FAMILY/METHOD")
    run.add_argument("model", metavar="MODEL")
    run.add_argument("images", nargs="*", metavar="IMAGE")
    run.add_argument("--folder", type=Path, metavar="DIR", help="many images, where it takes some")
    run.add_argument("--reference", type=Path, metavar="FILE", help="of `reference build`")
    measurements.add_ood_folder(run)
    flags.add_seed(run)
    info = None
    if words is not None and flags.is_called("run", words):
        from diagnostics.methods.registry import methods

        known = {method.info.id: method.info for method in methods()}
        info = next((known[word] for word in words if word in known), None)
    _add_target(run, margin=info is None or info.kind == "map")
    if info is not None:
        flags.add_method_flags(run, info)


def _add_target(parser: argparse.ArgumentParser, *, margin: bool = True) -> None:
    parser.add_argument("--target", type=int, metavar="INDEX", help="class to explain")
    if not margin:
        return
    parser.add_argument(
        "--against",
        type=int,
        metavar="INDEX",
        help=f"explain the margin over this class; {STRONGEST} takes the strongest other one",
    )


def _app(arguments: argparse.Namespace) -> int:
    from diagnostics.ui.server.launch import demand_sandbox, serve
    from diagnostics.ui.server.settings import ServerSettings

    demand_sandbox(arguments.address, programs=arguments.torchscript)
    defaults = session_defaults(arguments)
    address = f"http://{arguments.address}:{arguments.port}"
    emit(arguments, "app", {"address": address}, [f"Serving {address}; Ctrl+C ends it."])
    settings = ServerSettings(arguments.address, arguments.port, engine=arguments.engine)
    return serve(settings, defaults)


def _serve(arguments: argparse.Namespace) -> int:
    from diagnostics.ui.server.launch import demand_sandbox, demand_sign_in, serve

    settings = flags.server_settings(arguments)
    demand_sandbox(settings.address, programs=arguments.torchscript)
    demand_sign_in(settings)
    defaults = session_defaults(arguments)
    base = f"/{settings.base.strip('/')}" if settings.base else ""
    address = f"http://{settings.address}:{settings.port}{base}"
    who = "people who signed in" if settings.sign_in else "everybody who can reach it"
    lines = [f"Serving {address} to {who}; Ctrl+C ends it."]
    emit(arguments, "serve", {"address": address, "signs_in": bool(settings.sign_in)}, lines)
    return serve(settings, defaults)


def session_defaults(arguments: argparse.Namespace) -> SessionDefaults:
    """Return what sessions begin with, and may do.

    Raises:
        InputError: When a file cannot be read.
    """
    from diagnostics.ui.server.startup import SessionDefaults

    if not arguments.model:
        return SessionDefaults(programs=arguments.torchscript)
    source, recipe = flags.source(arguments)
    images = tuple(file_at(Path(image)) for image in arguments.images)
    adjustment = partial(flags.preprocessing, arguments, recipe)
    return SessionDefaults(source, images, adjustment, programs=arguments.torchscript)


def _load(arguments: argparse.Namespace) -> int:
    source, _ = flags.source(arguments)
    images = tuple(file_at(Path(image)) for image in arguments.images)
    with closing(open_runner(arguments)) as runner:
        result = runner.run(Request(OPEN, source, images))
    return report(arguments, "load", result, console.model)


def _inspect(arguments: argparse.Namespace) -> int:
    options: dict[str, Any] = {"top": arguments.top}
    if arguments.layers:
        options["layers"] = tuple(arguments.layers)
    if arguments.attribution:
        options["attributions"] = tuple(arguments.attribution)
    return _inspect_images(arguments, INSPECT, options)


def _run(arguments: argparse.Namespace) -> int:
    from diagnostics.methods.registry import find

    info = find(arguments.method).info
    options = flags.method_options(arguments, info)
    if info.kind == "map":
        if not arguments.images:
            raise InputError(f"{info.id} explains images; give one or more behind the model.")
        return _inspect_images(arguments, info.id, options)
    if info.kind in ("score", "guard") or info.id in WITH_COMMANDS:
        raise InputError(f"{info.id} has a command of its own, see oversure --help.")
    result = measurements.ask(arguments, info.id, options)
    scores = {name: value for name, value in result.scores.items() if name != "model"}
    if arguments.out:
        scores["files"] = export.write_arrays(result.arrays, arguments.out)
    emit(arguments, info.id.replace("/", "-"), scores, export.lines(scores))
    return DONE


def _inspect_images(arguments: argparse.Namespace, method: str, options: Options) -> int:
    """Ask, and report; all images unreadable is bad input."""
    result = measurements.ask(arguments, method, options)
    report(arguments, method.replace("/", "-"), result, console.images)
    entries = result.scores["images"]
    if all(entry["error"] for entry in entries):
        raise InputError(f"No image could be read; the first: {entries[0]['error']}")
    return DONE


def _list(arguments: argparse.Namespace) -> int:
    from diagnostics.methods.registry import methods

    known = [method.info for method in methods()]
    lines = []
    for info in known:
        lines.append(f"{info.id}  {info.summary}")
        lines += [f"    {one.name}={one.default!r}  {one.help}" for one in info.options]
    emit(arguments, "list", {"methods": [asdict(info) for info in known]}, lines)
    return DONE


def _doctor(arguments: argparse.Namespace) -> int:
    from diagnostics.worker.doctor import examine

    report = examine()
    lines = [f"{one.status:8} {one.name}: {one.message}" for one in report.checks]
    emit(arguments, "doctor", report.content(), lines)
    return DONE
