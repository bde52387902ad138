"""Commands that measure a model on many images: reference, score, noise, calibrate and more."""

from __future__ import annotations

import argparse
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from diagnostics.cli import flags
from diagnostics.cli.output import DONE, add_command, add_output, emit, open_runner
from diagnostics.data.folder import fingerprint
from diagnostics.data.image import encode_png
from diagnostics.data.samples import file_at
from diagnostics.report import console, export
from diagnostics.report.faithfulness import tables
from diagnostics.schema.options import Value
from diagnostics.schema.request import FOLDERS, OPEN, File, Request, Result
from diagnostics.schema.spec import read

Lines = Callable[[dict[str, Any]], list[str]]

OPTIONS = ("alpha", "draws", "family", "bins", "score")


def add(commands: Any) -> None:
    """Add the commands."""
    reference = commands.add_parser("reference", help="measure a model on known-good images")
    kinds = reference.add_subparsers(required=True, metavar="build")
    build = add_command(kinds, "build", _build, "measure a model on a folder of known-good images")
    add_output(build)
    build.add_argument("model", metavar="MODEL")
    build.add_argument("folder", type=Path, metavar="DIR", help="a folder, .zip or .tar")
    build.add_argument("--to", type=Path, metavar="FILE", default=Path("reference.safetensors"))

    score = _images(commands, "score", "ood/detect", "say how strange images are")
    score.add_argument("--alpha", type=float, default=0.05, help="share of good images flagged")
    noise = _images(commands, "noise", "noise/noise", "say what a model makes of noise", least="*")
    noise.add_argument("--draws", type=int, default=64, help="images of each family")
    _images(
        commands,
        "preprocessing",
        "preprocessing/preprocessing",
        "say whether the preprocessing fits",
        least="*",
    )
    _folder(
        commands, "calibrate", "calibration/calibration", "say whether percentages can be believed"
    )
    strangers = _folder(commands, "strangers", "ood/evaluate", "say how well scores tell them")
    strangers.add_argument("--reference", type=Path, metavar="FILE", required=True)
    depth = _folder(commands, "depth", "noise/depth", "say at which layer noise becomes a class")
    depth.add_argument("--family", default="uniform", help="family of noise")

    trust = add_command(commands, "trust", _trust, "say whether an attribution can be trusted")
    add_output(trust)
    trust.add_argument("attribution", metavar="ATTRIBUTION", help="name?option=value")
    trust.add_argument("model", metavar="MODEL")
    trust.add_argument("images", nargs="+", metavar="IMAGE")
    trust.add_argument("--target", type=int, metavar="INDEX", help="class to explain")
    trust.add_argument("--against", metavar="INDEX", help="explain the margin over this class")
    trust.add_argument("--copies", type=int, default=2, help="random networks of each kind")
    trust.add_argument("--random-maps", type=int, default=12, help="random maps to compare with")
    trust.add_argument("--seed", type=int, default=0, help="of everything random")

    guard = add_command(commands, "guard", _guard, "make a model that can say none of the above")
    add_output(guard)
    guard.add_argument("model", metavar="MODEL")
    guard.add_argument("folder", type=Path, metavar="DIR", help="known-good images")
    kinds_of_guard = ("threshold", "extra_class", "discriminator")
    guard.add_argument("--kind", choices=kinds_of_guard, default="threshold")
    guard.add_argument("--score", help="of the threshold; empty takes the usual one")
    guard.add_argument("--alpha", type=float, default=0.05, help="share of good images rejected")
    guard.add_argument("--strangers", type=Path, metavar="DIR", help="images of no class")
    guard.add_argument("--to", type=Path, metavar="DIR", default=Path("guard"))


def _images(
    commands: Any, name: str, method: str, sentence: str, *, least: str = "+"
) -> argparse.ArgumentParser:
    """Add a command about images, with a folder of known-good ones beside them."""
    made = add_command(commands, name, partial(_measure, name, method), sentence)
    add_output(made)
    made.add_argument("model", metavar="MODEL")
    made.add_argument("images", nargs=least, metavar="IMAGE")
    made.add_argument("--folder", type=Path, metavar="DIR", help="known-good images")
    made.add_argument("--reference", type=Path, metavar="FILE", help="of `reference build`")
    return made


def _folder(commands: Any, name: str, method: str, sentence: str) -> argparse.ArgumentParser:
    """Add a command about one folder of images."""
    made = add_command(commands, name, partial(_measure, name, method), sentence)
    add_output(made)
    made.add_argument("model", metavar="MODEL")
    kind = "strangers" if name == "strangers" else "folder"
    made.add_argument(kind, type=Path, metavar="DIR", help="a folder, .zip or .tar")
    return made


def folder_at(path: Path) -> File:
    """Return a folder or archive of images with its hash.

    Raises:
        InputError: When there is none.
    """
    if path.is_dir():
        return File(str(path.resolve()), fingerprint(path), path.resolve().name)
    return file_at(path)


def ask(
    asked: argparse.Namespace,
    method: str,
    without: Sequence[str] = (),
    more: Mapping[str, Value] | None = None,
) -> Result:
    """Return the answer to a question about the images and folders of the command line.

    Args:
        asked: The command line.
        method: Id of the method.
        without: Options of the command line that the method does not have.
        more: Options that stand nowhere else.

    Raises:
        InputError: When a file cannot be read.
    """
    source, recipe = flags.source(asked)
    given = vars(asked)
    images = tuple(file_at(Path(image)) for image in given.get("images", ()))

    def folder(name: str) -> File | None:
        return folder_at(given[name]) if given.get(name) else None

    options = {
        name: given[name] for name in OPTIONS if given.get(name) is not None and name not in without
    }
    options |= more or {}
    target, seed = given.get("target"), given.get("seed", 0)
    with closing(open_runner(asked)) as runner:
        own = read(runner.run(Request(OPEN, source, images)).scores["model"]).preprocessing
        settings = flags.preprocessing(asked, recipe, own)
        request = Request(method, source, images, settings, target, options=options, seed=seed)
        known, strange, reference = (folder(name) for name in FOLDERS)
        return runner.run(replace(request, folder=known, ood_folder=strange, reference=reference))


def _measure(name: str, method: str, asked: argparse.Namespace) -> int:
    result = ask(asked, method)
    lines: Lines = getattr(console, name)
    _show(asked, name, result, lines(dict(result.scores)))
    return DONE


def _build(asked: argparse.Namespace) -> int:
    result = ask(asked, "ood/fit_reference")
    asked.to.parent.mkdir(parents=True, exist_ok=True)
    asked.to.write_bytes(export.parts(result, "file"))
    lines = [*console.reference(dict(result.scores)), f"written to {asked.to}"]
    _show(asked, "reference", replace(result, arrays={}), lines)
    return DONE


def _guard(asked: argparse.Namespace) -> int:
    """Fit a guard and unpack what ships it."""
    without = () if asked.kind == "threshold" else ("score",)
    result = ask(asked, f"guard/{asked.kind}", without)
    asked.to.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(export.parts(result, "file"))) as archive:
        archive.extractall(asked.to)
    lines = [*console.guard(dict(result.scores)), f"written to {asked.to}"]
    _show(asked, "guard", replace(result, arrays={}), lines)
    return DONE


def _trust(asked: argparse.Namespace) -> int:
    """Examine an attribution's maps, and write them as arrays and pictures."""
    written = asked.attribution
    options: dict[str, Value] = {
        "method": written if "/" in written.partition("?")[0] else f"attribution/{written}",
        "against": asked.against or "",
        "copies": asked.copies,
        "random_maps": asked.random_maps,
    }
    result = ask(asked, "faithfulness/trust", more=options)
    content = {**result.scores, "model": short(result.scores["model"])}
    if asked.out:
        export.write_arrays(result.arrays, asked.out)
        for name, pixels in tables.drawn(result).items():
            (asked.out / f"{name.replace('/', '-')}.png").write_bytes(encode_png(pixels))
    emit(asked, "trust", content, tables.lines(content))
    return DONE


def _show(asked: argparse.Namespace, name: str, result: Result, lines: Sequence[str]) -> None:
    """Print the answer; with --out also write its JSON and its arrays."""
    content = {**result.scores, "model": short(result.scores["model"])}
    emit(asked, name, content, lines)
    if asked.out and result.arrays:
        np.savez_compressed(asked.out / f"{name}.npz", **result.arrays)  # type: ignore[arg-type]


def short(model: dict[str, Any]) -> dict[str, Any]:
    """Return what names a model, without its layers and candidates."""
    return {name: model[name] for name in ("name", "format", "architecture", "sha256", "output")}
