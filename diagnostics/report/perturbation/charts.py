"""Charts of random changes: how far rays go, and what pixels do together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from diagnostics.report import chart
from diagnostics.report.formatting import rate
from diagnostics.report.perturbation.tables import FLAT_RHO
from diagnostics.schema.results.perturbation import (
    GaussianNoise,
    RandomDirections,
    RandomNoiseImage,
    Rays,
    Redraw,
)

GOLDEN_RATIO, SPREAD = 0.6180339887498949, 0.5  # keep the points of a row apart
RAYS, NOISE, SMALLEST = "random rays", "noise predicts", "smallest change"
ROOM = 1.25
DECADES = 2.5  # from which on only powers of ten are written


def distances(image: RandomNoiseImage, rays: Rays) -> go.Figure:
    """Draw how far each random ray goes, beside the smallest change and what noise predicts.

    Args:
        image: The image's entry.
        rays: Its rays.
    """
    noise, directions = image["gaussian"], image["directions"]
    figure = go.Figure()
    names = [f"<b>{RAYS}</b><br>{rays['crossings']} of {rays['n']} cross"]
    _add_rays(figure, rays)
    if noise and _add_noise(figure, noise, len(names)):
        names.append(f"<b>{NOISE}</b><br>{noise['n']} draws")
    if directions:
        _add_smallest_change(figure, directions, len(names), image["values"])
        names.append(f"<b>{SMALLEST}</b><br>found by search")
    title, height = f"Distance to another answer, {rays['n']} rays", 150 + 70 * len(names)
    chart.frame(figure, title, height, right=24)
    rows = chart.rows_axis(names, title="kind of change", range=[len(names) - 0.45, -0.6])
    figure.update_yaxes(**rows)
    lengths = [length for trace in figure.data for length in trace.x]
    low, high = min(lengths) / ROOM, max(lengths) * ROOM
    ticks = _ticks(low, high)
    figure.update_xaxes(
        title="L2 distance (value range 0 to 1), logarithmic",
        type="log",
        range=[math.log10(low), math.log10(high)],
        tickvals=ticks,
        ticktext=[f"{tick:g}" for tick in ticks],
        zeroline=False,
    )
    return figure


def answer_kept(redraws: Sequence[Redraw]) -> go.Figure:
    """Draw how often the answer is kept as more pixels are redrawn together."""
    counts = [redraw["pixels"] for redraw in redraws]
    figure = chart.figure(
        f"Answer kept by random pixels, {redraws[-1]['n']} draws each",
        380,
        top=120,
        legend=chart.LEGEND_ABOVE | {"y": 1.02},
    )
    figure.add_scatter(
        x=counts,
        y=[100 * redraw["expected"] for redraw in redraws],
        name="predicted, if each pixel acted alone",
        mode="lines+markers",
        line={"dash": "dash", "width": 2, "color": chart.GREY},
        marker={"symbol": "square-open", "size": 7},
        hovertemplate="%{x} pixels: predicted %{y:.3g} %<extra></extra>",
    )
    finite = [redraw for redraw in redraws if redraw["n"]]
    rates = [100 * redraw["hits"] / redraw["n"] for redraw in finite]
    low, high = ([100 * redraw["interval"][end] for redraw in finite] for end in (0, 1))
    figure.add_scatter(
        x=[redraw["pixels"] for redraw in finite],
        y=rates,
        name="observed, with 95 % interval",
        mode="lines+markers",
        marker={"size": 9},
        error_y=chart.error_bars(rates, low, high, thickness=2),
        hovertext=[
            f"{redraw['pixels']} pixels: {rate(redraw['hits'], redraw['n'])}" for redraw in finite
        ],
        hovertemplate=chart.HOVER,
    )
    figure.update_xaxes(
        title="pixels redrawn together, logarithmic",
        type="log",
        tickvals=counts,
        ticktext=[f"{count:,}" for count in counts],
        zeroline=False,
    )
    figure.update_yaxes(**chart.percent_axis("answer kept (%)"))
    return figure


def _add_rays(figure: go.Figure, rays: Rays) -> None:
    heights = [SPREAD * ((ray * GOLDEN_RATIO) % 1 - 0.5) for ray in range(1, rays["n"] + 1)]
    points = list(zip(rays["radii"], heights, strict=True))
    crossings = [(radius, height) for radius, height in points if radius is not None]
    never = [height for radius, height in points if radius is None]
    figure.add_scatter(
        x=[radius for radius, _ in crossings],
        y=[height for _, height in crossings],
        mode="markers",
        marker={"size": 8, "symbol": "circle-open"},
        hovertemplate="a ray crosses at L2 %{x:.3g}<extra></extra>",
    )
    figure.add_scatter(
        x=[rays["median_end"]] * len(never),
        y=never,
        mode="markers",
        marker={"size": 9, "symbol": "triangle-right-open", "color": chart.GREY},
        hovertemplate="a ray never crosses, followed to L2 %{x:.3g}<extra></extra>",
        cliponaxis=False,
    )
    if rays["median"] is not None:
        figure.add_scatter(
            x=[rays["median"]],
            y=[0],
            mode="markers",
            marker={"symbol": "line-ns", "size": 44, "line": {"width": 3, "color": chart.GREY}},
            hovertemplate="median of all rays: L2 %{x:.3g}<extra></extra>",
        )


def _add_noise(figure: go.Figure, noise: GaussianNoise, row: int) -> bool:
    """Draw the distance that noise predicts with its interval; return whether it predicts one."""
    distance, nearest, farthest = noise["distance"], noise["nearest"], noise["farthest"]
    if distance is None or nearest is None or farthest is None:
        return False
    figure.add_scatter(
        x=[distance],
        y=[row],
        error_x=chart.error_bars([distance], [nearest], [farthest], thickness=2),
        mode="markers",
        marker={"size": 11, "symbol": "diamond-open"},
        hovertemplate="noise predicts L2 %{x:.3g}<extra></extra>",
    )
    return True


def _add_smallest_change(
    figure: go.Figure, directions: RandomDirections, row: int, values: int
) -> None:
    figure.add_scatter(
        x=[directions["length"]],
        y=[row],
        mode="markers",
        marker={"size": 13, "symbol": "star"},
        hovertemplate="smallest change found: L2 %{x:.3g}<extra></extra>",
    )
    flat = FLAT_RHO * math.sqrt(values) * directions["length"]
    figure.add_scatter(
        x=[flat, flat],
        y=[-0.42, 0.42],
        mode="lines",
        line={"color": chart.GREY, "dash": "dash", "width": 1.5},
        hovertemplate="a flat boundary's median: L2 %{x:.3g}<extra></extra>",
    )


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers of an axis: 1, 2 and 5 of each decade, or 1 alone of many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if math.log10(high / low) < DECADES else (1,)
    ticks = [float(f"{digit}e{decade}") for decade in decades for digit in digits]
    return [tick for tick in ticks if low <= tick <= high]
