"""What a model says of noise, in sentences and numbers: how far it gets, and as which class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diagnostics.metrics.intervals import wilson
from diagnostics.report.chart import MAX_DECADES, Values
from diagnostics.report.formatting import interval, rate
from diagnostics.report.table import Table
from diagnostics.text import probability, shortened

Entry = Mapping[str, Any]
Said = Sequence[Entry]

REAL, YOURS, BLANK = "real", "yours", "constant"
OTHERS = -1  # stands for all classes that have no column of their own
COLUMNS = 14
PERSON = "Gaussian"  # keeps its capital
PASS_PERCENT = 95  # of the real images, at least, are as sure as the level
NEARLY_ONE = 0.995


def lanes(found: Said) -> list[Entry]:
    """Return what has finite answers, in the order of its rows: real images first, then noise."""
    order = {REAL: 0, YOURS: 1}
    return sorted((one for one in found if one["n"]), key=lambda one: order.get(one["family"], 2))


def noise(found: Said) -> list[Entry]:
    """Return what has finite answers and is no real image."""
    return [one for one in lanes(found) if one["family"] != REAL]


def level(found: Said) -> Entry | None:
    """Return the confidence that nearly all real images reach, with the distance from one."""
    real = next((one for one in lanes(found) if one["family"] == REAL), None)
    if real is None:
        return None
    n = real["n"]
    least_sure_first = np.argsort(-np.asarray(real["one_minus_p"]), kind="stable")
    at = int(least_sure_first[n * (100 - PASS_PERCENT) // 100])
    whom = f"{PASS_PERCENT} % of the {n} real images"
    if n * (100 - PASS_PERCENT) < 100:
        whom = f"all {n} real images" if n > 1 else "the one real image"
    return {
        "confidence": real["confidence"][at],
        "one_minus_p": real["one_minus_p"][at],
        "whom": whom,
    }


def reach(one: Entry, limit: Entry) -> int:
    """Count the images of a family that are as sure as the level of the real ones, or surer."""
    return int((np.asarray(one["one_minus_p"]) <= limit["one_minus_p"]).sum())


def headline(found: Said, classes: Sequence[str]) -> str:
    """Say how far noise gets."""
    told, limit = noise(found), level(found)
    if not told:
        return "No answer to noise is finite."
    top = min(told, key=lambda one: min(one["one_minus_p"]))
    place = int(np.argmin(top["one_minus_p"]))
    sure = probability(top["confidence"][place], top["one_minus_p"][place])
    name = shortened(classes[top["said"][place]])
    surest_one = f"The surest answer to noise is {name}, {sure} ({_plain(top)})."
    if limit is None:
        return f"{surest_one} No real images are there to compare it with."
    most = max(told, key=lambda one: wilson(reach(one, limit), one["n"])[0])
    hits, n = reach(most, limit), most["n"]
    at = probability(limit["confidence"], limit["one_minus_p"])
    real = f"as of {limit['whom']} ({at} or more)"
    if not hits:
        return f"The model is as sure of no image of noise {real}. {surest_one}"
    return f"{most['title']}: the model is as sure of {rate(hits, n)} {real}. {surest_one}"


def not_finite(found: Said) -> str:
    """Say how many answers are not finite; empty where all are."""
    lost = [f"{one['not_finite']} of {_plain(one)}" for one in found if one["not_finite"]]
    return f"Answers that are not finite are left out: {', '.join(lost)}." if lost else ""


def numbers(found: Said, classes: Sequence[str]) -> Table:
    """Return every family's confidence, most frequent class and evenness."""
    limit = level(found)
    rows = []
    for one in lanes(found):
        mean, top = one["mean_confidence"], int(np.argmin(one["one_minus_p"]))
        rows.append(
            {
                "images": one["title"],
                "n": str(one["n"]),
                "mean confidence (95 % band)": f"{100 * mean['value']:.1f} % "
                f"({interval(mean['low'], mean['high'])})",
                "surest": probability(one["confidence"][top], one["one_minus_p"][top]),
                "as sure as real images": rate(reach(one, limit), one["n"]) if limit else "",
                "said most": f"{classes[one['sink']['index']]}: {sink(one)}",
                "evenness, 0 to 1": evenness(one, len(classes)),
                "what it is": one["about"],
            }
        )
    said = "Each mark is one image; grey strokes are medians."
    if limit:
        at = probability(limit["confidence"], limit["one_minus_p"])
        said += f" The dashed line is {at}: the model is so sure, or surer, of {limit['whom']}."
    if any(min(one["one_minus_p"]) < 10.0**-MAX_DECADES for one in lanes(found)):
        said += f" What is surer than 1 − 1e-{MAX_DECADES} stands at the end of the axis."
    return Table(tuple(rows), title="What the model says of noise", said=said)


def sink(one: Entry) -> str:
    """Return how often the most frequent class was said, with its 95 % interval."""
    return rate(round(one["sink"]["share"] * one["n"]), one["n"])


def evenness(one: Entry, classes: int) -> str:
    """Return how evenly a family's answers are spread, and the most that so many can reach."""
    most = min(one["n"], classes)
    whole, more = divmod(one["n"], most)
    each = np.array([whole + 1] * more + [whole] * (most - more)) / one["n"]
    limit = -(each * np.log(each)).sum() / np.log(max(classes, 2))
    said = f"{one['entropy']:.2f}"
    return said if limit > NEARLY_ONE else f"{said} (at most {limit:.2f})"


def counts(one: Entry, classes: int) -> Values:
    """Return how often each class was said, shape (classes,)."""
    found: Values = np.bincount(one["said"], minlength=classes).astype(np.float64)
    return found


def swallowing(found: Said, classes: int) -> list[int]:
    """Return the classes that noise is most often taken for, and `OTHERS` where any are left."""
    total = np.zeros(classes)
    for one in _drawn(found):
        total += counts(one, classes) / one["n"]
    order = np.argsort(-total, kind="stable").tolist()
    taken = [one for one in order if total[one] > 0][:COLUMNS]
    return taken if len(taken) == classes else [*taken, OTHERS]


def shares(one: Entry, columns: Sequence[int], classes: int) -> list[float]:
    """Return which share of a family was taken for each column's class, in percent."""
    counted = counts(one, classes)
    named = [column for column in columns if column != OTHERS]
    left = counted.sum() - counted[named].sum()
    return [
        100 * float(left if column == OTHERS else counted[column]) / one["n"] for column in columns
    ]


def column(name: int, columns: Sequence[int], classes: Sequence[str]) -> str:
    """Return what stands under a column."""
    if name != OTHERS:
        return classes[name]
    return f"{len(classes) - len(columns) + 1} others"


def share_numbers(found: Said, classes: Sequence[str]) -> Table:
    """Return how often every family was taken for each class, the most frequent first."""
    columns = swallowing(found, len(classes))
    rows = []
    for one in lanes(found):
        row = {"images": one["title"], "n": str(one["n"]), "evenness": evenness(one, len(classes))}
        for name, share in zip(columns, shares(one, columns, len(classes)), strict=True):
            hits = round(share * one["n"] / 100)
            row[column(name, columns, classes)] = (
                f"{share:.0f} % ({interval(*wilson(hits, one['n']))})"
            )
        rows.append(row)
    said = (
        "Evenness is the entropy of the answers divided by its largest value: 0, always the same "
        "class; 1, all classes alike. Fewer images than classes cannot reach 1; what they can "
        "reach is said."
    )
    return Table(tuple(rows), title="Share of each class, with its 95 % interval", said=said)


def sinks(found: Said, classes: Sequence[str]) -> str:
    """Say which classes swallow a kind of noise, or that none does."""
    told = _drawn(found)
    swallowed = [one for one in told if one["sink"]["is_sink"]]
    if swallowed:
        return " ".join(
            f"{shortened(classes[one['sink']['index']])} swallows {_plain(one)}: {sink(one)}."
            for one in swallowed
        )
    if not told:
        return ""
    top = max(told, key=lambda one: one["sink"]["share"])
    name = shortened(classes[top["sink"]["index"]])
    return (
        f"No class swallows any kind of noise; the most is {sink(top)} of {_plain(top)}, "
        f"taken for {name}."
    )


def blanks(found: Said) -> Entry | None:
    """Return the family of blank images, if any answer to them is finite."""
    return next((one for one in lanes(found) if one["family"] == BLANK), None)


def by_level(one: Entry, levels: Sequence[int]) -> list[int]:
    """Return the places of blank images in the order of their grey levels."""
    return sorted(range(one["n"]), key=lambda place: levels[one["number"][place]])


def blank_numbers(one: Entry, levels: Sequence[int], classes: Sequence[str]) -> Table:
    """Return what was said of each blank image, black first."""
    rows = tuple(
        {
            "grey level": str(levels[one["number"][place]]),
            "said": classes[one["said"][place]],
            "confidence": probability(one["confidence"][place], one["one_minus_p"][place]),
        }
        for place in by_level(one, levels)
    )
    named = {"0": "Black", "128": "mid grey", "255": "white"}
    parts = [
        f"{named[row['grey level']]}: {row['said']}, {row['confidence']}"
        for row in rows
        if row["grey level"] in named
    ]
    said = (
        f"{'; '.join(parts)}. A class is written in the middle of the levels that get it, where "
        "there is room."
    )
    return Table(rows, title="What the model says of blank images", said=said)


def surest(
    one: Entry, most: int, said: int | None = None, columns: Sequence[int] = ()
) -> list[int]:
    """Return the numbers of a family's most confident images.

    Args:
        one: The family.
        most: How many at most.
        said: Only of images that were taken for this class; `OTHERS` for none of the columns.
        columns: The classes that have a column of their own.
    """
    order = np.argsort(np.asarray(one["one_minus_p"]), kind="stable").tolist()
    kept = [
        one["number"][place]
        for place in order
        if said is None
        or one["said"][place] == said
        or (said == OTHERS and one["said"][place] not in columns)
    ]
    return kept[:most]


def _drawn(found: Said) -> list[Entry]:
    """Return the noise that was drawn here; a person's own is too little to count."""
    return [one for one in noise(found) if one["family"] != YOURS]


def _plain(one: Entry) -> str:
    title: str = one["title"]
    if title.startswith(PERSON):
        return title
    return f"{title[0].lower()}{title[1:]}"
