"""Model, classes and preprocessing as one small TOML file."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from diagnostics.errors import OptionError, RecipeError
from diagnostics.schema import toml
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import ModelSource
from diagnostics.schema.spec import stated_output
from diagnostics.text import shortened

MODEL_KEYS = ("name", "sha256", "architecture", "output", "classes", "ema")
MODEL, PREPROCESSING = "model", "preprocessing"
SHOWN = 60  # characters of what came instead


@dataclass(frozen=True)
class Recipe:
    """Everything that must be known to use a weights file.

    Args:
        name: The weights' file name.
        sha256: Hash of the weights; empty fits any.
        architecture: Id of the network; empty recognises it.
        output: What the outputs are; empty recognises it.
        class_names: One name per output; empty takes the network's own.
        preprocessing: How images become what the network receives.
        ema: Whether the moving average of the weights is taken; None where the file decides.
    """

    name: str
    sha256: str
    architecture: str
    output: str
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    ema: bool | None = None

    def source(self, model: ModelSource) -> ModelSource:
        """Return the model with what this recipe says of it.

        Raises:
            RecipeError: When the recipe is for other weights.
        """
        weights = model.file
        if self.sha256 not in ("", weights.sha256):
            raise RecipeError(
                f"The recipe is for weights with sha256 {self.sha256[:12]}…, but {weights.name} "
                f"has {weights.sha256[:12]}…; give the weights it was made for, or leave its "
                "sha256 out."
            )
        names = self.class_names or None
        return replace(
            model,
            architecture=self.architecture or None,
            class_names=names,
            output=self.output or None,
            ema=self.ema,
            height=self.preprocessing.height,
            width=self.preprocessing.width,
        )


def dumps(recipe: Recipe) -> str:
    """Return a recipe as TOML."""
    model: dict[str, Any] = {
        "name": recipe.name,
        "sha256": recipe.sha256,
        "architecture": recipe.architecture,
        "output": str(recipe.output),
        "classes": list(recipe.class_names),
    }
    if recipe.ema is not None:
        model["ema"] = recipe.ema
    settings = {
        name: value for name, value in asdict(recipe.preprocessing).items() if value is not None
    }
    lines = ["# A recipe of Oversure: which network, which classes, which preprocessing."]
    for title, table in ((MODEL, model), (PREPROCESSING, settings)):
        lines += ["", f"[{title}]", *(f"{key} = {_written(table[key])}" for key in table)]
    return "\n".join(lines) + "\n"


def loads(text: str) -> Recipe:
    """Read a recipe.

    Raises:
        RecipeError: When the text is no recipe; the sentence names what to mend.
    """
    try:
        content = toml.loads(text)
    except ValueError as error:
        raise RecipeError(f"The recipe is no TOML that is read here: {error}.") from None
    _known(content, (MODEL, PREPROCESSING), "table")
    model, settings = (_table(content, name) for name in (MODEL, PREPROCESSING))
    _known(model, MODEL_KEYS, "key of [model]")
    names = [setting.name for setting in fields(Preprocessing)]
    _known(settings, names, "key of [preprocessing]")
    classes = model.get("classes", [])
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise RecipeError("classes must be a list of names in quotes.")
    for key in MODEL_KEYS[:4]:
        if not isinstance(model.get(key, ""), str):
            raise RecipeError(f"{key} must be text in quotes; got {_shown(model[key])}.")
    name, digest, architecture, output = (str(model.get(key, "")) for key in MODEL_KEYS[:4])
    ema = model.get("ema")
    if not isinstance(ema, bool | None):
        raise RecipeError(f"ema must be true or false; got {ema!r}.")
    try:
        output = output and stated_output(output)
    except OptionError as error:
        raise RecipeError(f"In the recipe, {error.message}") from None
    settings_read = _preprocessing(settings)
    return Recipe(name, digest, architecture, output, tuple(classes), settings_read, ema)


def _preprocessing(settings: Mapping[str, Any]) -> Preprocessing:
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()
    }
    colour = values.get("colour", True)
    if not colour:
        values = {"mean": (0.0,), "std": (1.0,), **values}
    for key, value in values.items():
        kind = type(getattr(Preprocessing, key))
        if kind is bool and not isinstance(value, bool):
            raise RecipeError(f"{key} must be true or false; got {_shown(value)}.")
        if kind is tuple and not _numbers(value):
            raise RecipeError(f"{key} must be a list of numbers; got {_shown(value)}.")
    try:
        return Preprocessing(**values)
    except OptionError as error:
        raise RecipeError(f"In the recipe, {error.message}") from None
    except TypeError:
        raise RecipeError("A setting of the recipe has the wrong type.") from None


def _numbers(value: object) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(item, int | float) and not isinstance(item, bool) for item in value
    )


def _table(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise RecipeError(f"{name} must be a table, [{name}].")
    return table


def _known(content: Iterable[str], known: Iterable[str], kind: str) -> None:
    names = list(known)
    for name in content:
        if name not in names:
            close = difflib.get_close_matches(name[:SHOWN], names, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}."
            raise RecipeError(f"{_shown(name)} is no {kind}; {hint}")


def _shown(value: object) -> str:
    return shortened(repr(value), SHOWN)


def _written(value: Any) -> str:
    """Write a value as TOML: JSON's text, numbers and truth values are TOML as they are."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_written(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
