"""Noise in sentences and tables: how confident a model is of it, and as which class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from diagnostics.metrics.intervals import clustered
from diagnostics.report.chart import MAX_DECADES, Values
from diagnostics.report.formatting import interval
from diagnostics.report.table import Table
from diagnostics.schema.results.noise import NoiseAnswer, NoiseFamily
from diagnostics.text import probability, shortened, signed

Flags: TypeAlias = NDArray[np.bool_]
Numbers: TypeAlias = NDArray[np.int64]

REAL, YOURS, BLANK = "real", "yours", "constant"
OTHERS = -1  # stands for all classes that have no column of their own
MAX_COLUMNS = 14
PERSON = "Gaussian"  # keeps its capital
REAL_PERCENT = 95  # of the real images, at least, are as confident as the level
NEARLY_ONE = 0.995
MIN_LABELLED = 20  # of `find_sink`
USUAL = "A healthy network too calls most noise one class, the one it looks most like to it."
GREY_NAMES = {0: "Black", 128: "mid grey", 255: "white"}


@dataclass(frozen=True)
class RealLevel:
    """The confidence that nearly all real images reach.

    Args:
        confidence: 0 to 1.
        one_minus_p: 1 − confidence, exact.
        reached_by: Which real images reach it, in words.
    """

    confidence: float
    one_minus_p: float
    reached_by: str

    @property
    def text(self) -> str:
        """The confidence as people read it."""
        return probability(self.confidence, self.one_minus_p)


def ordered(families: Sequence[NoiseFamily]) -> list[NoiseFamily]:
    """Return what has finite answers, in the order of its rows: real images first, then noise."""
    order = {REAL: 0, YOURS: 1}
    finite = (family for family in families if family["n"])
    return sorted(finite, key=lambda family: order.get(family["family"], 2))


def noise(families: Sequence[NoiseFamily]) -> list[NoiseFamily]:
    """Return what has finite answers and is no real image."""
    return [family for family in ordered(families) if family["family"] != REAL]


def real_level(families: Sequence[NoiseFamily]) -> RealLevel | None:
    """Return the confidence that nearly all real images reach, None where there are none."""
    real = next((family for family in ordered(families) if family["family"] == REAL), None)
    if real is None:
        return None
    n = real["n"]
    least_confident_first = np.argsort(-np.asarray(real["one_minus_p"]), kind="stable")
    index = int(least_confident_first[n * (100 - REAL_PERCENT) // 100])
    reached_by = f"{REAL_PERCENT} % of the {n} real images"
    if n * (100 - REAL_PERCENT) < 100:
        reached_by = f"all {n} real images" if n > 1 else "the one real image"
    return RealLevel(real["confidence"][index], real["one_minus_p"][index], reached_by)


def reaching(family: NoiseFamily, level: RealLevel) -> Flags:
    """Return which images of a family are as confident as the level of the real ones, or more."""
    flags: Flags = np.asarray(family["one_minus_p"]) <= level.one_minus_p
    return flags


def family_rate(family: NoiseFamily, hits: Flags) -> str:
    """Return "18 of 20 (70–97 %)"; the interval counts source images, where draws share them."""
    ends = clustered(hits, source_of(family))
    return f"{int(hits.sum())} of {family['n']} ({interval(*ends)})"


def source_of(family: NoiseFamily) -> Numbers:
    """Return which source image each draw was made from, or its own number for none."""
    number = np.asarray(family["number"], np.int64)
    return number % family["sources"] if family["sources"] else number


def headline(families: Sequence[NoiseFamily], classes: Sequence[str]) -> str:
    """Say how far noise gets."""
    all_noise, level = noise(families), real_level(families)
    if not all_noise:
        return "No answer to noise is finite."
    top = min(all_noise, key=lambda family: min(family["one_minus_p"]))
    index = int(np.argmin(top["one_minus_p"]))
    confidence = probability(top["confidence"][index], top["one_minus_p"][index])
    name = shortened(classes[top["predicted"][index]])
    most_confident = f"The surest answer to noise is {name}, {confidence} ({_in_sentence(top)})."
    if level is None:
        return f"{most_confident} No real images are there to compare it with."

    def least_rate(family: NoiseFamily) -> float:
        return clustered(reaching(family, level), source_of(family))[0]

    nearest = max(all_noise, key=least_rate)
    hits = reaching(nearest, level)
    real = f"as of {level.reached_by} ({level.text} or more)"
    if not hits.any():
        return f"The model is as sure of no image of noise {real}. {most_confident}"
    return (
        f"{nearest['title']}: the model is as sure of {family_rate(nearest, hits)} {real}. "
        f"{most_confident}"
    )


def not_finite(families: Sequence[NoiseFamily]) -> str:
    """Say how many answers are not finite; empty where all are."""
    left_out = [
        f"{family['not_finite']} of {_in_sentence(family)}"
        for family in families
        if family["not_finite"]
    ]
    if not left_out:
        return ""
    return f"Answers that are not finite are left out: {', '.join(left_out)}."


def numbers(families: Sequence[NoiseFamily], classes: Sequence[str]) -> Table:
    """Return every family's confidence, most frequent class and evenness."""
    level = real_level(families)
    rows = []
    for family in ordered(families):
        mean, top = family["mean_confidence"], int(np.argmin(family["one_minus_p"]))
        rows.append(
            {
                "images": family["title"],
                "n": _counted_draws(family),
                "mean confidence (95 % band)": f"{100 * mean['value']:.1f} % "
                f"({interval(mean['low'], mean['high'])})",
                "surest": probability(family["confidence"][top], family["one_minus_p"][top]),
                "as sure as real images": family_rate(family, reaching(family, level))
                if level
                else "",
                "said most": f"{classes[family['majority_class']['index']]}: "
                f"{majority_rate(family)}",
                "evenness, 0 to 1": evenness(family["entropy"], family["n"], len(classes)),
                "what it is": family["description"],
            }
        )
    note = "Each mark is one image; grey strokes are medians."
    if level:
        note += (
            f" The dashed line is {level.text}: the model is so sure, or surer, of "
            f"{level.reached_by}."
        )
    if any(min(family["one_minus_p"]) < 10.0**-MAX_DECADES for family in ordered(families)):
        note += f" What is surer than 1 − 1e-{MAX_DECADES} stands at the end of the axis."
    return Table(tuple(rows), title="What the model says of noise", caption=note)


def majority_rate(family: NoiseFamily) -> str:
    """Return how often the most frequent class was predicted, with its 95 % interval."""
    return family_rate(family, np.asarray(family["predicted"]) == family["majority_class"]["index"])


def evenness(entropy: float, n: int, classes: int) -> str:
    """Return how evenly n answers are spread over the classes, and the most that n can reach."""
    used = min(n, classes)
    per_class, remainder = divmod(n, used)
    shares = np.array([per_class + 1] * remainder + [per_class] * (used - remainder)) / n
    limit = -(shares * np.log(shares)).sum() / np.log(max(classes, 2))
    text = f"{entropy:.2f}"
    return text if limit > NEARLY_ONE else f"{text} (at most {limit:.2f})"


def counts(family: NoiseFamily, classes: int) -> Values:
    """Return how often each class was predicted, shape (classes,)."""
    by_class: Values = np.bincount(family["predicted"], minlength=classes).astype(np.float64)
    return by_class


def columns(families: Sequence[NoiseFamily], classes: int) -> list[int]:
    """Return the classes that noise is most often taken for, and `OTHERS` where any are left."""
    total = np.zeros(classes)
    for family in _drawn(families):
        total += counts(family, classes) / family["n"]
    order = np.argsort(-total, kind="stable").tolist()
    frequent = [index for index in order if total[index] > 0][:MAX_COLUMNS]
    return frequent if len(frequent) == classes else [*frequent, OTHERS]


def percentages(family: NoiseFamily, shown: Sequence[int]) -> list[float]:
    """Return which share of a family was taken for each of the `columns`, in percent."""
    return [100 * float(in_column(family, index, shown).mean()) for index in shown]


def in_column(family: NoiseFamily, index: int, shown: Sequence[int]) -> Flags:
    """Return which images of a family were taken for the class of one of the `columns`."""
    predicted = np.asarray(family["predicted"])
    flags: Flags = ~np.isin(predicted, shown) if index == OTHERS else predicted == index
    return flags


def column_name(index: int, shown: Sequence[int], classes: Sequence[str]) -> str:
    """Return what stands under a column."""
    if index != OTHERS:
        return classes[index]
    return f"{len(classes) - len(shown) + 1} others"


def share_numbers(families: Sequence[NoiseFamily], classes: Sequence[str]) -> Table:
    """Return how often every family was taken for each class, the most frequent first."""
    shown = columns(families, len(classes))
    rows = []
    for family in ordered(families):
        row = {
            "images": family["title"],
            "n": _counted_draws(family),
            "evenness": evenness(family["entropy"], family["n"], len(classes)),
        }
        for index in shown:
            hits = in_column(family, index, shown)
            ends = interval(*clustered(hits, source_of(family)))
            row[column_name(index, shown, classes)] = f"{100 * hits.mean():.0f} % ({ends})"
        rows.append(row)
    note = (
        "Evenness is the entropy of the answers divided by its largest value: 0, always the same "
        "class; 1, all classes alike. Fewer images than classes cannot reach 1; what they can "
        "reach is said."
    )
    return Table(tuple(rows), title="Share of each class, with its 95 % interval", caption=note)


def sink(answer: NoiseAnswer) -> str:
    """Say whether a class is a sink, and what proves it or is missing."""
    found = answer["sink"]
    if found is None:
        return ""
    name, share = shortened(answer["classes"][found["index"]]), f"{100 * found['share']:.0f} %"
    offset, without = found["offset"], found["share_without"]
    if offset is None or without is None:
        return (
            f"{name} gets {share} of the noise. Whether it is a sink can't be told: the last layer "
            f"of this model is not known, so give a folder with {MIN_LABELLED} labelled images."
        )
    means = (
        "the labels of the real images show"
        if found["offset_from"] == "labels"
        else ("the bias of the last layer shows")
    )
    if found["verdict"] == "sink":
        return (
            f"{name} is a sink: whatever the image is, the model adds {signed(offset)} to its "
            f"logit beyond the others, as {means}. Without that it gets "
            f"{100 * without:.0f} % of the noise instead of {share}."
        )
    return (
        f"{name} gets {share} of the noise, but is no sink that can be shown: the model adds "
        f"{signed(offset)} to its logit whatever the image is, as {means}, and without that "
        f"{100 * without:.0f} % of the noise is still called so. {USUAL}"
    )


def majority_classes(families: Sequence[NoiseFamily], classes: Sequence[str]) -> str:
    """Say which class each kind of noise becomes most often."""
    by_class: dict[int, list[str]] = {}
    for family in _drawn(families):
        text = f"{_in_sentence(family)} {majority_rate(family)}"
        by_class.setdefault(family["majority_class"]["index"], []).append(text)
    order = sorted(by_class.items(), key=lambda item: -len(item[1]))
    return " ".join(
        f"Said most often: {shortened(classes[index])}, of {'; '.join(texts)}."
        for index, texts in order
    )


def blanks(families: Sequence[NoiseFamily]) -> NoiseFamily | None:
    """Return the family of blank images, if any answer to them is finite."""
    return next((family for family in ordered(families) if family["family"] == BLANK), None)


def by_level(family: NoiseFamily, levels: Sequence[int]) -> list[int]:
    """Return the indices of blank images in the order of their grey levels."""
    return sorted(range(family["n"]), key=lambda index: levels[family["number"][index]])


def blank_numbers(family: NoiseFamily, levels: Sequence[int], classes: Sequence[str]) -> Table:
    """Return what was predicted for each blank image, black first."""
    rows = tuple(
        {
            "grey level": str(levels[family["number"][index]]),
            "said": classes[family["predicted"][index]],
            "confidence": probability(family["confidence"][index], family["one_minus_p"][index]),
        }
        for index in by_level(family, levels)
    )
    parts = [
        f"{GREY_NAMES[int(row['grey level'])]}: {row['said']}, {row['confidence']}"
        for row in rows
        if int(row["grey level"]) in GREY_NAMES
    ]
    note = (
        f"{'; '.join(parts)}. A class is written in the middle of the levels that get it, where "
        "there is room."
    )
    return Table(rows, title="What the model says of blank images", caption=note)


def most_confident(
    family: NoiseFamily, count: int, predicted: int | None = None, shown: Sequence[int] = ()
) -> list[int]:
    """Return the numbers of a family's most confident images.

    Args:
        family: The family.
        count: How many at most.
        predicted: Only of images that were taken for this class; `OTHERS` for none of `shown`.
        shown: The classes that have a column of their own.
    """
    order = np.argsort(np.asarray(family["one_minus_p"]), kind="stable").tolist()
    chosen = [
        family["number"][index]
        for index in order
        if predicted is None
        or family["predicted"][index] == predicted
        or (predicted == OTHERS and family["predicted"][index] not in shown)
    ]
    return chosen[:count]


def _counted_draws(family: NoiseFamily) -> str:
    """Return how many images there are, and of how many source images where these are fewer."""
    sources = family["sources"]
    return f"{family['n']} of {sources} images" if 0 < sources < family["n"] else str(family["n"])


def _drawn(families: Sequence[NoiseFamily]) -> list[NoiseFamily]:
    """Return the noise that was drawn here; a person's own is too little to count."""
    return [family for family in noise(families) if family["family"] != YOURS]


def _in_sentence(family: NoiseFamily) -> str:
    """Return a family's title as it stands within a sentence."""
    title = family["title"]
    return title if title.startswith(PERSON) else f"{title[0].lower()}{title[1:]}"
