"""Commands with a name of their own for one method: reference, score, noise, calibrate and more."""

from __future__ import annotations

import argparse
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from diagnostics.cli import flags
from diagnostics.cli.output import DONE, add_command, add_output, emit, open_runner
from diagnostics.data.image import encode_png
from diagnostics.data.samples import file_at, image_folder_at
from diagnostics.errors import InputError
from diagnostics.report import console, export
from diagnostics.report.diagnosis import console as verdicts
from diagnostics.report.diagnosis import files
from diagnostics.report.faithfulness import tables
from diagnostics.schema.options import MethodInfo, Value
from diagnostics.schema.request import FOLDERS, OPEN, Options, Request, Result
from diagnostics.schema.results.diagnosis import WhyAnswer
from diagnostics.schema.results.faithfulness import TrustAnswer
from diagnostics.schema.spec import read

Lines: TypeAlias = Callable[[Any], list[str]]
Positional: TypeAlias = Literal["images", "folder", "ood_folder"]


@dataclass(frozen=True)
class Verb:
    """A command for one method; its flags are the method's options.

    Args:
        name: What people type.
        method: Id of the method.
        sentence: What `--help` says.
        lines: Says the answer as text.
        positional: What stands behind the model.
        least: How many images there are at least, as argparse writes it.
    """

    name: str
    method: str
    sentence: str
    lines: Lines
    positional: Positional = "images"
    least: str = "+"


VERBS = (
    Verb("score", "ood/detect", "say how strange images are", console.score),
    Verb("noise", "noise/noise", "say what a model makes of noise", console.noise, "images", "*"),
    Verb(
        "preprocessing",
        "preprocessing/preprocessing",
        "say whether the preprocessing fits",
        console.preprocessing,
        "images",
        "*",
    ),
    Verb(
        "calibrate",
        "calibration/calibration",
        "say whether percentages can be believed",
        console.calibrate,
        "folder",
    ),
    Verb(
        "strangers",
        "ood/evaluate",
        "say how well scores tell them",
        console.strangers,
        "ood_folder",
    ),
    Verb(
        "depth",
        "noise/depth",
        "say at which layer noise becomes a class",
        console.depth,
        "folder",
    ),
)
TRUST, REFERENCE, WHY = "faithfulness/trust", "ood/fit_reference", "diagnosis/why"
KINDS = "guard/"  # of guards; each is a method


def add(commands: Any, words: Sequence[str] | None) -> None:
    """Add the commands; the one that is called also gets its method's flags.

    Args:
        commands: Where they are added.
        words: The command line; None adds every command's flags.
    """
    for verb in VERBS:
        parser = add_command(commands, verb.name, partial(_measure, verb), verb.sentence)
        add_output(parser)
        parser.add_argument("model", metavar="MODEL")
        if verb.positional == "images":
            parser.add_argument("images", nargs=verb.least, metavar="IMAGE")
        else:
            parser.add_argument(
                verb.positional, type=Path, metavar="DIR", help="a folder, .zip or .tar"
            )
        if verb.positional != "folder":
            parser.add_argument("--folder", type=Path, metavar="DIR", help="known-good images")
        parser.add_argument("--reference", type=Path, metavar="FILE", help="of `reference build`")
        flags.add_seed(parser)
        if flags.is_called(verb.name, words):
            flags.add_method_flags(parser, _info(verb.method))
    _add_reference(commands)
    _add_why(commands, words)
    _add_trust(commands, words)
    _add_guard(commands, words)


def _add_reference(commands: Any) -> None:
    reference = commands.add_parser("reference", help="measure a model on known-good images")
    kinds = reference.add_subparsers(required=True, metavar="build")
    build = add_command(kinds, "build", _build, "measure a model on a folder of known-good images")
    add_output(build)
    build.add_argument("model", metavar="MODEL")
    build.add_argument("folder", type=Path, metavar="DIR", help="a folder, .zip or .tar")
    build.add_argument("--to", type=Path, metavar="FILE", default=Path("reference.safetensors"))


def _add_why(commands: Any, words: Sequence[str] | None) -> None:
    why = add_command(commands, "why", _why, "say whether to trust each answer, and why not")
    add_output(why)
    why.add_argument("model", metavar="MODEL")
    why.add_argument("images", nargs="+", metavar="IMAGE")
    good = why.add_mutually_exclusive_group()
    good.add_argument("--folder", type=Path, metavar="DIR", help="known-good images")
    good.add_argument("--reference", type=Path, metavar="FILE", help="of `reference build`")
    flags.add_seed(why)
    if flags.is_called("why", words):
        flags.add_method_flags(why, _info(WHY))


def _add_trust(commands: Any, words: Sequence[str] | None) -> None:
    trust = add_command(commands, "trust", _trust, "say whether an attribution can be trusted")
    add_output(trust)
    trust.add_argument("attribution", metavar="ATTRIBUTION", help="name?option=value")
    trust.add_argument("model", metavar="MODEL")
    trust.add_argument("images", nargs="+", metavar="IMAGE")
    trust.add_argument("--target", type=int, metavar="INDEX", help="class to explain")
    flags.add_seed(trust)
    if flags.is_called("trust", words):
        flags.add_method_flags(trust, _info(TRUST), without=("method",))


def _add_guard(commands: Any, words: Sequence[str] | None) -> None:
    guard = add_command(commands, "guard", _guard, "make a model that can say none of the above")
    add_output(guard)
    guard.add_argument("model", metavar="MODEL")
    guard.add_argument("folder", type=Path, metavar="DIR", help="known-good images")
    add_ood_folder(guard)
    guard.add_argument("--to", type=Path, metavar="DIR", default=Path("guard"))
    flags.add_seed(guard)
    if not flags.is_called("guard", words):
        return
    from diagnostics.methods.registry import methods

    guards = {one.info.id.removeprefix(KINDS): one.info for one in methods("guard")}
    guard.add_argument("--kind", choices=sorted(guards), default="threshold")
    kind = guard.parse_known_args(["MODEL", "DIR", *flags.values_of("--kind", words)])[0].kind
    flags.add_method_flags(guard, guards[kind])


def add_ood_folder(parser: argparse.ArgumentParser) -> None:
    """Add the flag for images of no class."""
    parser.add_argument(
        "--strangers", dest="ood_folder", type=Path, metavar="DIR", help="images of no class"
    )


def _info(method: str) -> MethodInfo:
    from diagnostics.methods.registry import find

    return find(method).info


def answer(
    arguments: argparse.Namespace, method: str, more: Mapping[str, Value] | None = None
) -> Result:
    """Return what a method answers, its options taken from the flags, see `ask`.

    Args:
        arguments: Of the command.
        method: Id of the method.
        more: Options that no flag gives.
    """
    options = {**flags.method_options(arguments, _info(method)), **(more or {})}
    return ask(arguments, method, options)


def ask(arguments: argparse.Namespace, method: str, options: Options) -> Result:
    """Open the model and return the answer about the images and folders of the command line.

    Args:
        arguments: Of the command.
        method: Id of the method, or `INSPECT`.
        options: Its options.

    Raises:
        InputError: When a file cannot be read, or an option does not fit.
    """
    given = vars(arguments)
    source, recipe = flags.source(arguments)
    images = tuple(file_at(Path(image)) for image in given.get("images", ()))
    folders = {name: given.get(name) and image_folder_at(given[name]) for name in FOLDERS}
    with closing(open_runner(arguments)) as runner:
        own = read(runner.run(Request(OPEN, source, images)).scores["model"]).preprocessing
        request = Request(
            method,
            source,
            images,
            flags.preprocessing(arguments, recipe, own),
            given.get("target"),
            given.get("against"),
            options,
            seed=given.get("seed", 0),
            folder=folders["folder"],
            ood_folder=folders["ood_folder"],
            reference=folders["reference"],
        )
        return runner.run(request)


def _measure(verb: Verb, arguments: argparse.Namespace) -> int:
    result = answer(arguments, verb.method)
    _show(arguments, verb.name, result, verb.lines(result.scores))
    return DONE


def _build(arguments: argparse.Namespace) -> int:
    result = answer(arguments, REFERENCE)
    arguments.to.parent.mkdir(parents=True, exist_ok=True)
    arguments.to.write_bytes(export.parts(result, "file"))
    written = f"written to {arguments.to}, with some of the images themselves"
    lines = [*console.reference(result.scores), written]
    _show(arguments, "reference", replace(result, arrays={}), lines)
    return DONE


def _guard(arguments: argparse.Namespace) -> int:
    """Fit a guard and unpack what ships it."""
    result = answer(arguments, KINDS + arguments.kind)
    arguments.to.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(export.parts(result, "file"))) as archive:
        archive.extractall(arguments.to)
    lines = [*console.guard(result.scores), f"written to {arguments.to}"]
    _show(arguments, "guard", replace(result, arrays={}), lines)
    return DONE


def _why(arguments: argparse.Namespace) -> int:
    """Ask why of every image; all images unreadable is bad input."""
    result = answer(arguments, WHY)
    why: WhyAnswer = result.scores
    model = short(result.scores["model"])
    good = arguments.folder or arguments.reference
    facts = {
        "Model": f"{model['name']}, sha256 {model['sha256']}",
        "Known-good images": good.name if good else "none",
    }
    written = files.write(why, result.arrays, arguments.out, facts) if arguments.out else {}
    emit(arguments, "why", files.content(why, model, written), verdicts.lines(why))
    if all(image["error"] for image in why["images"]):
        raise InputError(f"No image could be read; the first: {why['images'][0]['error']}")
    return DONE


def _trust(arguments: argparse.Namespace) -> int:
    """Evaluate an attribution's maps, and write them as arrays and pictures."""
    method = arguments.attribution
    if "/" not in method.partition("?")[0]:
        method = f"attribution/{method}"
    result = answer(arguments, TRUST, {"method": method})
    trust: TrustAnswer = result.scores
    content = {**trust, "model": short(result.scores["model"])}
    if arguments.out:
        export.write_arrays(result.arrays, arguments.out)
        for name, pixels in tables.pictures(trust, result.arrays).items():
            path = arguments.out / f"{name.replace('/', '-')}.png"
            path.write_bytes(encode_png(pixels))
    emit(arguments, "trust", content, tables.lines(trust))
    return DONE


def _show(arguments: argparse.Namespace, name: str, result: Result, lines: Sequence[str]) -> None:
    """Print the answer; with --out also write its JSON and its arrays."""
    content = {**result.scores, "model": short(result.scores["model"])}
    emit(arguments, name, content, lines)
    if arguments.out and result.arrays:
        np.savez_compressed(arguments.out / f"{name}.npz", **result.arrays)  # type: ignore[arg-type]


def short(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return what names a model, without its layers and candidates."""
    return {name: model[name] for name in ("name", "format", "architecture", "sha256", "output")}
