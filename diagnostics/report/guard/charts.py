"""What each guard catches and what it costs, beside the bare model: charts."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from diagnostics.report import chart
from diagnostics.report.chart import CATEGORICAL, GREY, HOVER, SERIES
from diagnostics.report.guard import tables
from diagnostics.report.guard.tables import BARE, KINDS, Guards, Lane

# Each guard has a shape besides its colour.
COLOURS = (*SERIES, *CATEGORICAL)
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "star")
SEPARATOR = "rgba(128,128,128,0.35)"
LANE_PX, LEFT_PX, TOP_PX, BOTTOM_PX = 21, 124, 52, 56
HEADER = 1.5  # lanes that a block's heading takes
COST_PX, BETWEEN_PX = 34, 90
AWAY = 1.5  # percent of the axis between an interval and what is written beside it


def caught(guards: Guards) -> go.Figure:
    """Draw which share of each kind of image is caught: a block a kind, in it a line a guard."""
    drawing, ticks, y = go.Figure(), dict[float, str](), 0.0
    for kind in tables.kinds(guards):
        lanes = tables.caught(guards, kind)
        drawing.add_annotation(
            text=f"<b>{KINDS[kind]}</b>, n = {lanes[0].rate['n']}",
            xref="paper",
            x=0,
            xshift=-LEFT_PX,
            xanchor="left",
            y=y + 0.1,
            showarrow=False,
        )
        if y:
            drawing.add_shape(
                type="line",
                xref="paper",
                x0=0,
                x1=1,
                y0=y - 0.65,
                y1=y - 0.65,
                line={"color": SEPARATOR, "width": 1},
            )
        heights = [y + 1 + index for index in range(len(lanes))]
        ticks |= {at: lane.title for at, lane in zip(heights, lanes, strict=True)}
        _add_lanes(drawing, lanes, heights, (0.0, 100.0), f"{KINDS[kind].lower()} caught")
        y = heights[-1] + HEADER
    title = "Share caught of images that belong to no class"
    height_px = round(TOP_PX + LANE_PX * (y - 0.2) + BOTTOM_PX)
    chart.frame(drawing, title, height_px, top=TOP_PX, bottom=BOTTOM_PX, right=12)
    drawing.update_layout(margin={"l": LEFT_PX})
    drawing.update_xaxes(
        title="caught (%)", range=[-2, 102], tickvals=list(range(0, 101, 25)), zeroline=False
    )
    drawing.update_yaxes(
        tickvals=list(ticks),
        ticktext=list(ticks.values()),
        range=[y - 0.8, -0.6],
        automargin=False,
        showgrid=False,
        zeroline=False,
    )
    return drawing


def costs(guards: Guards) -> go.Figure:
    """Draw which share of known-good images each guard rejects, and what is still right."""
    first = guards[0].answer
    alpha = 100 * first["alpha"]
    panels = {"good images rejected": tables.rejected(guards)}
    if right := tables.right(guards):
        panels["right and not rejected"] = right
    heights = [len(lanes) + 0.4 for lanes in panels.values()]
    plot_px = COST_PX * sum(heights) + BETWEEN_PX * (len(panels) - 1)
    drawing = make_subplots(
        rows=len(panels),
        row_heights=heights,
        vertical_spacing=BETWEEN_PX / plot_px if len(panels) > 1 else 0,
    )
    for row, (title, lanes) in enumerate(panels.items(), 1):
        ends = _rejected_ends(lanes, alpha) if row == 1 else _right_ends(lanes)
        rows_at = [float(index) for index in range(len(lanes))]
        _add_lanes(drawing, lanes, rows_at, ends, title, row, alpha if row == 1 else 0.0)
        axis = chart.rows_axis(
            [lane.title for lane in lanes],
            range=[len(lanes) - 0.6, -0.7],
            automargin=False,
            showgrid=False,
        )
        drawing.update_yaxes(axis, row=row, col=1)
        drawing.update_xaxes(title=f"{title} (%)", range=ends, zeroline=False, row=row, col=1)
    chart.reference_line(drawing, x=alpha, row=1, col=1)
    drawing.add_annotation(
        text=f"promised: {alpha:g} % at most",
        x=alpha,
        y=1,
        yref="y domain",
        yanchor="bottom",
        xanchor="left",
        showarrow=False,
    )
    title = f"Cost on {first['rejected']['n']} known-good images held out"
    top = TOP_PX + 24
    height_px = round(top + plot_px + BOTTOM_PX)
    chart.frame(drawing, title, height_px, top=top, bottom=BOTTOM_PX, right=12)
    drawing.update_layout(margin={"l": LEFT_PX})
    return drawing


def _add_lanes(
    drawing: go.Figure,
    lanes: Sequence[Lane],
    heights: Sequence[float],
    ends: tuple[float, float],
    rates_of: str,
    row: int | None = None,
    line: float = 0.0,
) -> None:
    """Add marks with their intervals, and what they are in words on the side with more room.

    Args:
        drawing: The figure.
        lanes: From the top.
        heights: Where each stands.
        ends: Of the axis.
        rates_of: What the rates are of.
        row: Of the subplot; None where there is one plot.
        line: Where a line stands that words at the right keep clear of.
    """
    cell = {} if row is None else {"row": row, "col": 1}
    low, high = ends
    away = AWAY * (high - low) / 100
    for lane, y in zip(lanes, heights, strict=True):
        rate, colour = lane.rate, _colour(lane)
        share, lower, upper = (100 * (rate[end] or 0.0) for end in ("value", "low", "high"))
        room_at_left = lower - low > high - upper
        drawing.add_scatter(
            x=[share],
            y=[y],
            error_x=chart.error_bars([share], [lower], [upper], type="data", width=3, color=colour),
            mode="markers",
            marker={
                "size": 11,
                "symbol": _symbol(lane),
                "color": colour,
                "line": {"width": 2 * lane.learned, "color": colour},
            },
            hovertext=f"{lane.title}, {rates_of}: {lane.text}",
            hovertemplate=HOVER,
            cliponaxis=False,
            **cell,
        )
        drawing.add_scatter(
            x=[lower - away if room_at_left else max(upper, line) + away],
            y=[y],
            text=[lane.text],
            mode="text",
            textposition=f"middle {'left' if room_at_left else 'right'}",
            textfont={"size": 12},
            hoverinfo="skip",
            cliponaxis=False,
            **cell,
        )


def _colour(lane: Lane) -> str:
    return GREY if lane.position is None else COLOURS[lane.position % len(COLOURS)]


def _symbol(lane: Lane) -> str:
    if lane.position is None:
        return "cross" if lane.title == BARE else "x"
    return SYMBOLS[lane.position % len(SYMBOLS)] + "-open" * lane.learned


def _rejected_ends(lanes: Sequence[Lane], alpha: float) -> tuple[float, float]:
    """Return the ends of an axis that begins at none and holds every interval and the promise."""
    highest = max(alpha, *(100 * lane.rate["high"] for lane in lanes))
    return -0.03 * highest, min(1.9 * highest, 102.0)


def _right_ends(lanes: Sequence[Lane]) -> tuple[float, float]:
    """Return the ends of an axis that ends at all and holds every interval."""
    worst = max(100 - 100 * lane.rate["low"] for lane in lanes)
    return max(100 - 1.9 * worst, -2.0), 100 + 0.03 * worst
