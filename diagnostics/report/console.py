"""Answers as lines of text, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diagnostics.report import formatting
from diagnostics.report.calibration import tables as calibration
from diagnostics.report.noise import tables as noise_tables
from diagnostics.report.ood import tables as ood
from diagnostics.schema.results import Estimate, Rate
from diagnostics.schema.results.calibration import CalibrationAnswer
from diagnostics.schema.results.guard import OUT_OF_DISTRIBUTION, GuardAnswer
from diagnostics.schema.results.inspection import InspectAnswer, ModelAnswer
from diagnostics.schema.results.noise import DepthAnswer, NoiseAnswer
from diagnostics.schema.results.ood import DetectionAnswer, EvaluationAnswer, ReferenceAnswer
from diagnostics.schema.results.preprocessing import PreprocessingAnswer
from diagnostics.schema.spec import Candidate, ModelSpec, read
from diagnostics.text import counted, number, probability, signed


def model(answer: ModelAnswer) -> list[str]:
    """Say what a model is."""
    spec: ModelSpec = read(answer["model"])
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
    images = counted(item.deviation_images, "image")
    return f"{line} BatchNorm deviation {item.deviation:.2f} on {images}, lower fits better."


def images(answer: InspectAnswer) -> list[str]:
    """Say what was answered about each image."""
    lines = []
    for image in answer["images"]:
        lines.append(image["file"] + (f": {image['error']}" if image["error"] else ""))
        for prediction in image["top"]:
            confidence = probability(prediction["probability"], prediction["one_minus_p"])
            name, index = prediction["class"], prediction["index"]
            lines.append(
                f"  {confidence:>14}  {name} ({index}), logit {signed(prediction['logit'])}"
            )
        lines.extend(f"  note: {warning}" for warning in image["warnings"])
    return lines


def reference(answer: ReferenceAnswer) -> list[str]:
    """Say what a reference was measured on."""
    about = answer["reference"]
    counts, folder = about["images"], about["folder"]
    return [
        f"reference of {about['model_name']} on {folder['name'] if folder else 'images'}: "
        f"{counts['fit']} images to fit scores, {counts['calibration']} others to judge them",
        *_notes(answer),
    ]


def score(answer: DetectionAnswer) -> list[str]:
    """Say how strange images are."""
    lines = []
    if check := answer["preprocessing"]:
        lines.append(f"preprocessing: {check['verdict']}. {check['sentence']}")
    if shift := answer["distribution_shift"]:
        lines.append(f"beside the known-good images: {shift['verdict']}. {shift['sentence']}")
    promise = answer["false_alarms"]
    can_flag = promise["high"] > 0
    if promise["n"] and can_flag:
        lines.append(
            f"an image is flagged when fewer than {promise['promised']:.1%} of known-good images "
            f"are as strange; with {promise['n']} to judge by, the true share of false alarms lies "
            f"within {promise['low']:.1%} and {promise['high']:.1%} (95 %)"
        )
    lines += [promise["note"]] if promise["note"] else []
    if promise["by_any"]:
        lines.append(ood.multiplicity(promise["scores"], promise["by_any"], promise["promised"]))
    if found := answer["discoveries"]:
        lines.append(ood.discovered(found))
    lines = [line for line in lines if line]
    for image in answer["images"]:
        verdict = image["flagged"] if can_flag else None
        flagged = {True: "strange", False: "usual", None: "can't tell"}[verdict]
        line = f"{image['file']}: {flagged}"
        if image["top"]:
            top = image["top"][0]
            line += f"; {top['class']} {probability(top['probability'], top['one_minus_p'])}"
        lines.append(line)
        for info in answer["available"]:
            placement = image["scores"][info["method"]]
            line = f"  {number(placement['value']):>10}  {info['title']}"
            if placement["percentile"] is not None and placement["p_value"] is not None:
                line += (
                    f", p = {placement['p_value']:.3g}, stranger than "
                    f"{placement['percentile']:.1f} % of {placement['n']}"
                )
            lines.append(line)
    lines += [
        f"the number of {info['title']}: {info['measure'][:1].lower()}{info['measure'][1:]}"
        for info in answer["available"]
        if info["method"] == answer["default"]
    ]
    lines += [f"left out: {info['title']}: {info['reason']}" for info in answer["left_out"]]
    return [*lines, *_notes(answer)]


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
    if answer["sink"]:
        lines.append(f"{answer['sink']['verdict']}: {noise_tables.sink(answer)}")
    return [*lines, *_notes(answer)]


def preprocessing(answer: PreprocessingAnswer) -> list[str]:
    """Say whether the preprocessing fits."""
    check = answer["preprocessing"]
    lines = [f"preprocessing: {check['verdict']}. {check['sentence']}"]
    for candidate in check["candidates"]:
        marks = {
            "current": candidate["current"],
            "tied": candidate["tied"],
            "mistake": candidate["mistake"],
        }
        marked = ", ".join(word for word, holds in marks.items() if holds)
        lines.append(
            f"  {number(candidate['measure']):>8}  {'; '.join(candidate['names'])}"
            + (f" ({marked})" if marked else "")
        )
    return [*lines, *_notes(answer)]


def calibrate(answer: CalibrationAnswer) -> list[str]:
    """Say whether a model's percentages can be believed."""
    errors = {
        "ece": answer["ece"],
        "adaptive_ece": answer["adaptive_ece"],
        "classwise_ece": answer["classwise_ece"],
        "ece_after": answer["ece_after"],
    }
    means: dict[str, Estimate | Rate] = {
        "accuracy": answer["accuracy"],
        "brier": answer["brier"],
        "brier_after": answer["brier_after"],
        "nll": answer["nll"],
        "nll_after": answer["nll_after"],
    }
    return [
        f"{answer['verdict']}: {calibration.verdict(answer)} {answer['reason']}",
        f"{answer['n']} labelled images; 95 % intervals; after: cross-fitted temperature",
        *(f"  {name:14} {_estimate(one)}" for name, one in means.items()),
        *(
            f"  {name:14} {_estimate(one)}; counted in bins {one['counted']:.4f}, if calibrated "
            f"{one['chance_low']:.4f} to {one['chance_high']:.4f}"
            for name, one in errors.items()
        ),
        f"  temperature    {_estimate(answer['temperature'])}. {calibration.temperature(answer)}",
        *_notes(answer),
    ]


def _estimate(one: Estimate | Rate) -> str:
    return f"{one['value']:.4f} ({one['low']:.4f} to {one['high']:.4f})"


def strangers(answer: EvaluationAnswer) -> list[str]:
    """Say how well each score tells strangers."""
    lines = []
    for name, separation in answer["scores"].items():
        lines.append(
            f"  {separation['auroc']:.3f} ({separation['low']:.3f} to {separation['high']:.3f})  "
            f"{name}: {separation['false_alarms_at_95_caught']:.1%} of good images flagged where "
            f"95 % of strangers are caught; {separation['missed_at_95_accepted']:.1%} of strangers "
            f"missed where 95 % of good images pass"
        )
    return [*lines, *_notes(answer)]


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
