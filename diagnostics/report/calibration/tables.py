"""Calibration in sentences and tables: whether the percentages can be believed."""

from __future__ import annotations

from typing import Literal, TypeAlias

from diagnostics.report.calibration.charts import hits, worst_first
from diagnostics.report.formatting import interval, rate
from diagnostics.report.table import Cell, Table
from diagnostics.schema.results import Estimate
from diagnostics.schema.results.calibration import CalibrationAnswer, Verdict
from diagnostics.text import counted, number, probability, shortened

Measure: TypeAlias = Literal["ece", "adaptive_ece", "classwise_ece", "brier", "nll"]
MeasureAfter: TypeAlias = Literal["ece_after", "brier_after", "nll_after"]

NAME_LENGTH = 28
VERDICTS: dict[Verdict, str] = {
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
AFTER: dict[Measure, MeasureAfter] = {
    "ece": "ece_after",
    "brier": "brier_after",
    "nll": "nll_after",
}
# The measures with their titles, and what they mean.
MEANINGS: dict[Measure, tuple[str, str]] = {
    "ece": (
        "Calibration error (ECE)",
        "Mean distance between confidence and accuracy, in bins of equal width, without the bias "
        "of few images. 0 to 1; higher is worse.",
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


def verdict(answer: CalibrationAnswer) -> str:
    """Say whether the percentages can be believed."""
    return VERDICTS[answer["verdict"]]


def measures(answer: CalibrationAnswer) -> dict[str, list[Cell]]:
    """Return every measure with its band, what it means, and which way is worse, in pairs."""
    accuracy = answer["accuracy"]
    first = Cell(
        title="Accuracy",
        answer=f"{100 * accuracy['hits'] / accuracy['n']:.1f} %",
        notes=(
            f"{rate(accuracy['hits'], accuracy['n'])} right",
            "How often the top class is the true one; lower is worse. Mean confidence: "
            f"{100 * answer['mean_confidence']:.1f} %.",
        ),
    )
    cells = [first] + [
        Cell(
            title=title,
            hover=title,
            answer=number(answer[name]["value"]),
            notes=(_with_chance(answer, name), meaning),
        )
        for name, (title, meaning) in MEANINGS.items()
    ]
    return {"accuracy": cells[:2], "errors": cells[2:4], "scores": cells[4:]}


def after(answer: CalibrationAnswer) -> Table:
    """Return what dividing the logits by the temperature changes."""
    rows = tuple(
        {
            "measure": MEANINGS[name][0],
            "before": _with_band(answer[name]),
            "after": _with_band(answer[name_after]),
        }
        for name, name_after in AFTER.items()
    )
    return Table(rows, title="Before and after the temperature")


def temperature(answer: CalibrationAnswer) -> str:
    """Say which temperature fits best, how far it is known, and what it was fitted on."""
    fitted = answer["temperature"]
    value, n, bound = fitted["value"], fitted["fitted_on"], fitted["at_bound"]
    if bound == "highest":
        return (
            f"The answers do not depend on the image, as far as these {n} labels tell: no "
            "temperature makes them better than chance. The network may be untrained, or the "
            "labels may not belong to it."
        )
    if bound == "lowest":
        return (
            f"No temperature fits these {n} images best, because every answer is right: the surer, "
            "the better. With one mistake among them there would be one."
        )
    ends = f"{number(fitted['low'])} to {number(fitted['high'])}"
    changes = "makes the answers less sure" if value > 1 else "makes the answers surer"
    if fitted["low"] <= 1 <= fitted["high"]:
        changes = "changes nothing that chance could not"
    return (
        f"Dividing the logits by {value:.2f} fits these {n} images best (95 % interval {ends}); it "
        f"{changes} and leaves every top class and the accuracy as they are."
    )


def fitted_on(answer: CalibrationAnswer) -> str:
    """Say on which images the values after the temperature were measured."""
    return (
        "In brackets 95 % intervals; higher is worse. Values after the temperature are "
        f"cross-fitted: each of the {answer['temperature']['fitted_on']} images was judged by a "
        f"temperature fitted on the others, in {answer['folds']} folds. A fold without a best "
        "temperature leaves its logits as they are."
    )


def bins(answer: CalibrationAnswer) -> Table:
    """Return the bins of the reliability diagram."""
    rows = tuple(
        {
            "confidence": f"{100 * row['confidence_from']:.0f} to "
            f"{100 * row['confidence_to']:.0f} %",
            "images": str(row["n"]),
            "mean confidence": f"{100 * (row['confidence'] or 0):.1f} %" if row["n"] else "",
            "right (95 % interval)": rate(hits(row), row["n"]) if row["n"] else "",
            "if calibrated": interval(row["low"], row["high"])
            if row["low"] is not None and row["high"] is not None
            else "",
        }
        for row in answer["reliability"]
    )
    few = sum(row["few"] and row["n"] > 0 for row in answer["reliability"])
    note = (
        "Diamonds stand at the mean confidence of each bin: on the dashed line the model is right "
        "as often as it says, below it, it is too sure. Grey strokes are the consistency band: "
        "chance leaves the diamond of a calibrated model on them in 95 of 100 draws, bin by bin."
    )
    if few:
        note += f" Hatched: {counted(few, 'bin')} with fewer than 10 images, which tell little."
    return Table(rows, title="Bins of confidence", caption=note)


def classes(answer: CalibrationAnswer) -> Table:
    """Return how often each class is recognised, the worst first."""
    names = answer["class_names"]
    rows = tuple(
        {
            "class": names[row["class_index"]],
            "right (95 % interval)": rate(row["hits"], row["n"]),
        }
        for row in worst_first(answer)
    )
    without = sum(not row["n"] for row in answer["per_class"])
    note = "The dashed line is the accuracy of all images together."
    if without:
        note += f" {counted(without, 'class has', 'classes have')} no image here."
    return Table(rows, title="Accuracy of each class", caption=note)


def confused(answer: CalibrationAnswer) -> Table:
    """Return which classes are taken for which most often."""
    names = answer["class_names"]
    totals = {row["class_index"]: row["n"] for row in answer["per_class"]}
    rows = tuple(
        {
            "true class": names[true],
            "said": names[predicted],
            "images (95 % interval)": rate(count, totals[true]),
        }
        for true, predicted, count in answer["most_confused"]
    )
    colours = (
        "Colours follow the logarithm of the count, so that one mistake is seen beside many hits."
    )
    note = "" if answer["confusion"] is None else colours
    return Table(rows, title="Most frequent confusions", caption=note)


def wrong(answer: CalibrationAnswer) -> Table:
    """Return the wrong answers, the surest first."""
    names = answer["class_names"]
    rows = tuple(
        {
            "file": row["file"],
            "true class": names[row["true"]],
            "said": names[row["predicted"]],
            "confidence": probability(row["confidence"], row["one_minus_p"]),
        }
        for row in answer["confident_errors"]
    )
    return Table(rows, title="Wrong answers, the surest first")


def wrong_cells(answer: CalibrationAnswer, count: int) -> list[Cell]:
    """Return the predictions of the first wrong answers, as titles of their pictures."""
    return [
        Cell(
            title=shortened(row["file"], NAME_LENGTH),
            hover=row["file"],
            answer=shortened(row["said"], NAME_LENGTH),
            confidence=row["confidence"],
            notes=(f"true class: {shortened(row['true class'], NAME_LENGTH)}",),
        )
        for row in wrong(answer).rows[:count]
    ]


def left_out(answer: CalibrationAnswer) -> str:
    """Say which images were not measured; empty where all were."""
    reasons = []
    if answer["unlabelled"]:
        reasons.append(f"{answer['unlabelled']} images without a label that fits the classes")
    if answer["not_finite"]:
        reasons.append(f"{answer['not_finite']} images whose answer is not finite")
    left_out = [f"Left out: {' and '.join(reasons)}."] if reasons else []
    return " ".join([*left_out, *answer["notes"]])


def _with_chance(answer: CalibrationAnswer, name: Measure) -> str:
    """Return a measure's interval; of a calibration error also what is counted, and by chance."""
    interval_text = f"95 % interval {_band(answer[name])}"
    errors = {
        "ece": answer["ece"],
        "adaptive_ece": answer["adaptive_ece"],
        "classwise_ece": answer["classwise_ece"],
    }
    error = errors.get(name)
    if error is None:
        return interval_text
    return (
        f"{interval_text}. Counted in bins: {number(error['counted'])}; calibrated answers would "
        f"count {number(error['chance_low'])} to {number(error['chance_high'])}."
    )


def _band(estimate: Estimate) -> str:
    return f"{number(estimate['low'])} to {number(estimate['high'])}"


def _with_band(estimate: Estimate) -> str:
    return f"{number(estimate['value'])} ({_band(estimate)})"
