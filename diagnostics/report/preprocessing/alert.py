"""The one line that stands on every page where the preprocessing is known to be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from diagnostics.report.preprocessing.tables import MAX_NAME_LENGTH
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.results.preprocessing import PreprocessingCheck
from diagnostics.schema.spec import Fit, ModelSpec, preprocessing_from
from diagnostics.text import shortened

MAX_NAMED = 3  # settings in the sentence
PUBLISHED_CLASSES = 1000  # of ImageNet; a network with as many has its published head
SHAPE = ("colour", "height", "width")  # what no person sets


@dataclass(frozen=True)
class Alert:
    """What is known to be wrong, and the settings that mend it."""

    sentence: str
    offer: str
    settings: Preprocessing


def of_check(check: PreprocessingCheck) -> Alert | None:
    """Return the alert of a check that found a better way; None where it found none."""
    if check["verdict"] != "wrong":
        return None
    suggested = next(one for one in check["candidates"] if one["suggested"])
    name = shortened(suggested["names"][0], MAX_NAME_LENGTH)
    settings = preprocessing_from(suggested["preprocessing"])
    return Alert(check["sentence"].partition(" These cannot")[0], f"Switch to “{name}”", settings)


def of_settings(settings: Preprocessing, spec: ModelSpec) -> Alert | None:
    """Return the alert of settings that contradict what the model's file, or its network, says.

    What was only assumed, and what a network was published for before somebody trained it anew,
    contradicts nothing.
    """
    source = _source(spec)
    if settings == spec.preprocessing or not source:
        return None
    differing = list(_differences(settings, spec.preprocessing))
    more = len(differing) - MAX_NAMED
    named = "; ".join(differing[:MAX_NAMED]) + (f"; and {more} more" if more > 0 else "")
    sentence = (
        f"The preprocessing is set otherwise than {source}, so every answer here may be wrong: "
        f"{named}."
    )
    return Alert(sentence, "Back to the model's own", spec.preprocessing)


def _source(spec: ModelSpec) -> str:
    """Say who knows how the images are prepared; empty where that is only assumed."""
    if any(one.name == "preprocessing" and one.status != "passed" for one in spec.checks):
        return ""
    chosen = [one for one in spec.candidates if one.architecture == spec.architecture]
    if not chosen:
        return ""
    if chosen[0].fit is Fit.EXACT:
        return "the model's own file says"
    if chosen[0].fit is Fit.POSITION and chosen[0].classes == PUBLISHED_CLASSES:
        return f"{spec.architecture} was published with"
    return ""


def _differences(settings: Preprocessing, own: Preprocessing) -> Iterator[str]:
    for one in fields(Preprocessing):
        now, then = getattr(settings, one.name), getattr(own, one.name)
        if now != then and one.name not in SHAPE:
            yield f"{one.name.replace('_', ' ')} {_value(now)} instead of {_value(then)}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(f"{number:.4g}" for number in value)
    return "off" if value is None else str(value)
