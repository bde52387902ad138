"""Whether percentages can be believed, in sentences and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diagnostics.metrics.intervals import wilson
from diagnostics.report.calibration.charts import worst_first
from diagnostics.report.formatting import interval, rate
from diagnostics.report.table import Cell, Table
from diagnostics.text import counted, number, probability, shortened

Entry = Mapping[str, Any]

VERDICTS = {
    "too sure": "The model is surer than it is right.",
    "not sure enough": "The model is right more often than it says.",
    "uneven": "The percentages are right on average, but not at every confidence.",
    "fits": "The percentages fit: no difference was found.",
    "can't tell": "Too few images to tell whether the percentages fit.",
}
NOISE = (
    "A temperature by itself never makes noise look uncertain. It divides all logits by one "
    "number, for noise and real images alike: noise whose logits lie as far apart as a real "
    "image's stays as sure as that image."
)
AFTER = ("ece", "brier", "nll")
MEANINGS = {
    "ece": (
        "Calibration error (ECE)",
        "Mean distance between confidence and accuracy, in bins of equal width. 0 to 1; higher is "
        "worse.",
    ),
    "adaptive_ece": (
        "Adaptive error",
        "The same in bins that hold equally many images. 0 to 1; higher is worse.",
    ),
    "classwise_ece": (
        "Classwise error",
        "The same for the percentages of every class, not of the top one alone; mean over the "
        "classes. 0 to 1; higher is worse.",
    ),
    "brier": (
        "Brier score",
        "Squared distance between all percentages and the truth. 0 to 2; higher is worse.",
    ),
    "nll": (
        "Negative log-likelihood",
        "How surprised the model is by the true class, in nats; one mistake made in full "
        "confidence weighs heavily. From 0; higher is worse.",
    ),
}


def verdict(said: Entry) -> str:
    """Say whether the percentages can be believed."""
    return VERDICTS[str(said["verdict"])]


def measures(said: Entry) -> dict[str, list[Cell]]:
    """Return every measure with its band, what it means, and which way is worse, in pairs."""
    accuracy = said["accuracy"]
    first = Cell(
        title="Accuracy",
        answer=f"{100 * accuracy['value']:.1f} %",
        notes=(
            f"{rate(accuracy['hits'], said['n'])} right",
            "How often the top class is the true one; lower is worse. Mean confidence: "
            f"{100 * said['confidence']:.1f} %.",
        ),
    )
    cells = [first] + [
        Cell(
            title=title,
            hover=title,
            answer=number(said[name]["value"]),
            notes=(f"95 % band {_band(said[name])}", meaning),
        )
        for name, (title, meaning) in MEANINGS.items()
    ]
    return {"accuracy": cells[:2], "errors": cells[2:4], "scores": cells[4:]}


def after(said: Entry) -> Table:
    """Return what dividing the logits by the temperature changes."""
    rows = tuple(
        {
            "measure": MEANINGS[name][0],
            "before": f"{number(said[name]['value'])} ({_band(said[name])})",
            "after": f"{number(said[f'{name}_after']['value'])} ({_band(said[f'{name}_after'])})",
        }
        for name in AFTER
    )
    return Table(rows, title="Before and after the temperature")


def temperature(said: Entry) -> str:
    """Say which temperature fits best and what it was fitted on."""
    fitted = said["temperature"]
    value, n = fitted["value"], fitted["fitted_on"]
    if fitted["at_bound"]:
        return (
            f"No temperature fits these {n} images best: the search ended at its bound, "
            f"{number(value)}. Too few mistakes, or labels that do not belong to this model."
        )
    change = "makes the answers less sure" if value > 1 else "makes the answers surer"
    return (
        f"Dividing the logits by {value:.2f} fits these {n} images best; it {change} and leaves "
        "every top class and the accuracy as they are."
    )


def fitted_on(said: Entry) -> str:
    """Say that the values after the temperature flatter it."""
    return (
        "In brackets 95 % bands; higher is worse. Temperature and values after it come from the "
        f"same {said['temperature']['fitted_on']} images, which "
        "flatters them; with other images they will be a little worse."
    )


def bins(said: Entry) -> Table:
    """Return the bins of the reliability diagram."""
    rows = []
    for one in said["reliability"]:
        hits = round((one["accuracy"] or 0) * one["n"])
        rows.append(
            {
                "confidence": f"{100 * one['from']:.0f} to {100 * one['to']:.0f} %",
                "images": str(one["n"]),
                "mean confidence": f"{100 * one['confidence']:.1f} %" if one["n"] else "",
                "right (95 % interval)": rate(hits, one["n"]) if one["n"] else "",
            }
        )
    few = sum(one["few"] and one["n"] > 0 for one in said["reliability"])
    told = (
        "Diamonds stand at the mean confidence of each bin: on the dashed line the model is right "
        "as often as it says, below it, it is too sure. Grey strokes are 95 % intervals."
    )
    if few:
        told += f" Hatched: {counted(few, 'bin')} with fewer than 10 images, which tell little."
    return Table(tuple(rows), title="Bins of confidence", said=told)


def classes(said: Entry) -> Table:
    """Return how often each class is recognised, the worst first."""
    names = said["class_names"]
    rows = tuple(
        {"class": names[one["class"]], "right (95 % interval)": rate(one["hits"], one["n"])}
        for one in worst_first(said)
    )
    without = sum(not one["n"] for one in said["per_class"])
    told = "The dashed line is the accuracy of all images together."
    if without:
        told += f" {counted(without, 'class has', 'classes have')} no image here."
    return Table(rows, title="Accuracy of each class", said=told)


def confused(said: Entry) -> Table:
    """Return which classes are taken for which most often."""
    names = said["class_names"]
    totals = {one["class"]: one["n"] for one in said["per_class"]}
    rows = tuple(
        {
            "true class": names[true],
            "said": names[said_class],
            "images (95 % interval)": f"{count} of {totals[true]} "
            f"({interval(*wilson(count, totals[true]))})",
        }
        for true, said_class, count in said["most_confused"]
    )
    told = (
        "Colours follow the logarithm of the count, so that one mistake is seen beside many hits."
    )
    if said["confusion"] is None:
        told = ""
    return Table(rows, title="Most frequent confusions", said=told)


def wrong(said: Entry) -> Table:
    """Return the wrong answers, the surest first."""
    names = said["class_names"]
    rows = tuple(
        {
            "file": one["file"],
            "true class": names[one["true"]],
            "said": names[one["predicted"]],
            "confidence": probability(one["confidence"], one["one_minus_p"]),
        }
        for one in said["confident_errors"]
    )
    return Table(rows, title="Wrong answers, the surest first")


def wrong_cells(said: Entry, most: int) -> list[Cell]:
    """Return what was said of the first wrong answers, as titles of their pictures."""
    return [
        Cell(
            title=shortened(row["file"], 28),
            hover=row["file"],
            answer=shortened(row["said"], 28),
            sure=row["confidence"],
            notes=(f"true class: {shortened(row['true class'], 28)}",),
        )
        for row in wrong(said).rows[:most]
    ]


def left_out(said: Entry) -> str:
    """Say which images were not measured; empty where all were."""
    parts = []
    if said["unlabelled"]:
        parts.append(f"{said['unlabelled']} images without a label that fits the classes")
    if said["not_finite"]:
        parts.append(f"{said['not_finite']} images whose answer is not finite")
    found = [f"Left out: {' and '.join(parts)}."] if parts else []
    return " ".join([*found, *said["notes"]])


def _band(one: Mapping[str, float]) -> str:
    return f"{number(one['low'])} to {number(one['high'])}"
