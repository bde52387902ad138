"""Several models on the same images: what changes its answer, and how far they agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from diagnostics.metrics.agreement import Agreement, agreement
from diagnostics.report.formatting import escaped
from diagnostics.report.inspection import answers as rows
from diagnostics.report.inspection.layers import heading, layer
from diagnostics.report.table import Cell, Table
from diagnostics.schema.request import Result
from diagnostics.schema.spec import read
from diagnostics.text import counted, number, probability

Answers = Mapping[str, Result]
PARTS = {"expected": "own doubt", "disagreement": "disagreement"}
ROW_PX, EDGE_PX = 34, 150


def answers(answer: Result) -> list[Cell]:
    """Return what one model says of every image."""
    independent = read(answer.scores["model"]).output.independent
    return rows.predictions(answer.scores["images"], answer.arrays, independent=independent)


def layers(answer: Result) -> Iterator[tuple[str, list[Cell]]]:
    """Yield the heading and the cells of every layer of one model that was asked for."""
    spec, images = read(answer.scores["model"]), answer.scores["images"]
    drawn = [one["name"] for image in images for one in image["layers"] if one["picture"]]
    for name in dict.fromkeys(drawn):
        cells = layer(images, answer.arrays, name, scale="each image", spec=spec)
        yield heading(images, name, pinned=False), cells


def headline(compared: Answers) -> str:
    """Say how many images get another answer by another model."""
    tops = [_tops(result) for result in compared.values()]
    images = list(zip(*tops, strict=True))
    read = [one for one in images if all(one)]
    other = sum(len(set(one)) > 1 for one in read)
    count = counted(len(read), "image")
    if not read:
        return "No image got an answer by every model."
    if not other:
        return f"All models give the same answer to {count}."
    return f"{other} of {count} {'gets' if other == 1 else 'get'} another answer by another model."


def changes(compared: Answers) -> Table:
    """Return each image's answer by each model, and whether it is the same."""
    names = [image["file"] for image in next(iter(compared.values())).scores["images"]]
    found = []
    for place, name in enumerate(names):
        row = {"image": name}
        for model, result in compared.items():
            image = result.scores["images"][place]
            first = image["top"][0] if image["top"] else None
            sure = first and probability(first["probability"], first["one_minus_p"])
            row[model] = f"{first['class']} {sure}" if first else image["error"] or "no answer"
        tops = [_tops(result)[place] for result in compared.values()]
        same = "yes" if len(set(tops)) == 1 else "no"
        row["same answer"] = same if all(tops) else "can't tell"
        found.append(row)
    return Table(tuple(found))


def why_not(compared: Answers) -> str:
    """Say why the models' logits cannot be compared; empty where they can."""
    specs = [read(result.scores["model"]) for result in compared.values()]
    if len(compared) < 2:
        return "Choose two models or more to see how far they agree."
    if any(one.class_names != specs[0].class_names for one in specs):
        return (
            "These models name different classes, so only their answers are compared, not their "
            "percentages."
        )
    if any(one.output.independent for one in specs):
        return (
            "Each class is a yes or no of its own here, so there is no one doubt to split; only "
            "their answers are compared."
        )
    if not _finite(compared):
        return "No image got finite numbers from every model, so nothing can be said."
    return ""


def agreed(compared: Answers) -> tuple[list[str], Agreement]:
    """Return the images that every model gave finite logits for, and how far the models agree."""
    results, fine = list(compared.values()), _finite(compared)
    files = [results[0].scores["images"][place]["file"] for place in fine]
    logits = [[one.arrays[f"{place}/logits"] for place in fine] for one in results]
    return files, agreement(np.array(logits, np.float64))


def _finite(compared: Answers) -> list[int]:
    """Return the places of the images that every model gave finite logits for."""
    results = list(compared.values())
    return [
        place
        for place in range(len(results[0].scores["images"]))
        if all(
            f"{place}/logits" in one.arrays and np.isfinite(one.arrays[f"{place}/logits"]).all()
            for one in results
        )
    ]


def doubt(files: Sequence[str], found: Agreement) -> go.Figure:
    """Draw the entropy of the mean answer, split into its two parts; an image a bar."""
    figure = go.Figure()
    names = [f"{place}. {escaped(name)}" for place, name in enumerate(files, 1)]
    for part, title in PARTS.items():
        figure.add_bar(x=getattr(found, part), y=names, name=title, orientation="h")
    figure.update_layout(
        title=f"Doubt of the models together (n = {len(files)})",
        barmode="stack",
        height=EDGE_PX + ROW_PX * len(files),
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "traceorder": "normal"},
        margin={"t": 80},
    )
    figure.update_yaxes(autorange="reversed", title="image")
    figure.update_xaxes(
        title="entropy of the mean answer (nats, higher is less sure)", rangemode="tozero"
    )
    return figure


def doubts(files: Sequence[str], found: Agreement, classes: Sequence[str]) -> Table:
    """Return the numbers of the chart."""
    numbers = tuple(
        {
            "image": name,
            "together": classes[found.ensemble_predicted[place]],
            "same answer": "yes" if found.unanimous[place] else "no",
            "entropy of the mean (nats)": number(float(found.total[place])),
            "own doubt": number(float(found.expected[place])),
            "disagreement": number(float(found.disagreement[place])),
        }
        for place, name in enumerate(files)
    )
    most = max(float(found.disagreement.max(initial=0)), 0.0)
    said = (
        "Disagreement is doubt that no model has by itself: each may be sure, of another class. It "
        f"reaches {number(most)} nats here; ln {len(found.predicted)} = "
        f"{number(float(np.log(len(found.predicted))))} is the most that so many models can reach."
    )
    return Table(numbers, said=said)


def _tops(result: Result) -> list[str]:
    images: Sequence[Mapping[str, Any]] = result.scores["images"]
    return [image["top"][0]["class"] if image["top"] else "" for image in images]
