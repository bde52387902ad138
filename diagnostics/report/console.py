"""Answers as lines of text, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diagnostics.report import formatting
from diagnostics.schema.results import Estimate, Rate
from diagnostics.schema.results.calibration import CalibrationAnswer
from diagnostics.schema.results.guard import OUT_OF_DISTRIBUTION, GuardAnswer
from diagnostics.schema.results.noise import DepthAnswer, NoiseAnswer
from diagnostics.schema.spec import Candidate, ModelSpec, read
from diagnostics.text import number, probability, signed

Scores = dict[str, Any]


def model(scores: dict[str, Any]) -> list[str]:
    """Say what a model is."""
    spec: ModelSpec = read(scores["model"])
    size = f"{spec.channels} × {spec.height} × {spec.width}"
    return [
        f"{spec.name}: {spec.format}, {spec.parameters:,} parameters, sha256 {spec.sha256}",
        f"network  {spec.architecture or 'to be chosen with --architecture NAME'}",
        f"input    {size}; {len(spec.class_names)} classes; {spec.output}",
        *(f"{check.status:8} {check.name}: {check.message}" for check in spec.checks),
        *(_fit_line(item) for item in spec.candidates),
    ]


def _fit_line(item: Candidate) -> str:
    line = f"fits     {item.architecture} ({item.fit}): {item.message}"
    if item.deviation is None:
        return line
    return f"{line} BatchNorm deviation {item.deviation:.2f} on these images, lower fits better."


def images(scores: dict[str, Any]) -> list[str]:
    """Say what was answered about each image."""
    lines = []
    for image in scores["images"]:
        lines.append(image["file"] + (f": {image['error']}" if image["error"] else ""))
        for score in image["top"]:
            sure = probability(score["probability"], score["one_minus_p"])
            logit = signed(score["logit"])
            lines.append(f"  {sure:>14}  {score['class']} ({score['index']}), logit {logit}")
        lines.extend(f"  note: {warning}" for warning in image["warnings"])
    return lines


def reference(scores: Scores) -> list[str]:
    """Say what a reference was measured on."""
    about = scores["reference"]
    counts = about["images"]
    return [
        f"reference of {about['model_name']} on {about['folder']['name']}: {counts['fit']} images "
        f"to fit scores, {counts['calibration']} others to judge them",
        *_notes(scores),
    ]


def score(scores: Scores) -> list[str]:
    """Say how strange images are."""
    lines = [*preprocessing(scores, notes=False)]
    if shift := scores["distribution_shift"]:
        lines.append(f"beside the known-good images: {shift['verdict']}. {shift['sentence']}")
    promise = scores["false_alarms"]
    if promise["n"]:
        lines.append(
            f"an image is flagged when fewer than {promise['promised']:.1%} of known-good images "
            f"are as strange; with {promise['n']} to judge by, the true share of false alarms lies "
            f"within {promise['low']:.1%} and {promise['high']:.1%} (95 %)"
        )
    lines += [promise["note"]] if promise["note"] else []
    for image in scores["images"]:
        strange = {True: "strange", False: "usual", None: "can't tell"}[image["flagged"]]
        said = image["top"][0] if image["top"] else None
        sure = said and probability(said["probability"], said["one_minus_p"])
        lines.append(f"{image['file']}: {strange}" + (f"; {said['class']} {sure}" if said else ""))
        for one in scores["available"]:
            placed = image["scores"][one["method"]]
            place = (
                ""
                if placed["percentile"] is None
                else f", stranger than {placed['percentile']:.1f} % of {placed['n']}"
            )
            lines.append(f"  {number(placed['value']):>10}  {one['title']}{place}")
    lines += [f"left out: {one['title']}: {one['reason']}" for one in scores["left_out"]]
    return [*lines, *_notes(scores)]


def noise(answer: NoiseAnswer) -> list[str]:
    """Say what a model makes of noise."""
    lines = []
    for family in answer["families"]:
        if not family["n"]:
            lines.append(f"{family['title']}: no finite answer")
            continue
        majority, mean = family["majority_class"], family["mean_confidence"]
        lines.append(
            f"{family['title']} ({family['n']}): confidence {mean['value']:.1%} "
            f"({mean['low']:.1%} to {mean['high']:.1%}); {majority['share']:.0%} "
            f"({majority['low']:.0%} to {majority['high']:.0%}) go to {majority['name']}"
        )
    return [*lines, *_notes(answer)]


def preprocessing(scores: Scores, *, notes: bool = True) -> list[str]:
    """Say whether the preprocessing fits."""
    found = scores["preprocessing"]
    lines = [f"preprocessing: {found['verdict']}. {found['sentence']}"]
    if notes:
        for one in found["candidates"]:
            marks = [word for word in ("current", "tied", "mistake") if one[word]]
            lines.append(
                f"  {number(one['measure']):>8}  {'; '.join(one['names'])}"
                + (f" ({', '.join(marks)})" if marks else "")
            )
    return [*lines, *(_notes(scores) if notes else [])]


def calibrate(answer: CalibrationAnswer) -> list[str]:
    """Say whether a model's percentages can be believed."""
    measures: dict[str, Estimate | Rate] = {
        "accuracy": answer["accuracy"],
        "ece": answer["ece"],
        "adaptive_ece": answer["adaptive_ece"],
        "classwise_ece": answer["classwise_ece"],
        "brier": answer["brier"],
        "nll": answer["nll"],
    }
    return [
        f"{answer['n']} labelled images",
        *(
            f"  {name:14} {one['value']:.4f} ({one['low']:.4f} to {one['high']:.4f})"
            for name, one in measures.items()
        ),
        f"  temperature    {answer['temperature']['value']:.3f}",
        *_notes(answer),
    ]


def strangers(scores: Scores) -> list[str]:
    """Say how well each score tells strangers."""
    lines = []
    for name, one in scores["scores"].items():
        lines.append(
            f"  {one['auroc']:.3f} ({one['low']:.3f} to {one['high']:.3f})  {name}: "
            f"{one['false_alarms_at_95_caught']:.1%} of good images flagged where 95 % of "
            f"strangers are caught; {one['missed_at_95_accepted']:.1%} of strangers missed where "
            f"95 % of good images pass"
        )
    return [*lines, *_notes(scores)]


def guard(answer: GuardAnswer) -> list[str]:
    """Say what a guard gains and costs."""
    lines = [f"good images rejected: {_rate(answer['rejected'])}"]
    if answer["accuracy"] and answer["bare_accuracy"]:
        lines.append(f"right and not rejected: {_rate(answer['accuracy'])}")
        lines.append(f"right, the bare model: {_rate(answer['bare_accuracy'])}")
    unconfident = _rate(answer["unconfident_rejected"])
    line = f"were answers below 90 % rejected instead: {unconfident} rejected"
    if right := answer["unconfident_accuracy"]:
        line += f", {_rate(right)} right and kept"
    lines.append(line)
    for rates in answer["kinds"]:
        kind = "strangers" if rates["kind"] == OUT_OF_DISTRIBUTION else rates["kind"]
        learned = "learned on others of the kind" if rates["learned"] else "never learned on"
        lines.append(
            f"  {kind} caught: {_rate(rates['rejected'])}, {learned}; the bare model is surer "
            f"than 90 % of {_rate(rates['bare_confident'])}"
        )
    return [*lines, *(f"note: {problem}" for problem in answer["problems"]), *_notes(answer)]


def _rate(rate: Rate) -> str:
    """Return "18 of 20 (68–98 %)"."""
    return formatting.rate(rate["hits"], rate["n"])


def depth(answer: DepthAnswer) -> list[str]:
    """Say at which layer noise becomes a class."""
    lines = []
    for layer in answer["layers"]:
        nearest = max(layer["shares"], key=layer["shares"].__getitem__)
        lines.append(
            f"  {layer['layer']}: {layer['shares'][nearest]:.0%} nearest to "
            f"{answer['classes'][nearest]}; labelled images nearest to their own class "
            f"{layer['accuracy']:.0%}"
        )
    return [*lines, *_notes(answer)]


def _notes(answer: Mapping[str, Any]) -> list[str]:
    return [f"note: {note}" for note in answer["notes"]]
