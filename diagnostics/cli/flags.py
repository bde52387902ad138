"""The command line's flags, drawn from plain data: one for each preprocessing setting."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from diagnostics.data import class_names
from diagnostics.data.samples import file_at
from diagnostics.errors import OptionError, RecipeError
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.presets import PRESETS
from diagnostics.schema.recipe import Recipe, loads
from diagnostics.schema.request import Factory, ModelSource
from diagnostics.ui.server.settings import Serving


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say what a weights file is and how images become pixels."""
    group = parser.add_argument_group("model")
    group.add_argument("--recipe", type=Path, metavar="FILE", help="a recipe, .toml")
    group.add_argument("--architecture", metavar="NAME", help="which network, see `oversure load`")
    group.add_argument(
        "--factory",
        metavar="PACKAGE.MODULE:FUNCTION",
        help="a function of yours that returns the network; it runs on this machine",
    )
    group.add_argument(
        "--torchscript",
        action="store_true",
        help="run TorchScript programs too, where the sandbox is strict",
    )
    group.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="class names: .txt, .json, .csv or a folder of folders",
    )
    group.add_argument("--preset", choices=sorted(PRESETS), help="a known mean and std")
    settings = parser.add_argument_group("preprocessing; what is not given is the model's own")
    hints = get_type_hints(Preprocessing)
    for setting in fields(Preprocessing):
        flag = f"--{setting.name.replace('_', '-')}"
        settings.add_argument(
            flag, dest=f"pipeline_{setting.name}", default=None, **_kind(hints[setting.name])
        )


def add_serving_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where the app is served, to whom, and how it is shared."""
    usual = Serving()
    group = parser.add_argument_group("serving")
    group.add_argument("--address", default=usual.address, help="where to listen")
    group.add_argument("--port", type=int, default=usual.port)
    group.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name under which browsers reach it; may be given several times",
    )
    group.add_argument("--base-path", default="", metavar="PATH", help="path that a proxy adds")
    group.add_argument(
        "--sign-in",
        type=Path,
        metavar="FILE",
        help="let only those in who sign in; the file is a secrets.toml of Streamlit with [auth]",
    )
    for flag, value, help_text in (
        ("--model-mib", usual.model_mib, "largest model file"),
        ("--disk-mib", usual.disk_mib, "what one person's files may take"),
        ("--places", usual.places, "questions that compute at once"),
        ("--running", usual.running, "questions of one person that compute at once"),
        ("--waiting", usual.waiting, "questions that may wait"),
    ):
        group.add_argument(
            flag, type=int, default=value, metavar="N", help=f"{help_text} (usually {value})"
        )


def serving(asked: argparse.Namespace) -> Serving:
    """Return how the app is to be served.

    Raises:
        OptionError: When a number is too small.
    """
    numbers = {
        name: getattr(asked, name)
        for name in ("model_mib", "disk_mib", "places", "running", "waiting")
    }
    for name, value in numbers.items():
        if value < 1:
            raise OptionError(f"--{name.replace('_', '-')} must be 1 or more; got {value}.")
    return Serving(
        address=asked.address,
        port=asked.port,
        hosts=tuple(asked.host),
        base=asked.base_path,
        sign_in=asked.sign_in,
        threads=1,
        **numbers,
    )


def _kind(hint: Any) -> dict[str, Any]:
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if get_origin(hint) is Literal:
        words = get_args(hint)
        return {"choices": words, "type": type(words[0])}
    if get_origin(hint) is tuple:
        return {"type": float, "nargs": "+", "metavar": "VALUE"}
    return {"type": int if hint is int else float, "metavar": "VALUE"}


def source(asked: argparse.Namespace) -> tuple[ModelSource, Recipe | None]:
    """Return the model that a command names, and its recipe if there is one.

    Raises:
        InputError: When a file cannot be read or the recipe is for other weights.
    """
    recipe = loads(_text(asked.recipe)) if asked.recipe else None
    weights = ModelSource(file_at(Path(asked.model)), programs=asked.torchscript)
    given = recipe.source(weights) if recipe else weights
    return replace(
        given,
        architecture=asked.architecture or given.architecture,
        class_names=class_names.at(asked.classes) if asked.classes else given.class_names,
        factory=Factory(asked.factory, str(Path.cwd())) if asked.factory else None,
    ), recipe


def preprocessing(
    asked: argparse.Namespace, recipe: Recipe | None, own: Preprocessing
) -> Preprocessing:
    """Return the settings in force: the model's own, then recipe, preset and single flags."""
    settings = recipe.preprocessing if recipe else own
    if asked.preset:
        settings = PRESETS[asked.preset].applied_to(settings)
    given = {
        setting.name: _tuple(getattr(asked, f"pipeline_{setting.name}"))
        for setting in fields(Preprocessing)
        if getattr(asked, f"pipeline_{setting.name}") is not None
    }
    return replace(settings, **given)


def method_options(written: Sequence[str]) -> dict[str, str]:
    """Return the settings of a method written as NAME=VALUE.

    Raises:
        OptionError: When one has no equals sign.
    """
    for text in written:
        if "=" not in text:
            raise OptionError(f"An option is written NAME=VALUE; got {text!r}.")
    return dict(text.split("=", 1) for text in written)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _text(path: Path) -> str:
    file_at(path)
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise RecipeError(f"{path.name} is no recipe: expected a text file in UTF-8.") from None
