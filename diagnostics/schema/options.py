"""A method's settings as plain data, so that a form can be drawn without loading a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import urlencode

from diagnostics.errors import OptionError

Value: TypeAlias = bool | int | float | str | None
Kind: TypeAlias = Literal["map", "score", "guard", "analysis"]


@dataclass(frozen=True)
class Range:
    """Smallest and largest value an option may take, and its unit."""

    low: float
    high: float
    unit: str = ""


@dataclass(frozen=True)
class Layer:
    """Marks an option that names one of the model's layers; empty means the method's default."""


@dataclass(frozen=True)
class Choices:
    """Words an option may take that are listed by a registry instead of a `Literal`."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Option:
    """One setting of a method.

    Args:
        name: Keyword of the method's function.
        kind: "bool", "int", "float", "choice", "layer" or "text".
        default: Value used when the person says nothing.
        range: Limits of a number.
        choices: Allowed words of a choice.
        help: One sentence for the tooltip.
    """

    name: str
    kind: str
    default: Value
    range: Range | None = None
    choices: tuple[str, ...] = ()
    help: str = ""

    def read(self, text: str) -> Value:
        """Return the checked value that a person wrote as text.

        Raises:
            OptionError: When the text is no value of this option.
        """
        if self.kind == "bool":
            if text.lower() not in ("true", "false"):
                raise OptionError(f"{self.name} must be true or false; got {text!r}.")
            return text.lower() == "true"
        if self.kind in ("int", "float"):
            try:
                return self.check(float(text))
            except ValueError:
                raise OptionError(f"{self.name} must be a number; got {text!r}.") from None
        return self.check(text)

    def check(self, value: Value) -> Value:
        """Return `value` in this option's type.

        Raises:
            OptionError: When the value has another type or lies outside the range.
        """
        if self.kind == "choice" and value not in self.choices:
            raise OptionError(
                f"{self.name} must be one of {', '.join(self.choices)}; got {value!r}."
            )
        if self.kind == "bool" and not isinstance(value, bool):
            raise OptionError(f"{self.name} must be true or false; got {value!r}.")
        if self.kind in ("text", "layer") and not isinstance(value, str):
            raise OptionError(f"{self.name} must be a name; got {value!r}.")
        if self.kind in ("int", "float"):
            return self._number(value)
        return value

    def _number(self, value: Value) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise OptionError(f"{self.name} must be a number; got {value!r}.")
        if self.kind == "int" and value != int(value):
            raise OptionError(f"{self.name} must be a whole number; got {value!r}.")
        if self.range and not self.range.low <= value <= self.range.high:
            raise OptionError(
                f"{self.name} must lie between {self.range.low:g} and {self.range.high:g}"
                f"{' ' + self.range.unit if self.range.unit else ''}; got {value:g}."
            )
        return int(value) if self.kind == "int" else float(value)


@dataclass(frozen=True)
class MethodInfo:
    """What a page, the command line and the README say about a method.

    Args:
        id: "family/name", the same everywhere.
        kind: What it answers: a "map" of each image, a "score" of each image that others ask for,
            a "guard" to take along, or an "analysis" with any other answer.
        title: The name people read.
        summary: First line of the method's docstring.
        source: Paper the method comes from.
        needs: Names of the `Need`s the model must offer.
        options: The method's settings, in the order of its signature.
        expensive: Whether each image takes many forward passes.
        order: Where it stands among its kind on a page, lower first.
        explanation: What a page says after its title; empty takes the summary.
    """

    id: str
    kind: Kind
    title: str
    summary: str
    source: str
    needs: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    expensive: bool = False
    order: int = 0
    explanation: str = ""

    def read(self, texts: Mapping[str, str]) -> dict[str, Value]:
        """Return the values of options that a person wrote as text.

        Raises:
            OptionError: When an option is unknown or its text is no value of it.
        """
        return {name: self.option(name).read(text) for name, text in texts.items()}

    def check(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return every option's value: the checked one of these, the default otherwise.

        Raises:
            OptionError: When an option is unknown or its value outside the range.
        """
        checked = {name: self.option(name).check(value) for name, value in values.items()}
        return {option.name: option.default for option in self.options} | checked

    def option(self, name: str) -> Option:
        """Return the option of this name.

        Raises:
            OptionError: When there is none; the text lists those there are.
        """
        for option in self.options:
            if option.name == name:
                return option
        known = ", ".join(option.name for option in self.options) or "none"
        raise OptionError(f"{self.title} has no option {name!r}; it has {known}.")


@dataclass(frozen=True)
class MethodChoice:
    """A method, and its settings where they differ from the defaults."""

    info: MethodInfo
    options: dict[str, Value]

    @property
    def title(self) -> str:
        """The method with its settings, for people."""
        settings = ", ".join(f"{name} {value}" for name, value in self.options.items())
        return f"{self.info.title} ({settings})" if settings else self.info.title

    @property
    def text(self) -> str:
        """The method with its settings, "family/name?option=value"."""
        settings = urlencode({name: str(value) for name, value in self.options.items()})
        return f"{self.info.id}?{settings}" if settings else self.info.id


Methods: TypeAlias = Mapping[str, MethodInfo]  # by id


def read_info(content: Mapping[str, Any]) -> MethodInfo:
    """Return the method's description that JSON brought."""
    options = [
        Option(
            **{
                **option,
                "range": option["range"] and Range(**option["range"]),
                "choices": tuple(option["choices"]),
            }
        )
        for option in content["options"]
    ]
    return MethodInfo(**{**content, "needs": tuple(content["needs"]), "options": tuple(options)})
