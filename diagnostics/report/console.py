"""Answers as lines of text, for the command line."""

from __future__ import annotations

from typing import Any

from diagnostics.schema.spec import Candidate, ModelSpec, read
from diagnostics.text import probability, signed


def of_model(scores: dict[str, Any]) -> list[str]:
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


def of_images(scores: dict[str, Any]) -> list[str]:
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
