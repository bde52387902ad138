"""Several models on the same images: what changes its answer, and how far they agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from diagnostics.metrics.agreement import Agreement, agreement
from diagnostics.report.inspection import answers
from diagnostics.report.inspection.layers import heading, layer
from diagnostics.report.table import Cell, Table
from diagnostics.schema.request import Result
from diagnostics.schema.results.inspection import ImageEntry, InspectAnswer
from diagnostics.schema.spec import read
from diagnostics.text import counted, probability

Results = Mapping[str, Result]  # each model's answer to `INSPECT`, by the model's name


def predictions(result: Result) -> list[Cell]:
    """Return what one model predicts for every image."""
    answer: InspectAnswer = result.scores
    independent = read(answer["model"]).output.independent
    return answers.predictions(answer["images"], result.arrays, independent=independent)


def layers(result: Result) -> Iterator[tuple[str, list[Cell]]]:
    """Yield the heading and the cells of every layer of one model that was asked for."""
    answer: InspectAnswer = result.scores
    spec, images = read(answer["model"]), answer["images"]
    drawn = [entry["name"] for image in images for entry in image["layers"] if entry["picture"]]
    for name in dict.fromkeys(drawn):
        cells = layer(images, result.arrays, name, scale="each image", spec=spec)
        yield heading(images, name, pinned=False), cells


def headline(results: Results) -> str:
    """Say how many images get another answer by another model."""
    if len(results) < 2:
        return "One model answers here; choose another to see which answers change."
    predicted = [[_predicted(image) for image in images] for images in _by_image(results)]
    answered = [classes for classes in predicted if all(classes)]
    changed = sum(len(set(classes)) > 1 for classes in answered)
    count = counted(len(answered), "image")
    if not answered:
        return "No image got an answer by every model."
    if not changed:
        return f"All models give the same answer to {count}."
    verb = "gets" if changed == 1 else "get"
    return f"{changed} of {count} {verb} another answer by another model."


def changes(results: Results) -> Table:
    """Return each image's answer by each model, and whether it is the same."""
    rows = []
    for images in _by_image(results):
        row = {"image": images[0]["file"]}
        row |= {name: _answer(image) for name, image in zip(results, images, strict=True)}
        predicted = [_predicted(image) for image in images]
        if len(predicted) > 1:
            same = "yes" if len(set(predicted)) == 1 else "no"
            row["same answer"] = same if all(predicted) else "can't tell"
        rows.append(row)
    return Table(tuple(rows))


def incomparable(results: Results) -> str:
    """Say why the models' logits cannot be compared; empty where they can."""
    specs = [read(result.scores["model"]) for result in results.values()]
    if len(results) < 2:
        return "Choose two models or more to see how far they agree."
    if any(spec.class_names != specs[0].class_names for spec in specs):
        return (
            "These models name different classes, so only their answers are compared, not their "
            "percentages."
        )
    if any(spec.output.independent for spec in specs):
        return (
            "Each class is a yes or no of its own here, so there is no one doubt to split; only "
            "their answers are compared."
        )
    if not _finite(results):
        return "No image got finite numbers from every model, so nothing can be said."
    return ""


def agreements(results: Results) -> tuple[list[str], Agreement]:
    """Return the images that every model gave finite logits for, and how far the models agree."""
    finite = _finite(results)
    files = [_by_image(results)[index][0]["file"] for index in finite]
    logits = [[result.arrays[f"{index}/logits"] for index in finite] for result in results.values()]
    return files, agreement(np.array(logits, np.float64))


def _finite(results: Results) -> list[int]:
    """Return the indices of the images that every model gave finite logits for."""
    arrays = [result.arrays for result in results.values()]
    return [
        index
        for index in range(len(_by_image(results)))
        if all(
            (name := f"{index}/logits") in answer and np.isfinite(answer[name]).all()
            for answer in arrays
        )
    ]


def _by_image(results: Results) -> list[tuple[ImageEntry, ...]]:
    """Return what each model answers about each image, in the order of the models."""
    return list(zip(*(result.scores["images"] for result in results.values()), strict=True))


def _predicted(image: ImageEntry) -> str:
    """Return the predicted class, empty where there is none."""
    return image["top"][0]["class"] if image["top"] else ""


def _answer(image: ImageEntry) -> str:
    """Say what is predicted and how sure the model is of it, or why there is no answer."""
    if not image["top"]:
        return image["error"] or "no answer"
    top = image["top"][0]
    return f"{top['class']} {probability(top['probability'], top['one_minus_p'])}"
