"""What each guard catches and what it costs, beside the bare model: charts."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from diagnostics.report.guard import tables
from diagnostics.report.guard.tables import BARE, KINDS, LANES, Answers, Lane

# Blue, orange and green that reach 3 : 1 on light and dark alike; each guard has a shape besides.
GREY = "#808080"
COLOURS = {"threshold": "#1f83b8", "extra_class": "#d06a10", "discriminator": "#1a946f"}
SYMBOLS = {
    BARE: "cross",
    "threshold": "circle",
    "extra_class": "square",
    "discriminator": "diamond",
}
LINE = "rgba(128,128,128,0.35)"
LANE_PX, LEFT_PX, TOP_PX, BOTTOM_PX = 21, 124, 52, 56
HEADER = 1.5  # lanes that a block's heading takes
COST_PX = 34
AWAY = 1.5  # percent of the axis between an interval and what is written beside it


def caught(answers: Answers) -> go.Figure:
    """Draw which share of each kind of image is caught: a block a kind, in it a line a guard.

    Args:
        answers: Of the guards that could be fitted.
    """
    made, ticks, y = go.Figure(), dict[float, str](), 0.0
    for kind in tables.kinds(answers):
        lanes = tables.caught(answers, kind)
        heading = f"<b>{KINDS[kind]}</b>, n = {lanes[0].rate['n']}"
        made.add_annotation(
            text=heading,
            xref="paper",
            x=0,
            xshift=-LEFT_PX,
            xanchor="left",
            y=y + 0.1,
            showarrow=False,
        )
        if y:
            edge = {"x0": 0, "x1": 1, "xref": "paper", "line": {"color": LINE, "width": 1}}
            made.add_shape(type="line", y0=y - 0.65, y1=y - 0.65, **edge)
        places = [y + 1 + place for place in range(len(lanes))]
        ticks |= {at: LANES[lane.name] for at, lane in zip(places, lanes, strict=True)}
        _add_lanes(made, lanes, places, (0.0, 100.0), f"{KINDS[kind].lower()} caught")
        y = places[-1] + HEADER
    made.update_layout(
        title="Share caught of images that belong to no class",
        height=round(TOP_PX + LANE_PX * (y - 0.2) + BOTTOM_PX),
        margin={"t": TOP_PX, "b": BOTTOM_PX, "l": LEFT_PX, "r": 12},
        showlegend=False,
    )
    made.update_xaxes(title="caught (%)", range=[-2, 102], tickvals=list(range(0, 101, 25)))
    made.update_xaxes(zeroline=False)
    made.update_yaxes(
        tickvals=list(ticks),
        ticktext=list(ticks.values()),
        range=[y - 0.8, -0.6],
        automargin=False,
        showgrid=False,
        zeroline=False,
    )
    return made


def costs(answers: Answers) -> go.Figure:
    """Draw which share of known-good images each guard rejects, and what is still right.

    Args:
        answers: Of the guards that could be fitted.
    """
    first = next(iter(answers.values()))
    alpha = 100 * first["alpha"]
    panels = [tables.rejected(answers)]
    panels += [right] if (right := tables.right(answers)) else []
    heights = [len(panel) + 0.4 for panel in panels]
    plot = COST_PX * sum(heights) + 90 * (len(panels) - 1)
    made = make_subplots(
        rows=len(panels), row_heights=heights, vertical_spacing=90 / plot if len(panels) > 1 else 0
    )
    for row, lanes in enumerate(panels, 1):
        title = ("good images rejected", "right and not rejected")[row - 1]
        ends = _rejected_ends(lanes, alpha) if row == 1 else _right_ends(lanes)
        places = [float(place) for place in range(len(lanes))]
        _add_lanes(made, lanes, places, ends, title, row, alpha if row == 1 else 0.0)
        made.update_yaxes(
            tickvals=places,
            ticktext=[LANES[lane.name] for lane in lanes],
            range=[len(lanes) - 0.6, -0.7],
            automargin=False,
            showgrid=False,
            zeroline=False,
            row=row,
            col=1,
        )
        made.update_xaxes(title=f"{title} (%)", range=ends, zeroline=False, row=row, col=1)
    made.add_vline(x=alpha, line={"color": GREY, "dash": "dash", "width": 1.5}, row=1, col=1)
    made.add_annotation(
        text=f"promised: {alpha:g} % at most",
        x=alpha,
        y=1,
        yref="y domain",
        yanchor="bottom",
        xanchor="left",
        showarrow=False,
    )
    made.update_layout(
        title=f"Cost on {first['good_rejected']['n']} known-good images held out",
        height=round(TOP_PX + 24 + plot + BOTTOM_PX),
        margin={"t": TOP_PX + 24, "b": BOTTOM_PX, "l": LEFT_PX, "r": 12},
        showlegend=False,
    )
    return made


def _add_lanes(
    made: go.Figure,
    lanes: Sequence[Lane],
    places: Sequence[float],
    ends: tuple[float, float],
    of: str,
    row: int | None = None,
    line: float = 0.0,
) -> None:
    """Add marks with their intervals, and what they are in words on the side with more room.

    Args:
        made: The figure.
        lanes: From the top.
        places: Where each stands.
        ends: Of the axis.
        of: What the rates are of.
        row: Of the subplot; None where there is one plot.
        line: Where a line stands that words at the right keep clear of.
    """
    where = {} if row is None else {"row": row, "col": 1}
    low, high = ends
    for lane, y in zip(lanes, places, strict=True):
        colour, share = COLOURS.get(lane.name, GREY), 100 * lane.rate["value"]
        least, most = 100 * lane.rate["low"], 100 * lane.rate["high"]
        left = least - low > high - most
        away = AWAY * (high - low) / 100
        made.add_scatter(
            x=[share],
            y=[y],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [most - share],
                "arrayminus": [share - least],
                "thickness": 1.5,
                "width": 3,
                "color": colour,
            },
            mode="markers",
            marker={
                "size": 11,
                "symbol": SYMBOLS.get(lane.name, "x") + "-open" * lane.learned,
                "color": colour,
                "line": {"width": 2 * lane.learned, "color": colour},
            },
            hovertext=f"{LANES[lane.name]}, {of}: {lane.text}",
            hovertemplate="%{hovertext}<extra></extra>",
            cliponaxis=False,
            **where,
        )
        made.add_scatter(
            x=[least - away if left else max(most, line) + away],
            y=[y],
            text=[lane.text],
            mode="text",
            textposition=f"middle {'left' if left else 'right'}",
            textfont={"size": 12},
            hoverinfo="skip",
            cliponaxis=False,
            **where,
        )


def _rejected_ends(lanes: Sequence[Lane], alpha: float) -> tuple[float, float]:
    """Return the ends of an axis that begins at none and holds every interval and the promise."""
    most = max(alpha, *(100 * lane.rate["high"] for lane in lanes))
    return -0.03 * most, min(1.9 * most, 102.0)


def _right_ends(lanes: Sequence[Lane]) -> tuple[float, float]:
    """Return the ends of an axis that ends at all and holds every interval."""
    worst = max(100 - 100 * lane.rate["low"] for lane in lanes)
    return max(100 - 1.9 * worst, -2.0), 100 + 0.03 * worst
