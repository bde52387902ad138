"""What to show of each image, and what was found for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from diagnostics.models.activations import LayerView

TILES = 24
STANDARD = ("attribution/gradient", "attribution/grad_cam")


@dataclass(frozen=True)
class InspectionRequest:
    """What to show of each image.

    Args:
        top: How many classes to rank.
        layers: Layers to draw; None takes a representative few, "all" takes every one.
        attributions: Methods with their settings, "attribution/grad_cam?layer=conv2".
        target: Class to explain; None takes each image's top class.
        against: Class whose logit is subtracted, or `STRONGEST`; None explains the logit alone.
        maps: Most maps to draw of a layer, the strongest first.
        query: Token whose attention is drawn; None takes the class token, or the middle one.
        alike: Draw of every image the maps that are strongest in the first one.
        same_maps: Those maps by layer, kept from one batch of images to the next.
    """

    top: int = 5
    layers: tuple[str, ...] | None = None
    attributions: tuple[str, ...] = STANDARD
    target: int | None = None
    against: int | None = None
    maps: int = TILES
    query: int | None = None
    alike: bool = False
    same_maps: dict[str, list[int]] = field(default_factory=dict)

    def draw_maps_of(self, leader: InspectionResult) -> None:
        """Draw of every image the maps that were drawn of this one."""
        for entry in leader.scores["layers"]:
            if "channels" in entry:
                self.same_maps.setdefault(entry["name"], entry["channels"])


@dataclass
class InspectionResult:
    """What was found for one image: named arrays, and everything else as JSON.

    Args:
        arrays: Layer maps and heatmaps, by the name that `scores` gives as their picture.
        scores: "top", "margin", "warnings", "layers", "attributions" of the JSON schema.
        layers: What each layer gave.
    """

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    layers: list[LayerView] = field(default_factory=list)
