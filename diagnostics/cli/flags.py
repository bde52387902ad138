"""The command line's flags, drawn from plain data: one for each preprocessing setting."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from diagnostics.data import class_names
from diagnostics.data.samples import file_at
from diagnostics.errors import OptionError, RecipeError
from diagnostics.loaders.index import named_preprocessing
from diagnostics.schema.options import MethodInfo, Option, Value
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.presets import PRESETS
from diagnostics.schema.recipe import Recipe, loads
from diagnostics.schema.request import ENGINES, Factory, ModelSource
from diagnostics.schema.spec import Output, stated_output
from diagnostics.ui.server.settings import ServerSettings

OPTION = "option_"  # before the name of a method's option among the arguments


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say what a weights file is and how images become pixels."""
    group = parser.add_argument_group("model")
    kinds = ", ".join(kind.replace(" ", "-") for kind in Output)
    group.add_argument("--recipe", type=Path, metavar="FILE", help="a recipe, .toml")
    group.add_argument("--architecture", metavar="NAME", help="which network, see `oversure load`")
    group.add_argument(
        "--ema",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="the moving average of the weights, where a checkpoint has both; else it is taken",
    )
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
        "--engine",
        choices=ENGINES,
        default="auto",
        help="what computes passes without gradients: onnxruntime where it is faster and answers "
        "the same, or torch alone (usually auto)",
    )
    group.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="class names: .txt, .json, .csv, .yaml or a folder of folders",
    )
    group.add_argument(
        "--output",
        type=_output,
        metavar="KIND",
        help=f"what leaves the network, if not what its last operation says: {kinds}",
    )
    group.add_argument(
        "--preset",
        type=_preset,
        metavar="NAME",
        help=f"a known mean and std, {', '.join(PRESETS)}; or a network, see `oversure load`",
    )
    settings = parser.add_argument_group("preprocessing; what is not given is the model's own")
    hints = get_type_hints(Preprocessing)
    for setting in fields(Preprocessing):
        flag = f"--{setting.name.replace('_', '-')}"
        settings.add_argument(
            flag, dest=f"pipeline_{setting.name}", default=None, **_kind(hints[setting.name])
        )


def _output(name: str) -> str:
    """Return a kind of output; argparse reports what is none."""
    try:
        return stated_output(name)
    except OptionError as error:
        raise argparse.ArgumentTypeError(error.message) from None


def _preset(name: str) -> str:
    """Return a name of a preset or of a known network; argparse reports what is neither."""
    try:
        named_preprocessing(name, Preprocessing())
    except OptionError as error:
        raise argparse.ArgumentTypeError(error.message) from None
    return name


def add_server_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where the app is served, to whom, and how it is shared."""
    defaults = ServerSettings()
    group = parser.add_argument_group("serving")
    group.add_argument("--address", default=defaults.address, help="where to listen")
    group.add_argument("--port", type=int, default=defaults.port)
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
        ("--model-mib", defaults.model_mib, "largest model file"),
        ("--disk-mib", defaults.disk_mib, "what one person's files may take"),
        ("--places", defaults.places, "questions that compute at once"),
        ("--running", defaults.running, "questions of one person that compute at once"),
        ("--waiting", defaults.waiting, "questions that may wait"),
    ):
        group.add_argument(
            flag, type=int, default=value, metavar="N", help=f"{help_text} (usually {value})"
        )


def server_settings(arguments: argparse.Namespace) -> ServerSettings:
    """Return how the app is to be served.

    Raises:
        OptionError: When a number is too small.
    """
    numbers = {
        name: getattr(arguments, name)
        for name in ("model_mib", "disk_mib", "places", "running", "waiting")
    }
    for name, value in numbers.items():
        if value < 1:
            raise OptionError(f"--{name.replace('_', '-')} must be 1 or more; got {value}.")
    return ServerSettings(
        address=arguments.address,
        port=arguments.port,
        hosts=tuple(arguments.host),
        base=arguments.base_path,
        sign_in=arguments.sign_in,
        threads=1,
        engine=arguments.engine,
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


def source(arguments: argparse.Namespace) -> tuple[ModelSource, Recipe | None]:
    """Return the model that a command names, and its recipe if there is one.

    Raises:
        InputError: When a file cannot be read or the recipe is for other weights.
    """
    recipe = loads(_text(arguments.recipe)) if arguments.recipe else None
    weights = ModelSource(file_at(Path(arguments.model)), programs=arguments.torchscript)
    given = recipe.source(weights) if recipe else weights
    listed = class_names.at(arguments.classes) if arguments.classes else None
    return replace(
        given,
        architecture=arguments.architecture or given.architecture,
        ema=given.ema if arguments.ema is None else arguments.ema,
        output=arguments.output or given.output,
        height=arguments.pipeline_height or given.height,
        width=arguments.pipeline_width or given.width,
        class_names=listed.names if listed else given.class_names,
        class_names_read_as=listed.read_as if listed else given.class_names_read_as,
        factory=Factory(arguments.factory, str(Path.cwd())) if arguments.factory else None,
    ), recipe


def preprocessing(
    arguments: argparse.Namespace, recipe: Recipe | None, own: Preprocessing
) -> Preprocessing:
    """Return the settings in force: the model's own, then recipe, preset and single flags."""
    settings = recipe.preprocessing if recipe else own
    if arguments.preset:
        settings = named_preprocessing(arguments.preset, settings)
    given = {
        setting.name: _tuple(getattr(arguments, f"pipeline_{setting.name}"))
        for setting in fields(Preprocessing)
        if getattr(arguments, f"pipeline_{setting.name}") is not None
    }
    return replace(settings, **given)


def is_called(command: str, words: Sequence[str] | None) -> bool:
    """Say whether a command line calls this command; None calls every command."""
    return words is None or command == next((word for word in words if word[:1] != "-"), "")


def values_of(flag: str, words: Sequence[str] | None) -> list[str]:
    """Return a flag and its value as they stand in a command line; nothing where it is absent."""
    line = list(words or ())
    for place, word in enumerate(line):
        if word == flag:
            return line[place : place + 2]
        if word.startswith(f"{flag}="):
            return [word]
    return []


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add the flag that fixes everything random."""
    parser.add_argument("--seed", type=int, default=0, help="of everything random")


def add_method_flags(
    parser: argparse.ArgumentParser, info: MethodInfo, without: Collection[str] = ()
) -> None:
    """Add a flag for each option of a method.

    Args:
        parser: Of the command that runs it.
        info: Of the method.
        without: Options that the command gives in another way.
    """
    group = parser.add_argument_group(f"{info.title}: {info.summary.removesuffix('.')}")
    for option in info.options:
        if option.name in without:
            continue
        kind: dict[str, Any] = {"metavar": option.kind.upper()}
        if option.kind == "bool":
            kind = {"action": argparse.BooleanOptionalAction}
        elif option.kind == "choice":
            kind = {"choices": option.choices, "metavar": "NAME"}
        group.add_argument(
            f"--{option.name.replace('_', '-')}",
            dest=OPTION + option.name,
            help=_help(option),
            **kind,
        )


def method_options(arguments: argparse.Namespace, info: MethodInfo) -> dict[str, Value]:
    """Return the options of a method that the command line gives.

    Raises:
        OptionError: When a value does not fit its option.
    """
    given = {option.name: getattr(arguments, OPTION + option.name, None) for option in info.options}
    return info.read({name: str(value) for name, value in given.items() if value is not None})


def _help(option: Option) -> str:
    """Return an option's sentence with its choices or limits and its default."""
    limits = ""
    if option.choices:
        limits = ", ".join(option.choices)
    elif option.range:
        limits = f"{option.range.low:g} to {option.range.high:g} {option.range.unit}".rstrip()
    usual = "" if option.default in ("", None) else f"usually {option.default}"
    more = "; ".join(part for part in (limits, usual) if part)
    return f"{option.help} ({more})".strip().replace("%", "%%") if more else option.help


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _text(path: Path) -> str:
    file_at(path)
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise RecipeError(f"{path.name} is no recipe: expected a text file in UTF-8.") from None
