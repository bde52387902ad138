"""One visual language for every chart: colours, frame, axes, hover text, reference lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from diagnostics.report.formatting import escaped

Values = NDArray[np.float64]

GREY = "#808080"  # stands apart from light and dark alike
FAINT = "rgba(128,128,128,0.15)"
SERIES = ("#1f83b8", "#d06a10", "#1a946f", "#a05195")  # a few lines, on light and dark
# Okabe and Ito's colours, which stay apart for colour-blind people, on light and dark.
CATEGORICAL = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#D55E00",
    "#56B4E9",
    "#8C6BB1",
    "#B3A100",
)
SEQUENTIAL = "Cividis"
DARK = 0.465  # share of the sequential scale below which white text stands on it, at 4.5 : 1
LABEL_ON_LIGHT, LABEL_ON_DARK = "#3b464d", "#c3cbd1"  # 9.6 : 1 and 11.2 : 1 on their pages
HOVER = "%{hovertext}<extra></extra>"  # the hover text of a point, and nothing beside it

MAX_DECADES = 30  # beyond, a probability is drawn at the end of the axis
MAX_TICKS = 9
TICK_TOLERANCE = 0.1  # how far outside the axis a tick may lie


def figure(title: str, height_px: int, **layout: Any) -> go.Figure:
    """Return an empty figure in the common frame, see `frame`."""
    return frame(go.Figure(), title, height_px, **layout)


def frame(
    chart: go.Figure,
    title: str,
    height_px: int,
    *,
    top: int = 60,
    bottom: int = 56,
    right: int | None = None,
    legend: bool | dict[str, Any] = False,
    **layout: Any,
) -> go.Figure:
    """Give a figure the common frame and return it.

    Args:
        chart: The figure.
        title: What is shown, with the number of images that it rests on.
        height_px: Height with title and axes.
        top: Margin above, in px; two lines of legend need more.
        bottom: Margin below, in px.
        right: Margin at the right, in px; None leaves it to plotly.
        legend: Whether there is one, or where, see `LEGEND_ABOVE`.
        **layout: Whatever else plotly's layout takes.
    """
    margin = {"t": top, "b": bottom} | ({} if right is None else {"r": right})
    chart.update_layout(
        title=title, height=height_px, margin=margin, showlegend=bool(legend), **layout
    )
    if isinstance(legend, dict):
        chart.update_layout(legend=legend)
    return chart


LEGEND_ABOVE = {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"}
LEGEND_ABOVE_RIGHT = {
    "orientation": "h",
    "x": 1,
    "xanchor": "right",
    "y": 1.0,
    "yanchor": "bottom",
}


def bare_axis(**more: Any) -> dict[str, Any]:
    """Return an axis without numbers, grid and zero line."""
    return {"showticklabels": False, "showgrid": False, "zeroline": False} | more


def rows_axis(names: Sequence[str], **more: Any) -> dict[str, Any]:
    """Return an axis of named rows, the first at the top."""
    count = len(names)
    axis = {"tickvals": list(range(count)), "ticktext": list(names), "zeroline": False}
    return axis | {"range": [count - 0.4, -0.6]} | more


def percent_axis(title: str = "confidence (%)", **more: Any) -> dict[str, Any]:
    """Return an axis from 0 to 100 percent."""
    return {"title": title, "range": [-3, 103], "zeroline": False} | more


def log_odds_axis(
    low: float, high: float, title: str = "confidence (%), stretched", **more: Any
) -> dict[str, Any]:
    """Return an axis of log-odds that is written in percent.

    Args:
        low: Least log10(p / (1 − p)) shown, see `log_odds`.
        high: Greatest.
        title: What stands at the axis.
        **more: Whatever else plotly's axis takes.
    """
    places, names = log_odds_ticks(low, high)
    return {"title": title, "tickvals": places, "ticktext": names, "zeroline": False} | more


def reference_line(
    chart: go.Figure,
    *,
    x: float | None = None,
    y: float | None = None,
    dash: str = "dash",
    width: float = 1.5,
    **cell: int,
) -> None:
    """Draw a grey line across a chart, at a value of one of its axes.

    Args:
        chart: The figure.
        x: Where it stands upright.
        y: Where it lies.
        dash: "dash" for a threshold, "dot" for what changes nothing.
        width: In px.
        **cell: `row` and `col` of a subplot.
    """
    line = {"color": GREY, "dash": dash, "width": width}
    if x is not None:
        chart.add_vline(x=x, line=line, **cell)
    if y is not None:
        chart.add_hline(y=y, line=line, **cell)


def error_bars(
    values: Sequence[float], low: Sequence[float], high: Sequence[float], **more: Any
) -> dict[str, Any]:
    """Return plotly's bars from the lower to the upper end of each value's interval."""
    return {
        "symmetric": False,
        "array": [max(end - value, 0) for value, end in zip(values, high, strict=True)],
        "arrayminus": [max(value - end, 0) for value, end in zip(values, low, strict=True)],
        "thickness": 1.5,
    } | more


def text_on(colour: str) -> str:
    """Return black or white, whichever is read better on a colour; all are "#rrggbb"."""
    return max("#000000", "#ffffff", key=lambda text: contrast(text, colour))


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, "#rrggbb", from 1 to 21; text needs 4.5.

    Source: WCAG 2.2, "contrast ratio".
    """
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (red, green, blue)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def themed(figure: go.Figure, *, dark: bool) -> go.Figure:
    """Give every label of a figure a colour that is read on the page, and return the figure.

    Args:
        figure: A figure; what stands inside of coloured areas keeps its own colour.
        dark: Whether the page is dark.
    """
    text = {"color": LABEL_ON_DARK if dark else LABEL_ON_LIGHT}
    axis = {"tickfont": text, "title": {"font": text}}
    figure.update_layout(font=text, title={"font": text}, legend={"font": text})
    figure.update_xaxes(axis)
    figure.update_yaxes(axis)
    figure.update_annotations(font=text)
    for trace in figure.data:
        if (
            trace.type == "scatter"
            and "text" in (trace.mode or "")
            and trace.textfont.color is None
        ):
            trace.textfont.color = text["color"]
        for scale in (trace, getattr(trace, "marker", None)):
            colorbar = getattr(scale, "colorbar", None)
            if colorbar is not None and (colorbar.to_plotly_json() or trace.type == "heatmap"):
                colorbar.update(axis)
    return figure


def names_on_axis(names: Sequence[str], length: int) -> list[str]:
    """Return names as plotly shows them beside an axis."""
    return [escaped(name, length) for name in names]


def log_odds(probability: Values, one_minus_p: Values) -> Values:
    """Return log10(p / (1 − p)), which tells 99 % from 99.99 % as well as 1 % from 10 %.

    Args:
        probability: 0 to 1.
        one_minus_p: 1 − probability, exact.
    """
    least = 10.0**-MAX_DECADES
    odds: Values = np.log10(np.maximum(probability, least)) - np.log10(
        np.maximum(one_minus_p, least)
    )
    return odds


def log_odds_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Return where probabilities are written on an axis of log-odds, and how.

    Args:
        low: Left end of what is shown.
        high: Right end.
    """
    far = [10.0**-decades for decades in range(4, MAX_DECADES + 1)]
    complements = [0.5, 0.01, 0.1, 0.9, 0.001, *far, 0.99, 0.999, 0.25, 0.75, 0.05, 0.2]
    ticks: list[tuple[float, str]] = []
    for complement in complements:
        at = float(log_odds(np.array([1 - complement]), np.array([complement]))[0])
        inside = low - TICK_TOLERANCE <= at <= high + TICK_TOLERANCE
        if inside and all(abs(at - other) >= (high - low) / MAX_TICKS for other, _ in ticks):
            ticks.append((at, _tick(complement)))
    return [at for at, _ in sorted(ticks)], [name for _, name in sorted(ticks)]


def _tick(complement: float) -> str:
    if complement >= 1e-3:
        return f"{100 * (1 - complement):.4g} %"
    return f"1 − 1e-{round(-np.log10(complement))}"
