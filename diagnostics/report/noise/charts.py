"""Charts of what a model says of noise: how sure it is, which class it says, and of blanks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from diagnostics.report.chart import Values, log_odds, log_odds_ticks
from diagnostics.report.formatting import escaped, rate
from diagnostics.report.noise import tables
from diagnostics.report.noise.tables import BLANK, OTHERS, REAL, YOURS, Entry, Said, lanes
from diagnostics.text import probability

GREY = "#808080"  # stands apart from light and dark alike
SCALE = "Cividis"
ROW_PX, CELL_PX, AROUND_PX = 48, 58, 130
STEP, SPREAD = 0.6180339887498949, 0.62  # the golden ratio keeps the points of a row apart
WRITTEN = 5  # percent, from which on a share is written into its cell
CELL = 0.94
LETTER = 6  # grey levels that a letter of a name takes on the axis of blank images
MIDDLE = 0.55  # of the scale, where white text gives way to black


def confidence(found: Said, classes: Sequence[str], *, stretch: bool) -> go.Figure:
    """Draw how sure the model is of every image, a row a family, real images first.

    Args:
        found: All families of the answer.
        classes: Names of the classes.
        stretch: Draw the odds on a logarithmic scale, so that near 100 % nothing is squashed;
            otherwise percent.
    """
    rows, limit = lanes(found), tables.level(found)
    made = go.Figure()
    for kind, symbol in ((REAL, "circle"), ("", "circle-open"), (YOURS, "diamond-open")):
        mine = [(y, one) for y, one in enumerate(rows) if _kind(one) == kind]
        made.add_scatter(
            x=[x for _, one in mine for x in _places(one, stretch)],
            y=[y + shift for y, one in mine for shift in _apart(one["n"])],
            customdata=[[one["family"], number] for _, one in mine for number in one["number"]],
            text=[text for _, one in mine for text in _hover(one, classes)],
            mode="markers",
            marker={"symbol": symbol, "size": 7},
            hovertemplate="%{text}<extra></extra>",
            visible=bool(mine),
        )
    made.add_scatter(
        x=[float(np.median(_places(one, stretch))) for one in rows],
        y=list(range(len(rows))),
        mode="markers",
        marker={"symbol": "line-ns", "size": 32, "line": {"width": 3, "color": GREY}},
        hoverinfo="skip",
    )
    if limit:
        shown = _places({key: [limit[key]] for key in ("confidence", "one_minus_p")}, stretch)
        made.add_vline(x=float(shown[0]), line={"color": GREY, "dash": "dash", "width": 1.5})
    n = sum(one["n"] for one in tables.noise(found))
    real = sum(one["n"] for one in rows) - n
    _framed(made, f"Confidence in {n} images of noise, {real} real", rows)
    made.update_yaxes(title="images", ticktext=[_reached(one, limit) for one in rows])
    made.update_xaxes(title="confidence (%)", zeroline=False)
    if stretch and rows:
        every = np.concatenate([_places(one, stretch) for one in rows])
        low, high = float(every.min()), float(every.max())
        places, named = log_odds_ticks(low, high)
        room = 0.04 * (high - low) + 0.05
        title = "confidence (%), stretched at its ends"
        made.update_xaxes(
            title=title, tickvals=places, ticktext=named, range=[low - room, high + room]
        )
    return made


def shares(found: Said, classes: Sequence[str]) -> go.Figure:
    """Draw which class every family is taken for.

    Args:
        found: All families of the answer.
        classes: Names of the classes.
    """
    rows, columns = lanes(found), tables.swallowing(found, len(classes))
    names = [tables.column(one, columns, classes) for one in columns]
    n = sum(one["n"] for one in rows)
    made = go.Figure()
    made.add_bar(**_cells(rows, columns, names, len(classes)))
    _framed(made, f"Share of each class in {n} answers (%)", rows)
    made.update_layout(
        height=AROUND_PX + 40 + CELL_PX * max(len(rows), 2), margin={"t": 96, "r": 24}
    )
    made.update_yaxes(
        title="images", ticktext=[_sink(one, classes) for one in rows], showgrid=False
    )
    made.update_xaxes(
        title="class that was said",
        tickvals=list(range(len(columns))),
        ticktext=[
            "others" if one == OTHERS else escaped(name, 16)
            for one, name in zip(columns, names, strict=True)
        ],
        ticklabeloverflow="allow",
        range=[-0.5, len(columns) - 0.5],
        showgrid=False,
        zeroline=False,
    )
    return made


def blank(one: Entry, levels: Sequence[int], classes: Sequence[str], *, stretch: bool) -> go.Figure:
    """Draw what the model says of images of one grey level, from black to white.

    Args:
        one: The family of blank images.
        levels: Grey level of each draw, 0 to 255.
        classes: Names of the classes.
        stretch: As for `confidence`.
    """
    order, hover = tables.by_level(one, levels), _hover(one, classes)
    y = _places(one, stretch)[order]
    greys = [levels[one["number"][place]] for place in order]
    said = [one["said"][place] for place in order]
    named = _named(said, greys, [escaped(name, 14) for name in classes])
    made = go.Figure()
    made.add_scatter(
        x=greys,
        y=y,
        customdata=[[BLANK, one["number"][place]] for place in order],
        mode="lines+markers+text",
        line={"width": 1},
        marker={"size": 9},
        text=[f"<b>{name}</b>" if name else "" for name in named],
        textposition="top center",
        textfont={"size": 15},
        hovertext=[
            f"grey level {grey}; {hover[place]}" for grey, place in zip(greys, order, strict=True)
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        cliponaxis=False,
    )
    made.update_layout(
        title=f"Confidence in the top class of {one['n']} blank images",
        height=320,
        margin={"t": 60, "b": 52},
    )
    made.update_xaxes(
        title="grey level of every pixel, 0 (black) to 255 (white)", range=[-6, 261], zeroline=False
    )
    made.update_yaxes(title="confidence (%)", zeroline=False)
    if stretch:
        places, named = log_odds_ticks(float(y.min()), float(y.max()))
        made.update_yaxes(title="confidence (%), stretched", tickvals=places, ticktext=named)
    return made


def _cells(
    rows: Said, columns: Sequence[int], names: Sequence[str], classes: int
) -> dict[str, Any]:
    """Return a cell for each family and class: a bar, because a bar can be clicked."""
    cells = [(y, x) for y in range(len(rows)) for x in range(len(columns))]
    flat = [share for one in rows for share in tables.shares(one, columns, classes)]
    most = max(flat, default=100.0)
    bar = {
        **{"orientation": "h", "thickness": 10, "len": 0.5, "outlinewidth": 0},
        **{"x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"},
    }
    return {
        "x": [x for _, x in cells],
        "y": [CELL] * len(cells),
        "base": [y - CELL / 2 for y, _ in cells],
        "width": CELL,
        "marker": {
            **{"color": flat, "colorscale": SCALE, "cmin": 0, "cmax": most},
            **{"line": {"width": 0}, "colorbar": bar},
        },
        "customdata": [[rows[y]["family"], None, columns[x]] for y, x in cells],
        "text": [f"{value:.0f}" if value >= WRITTEN else "" for value in flat],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "insidetextfont": {"color": ["#fff" if one < MIDDLE * most else "#000" for one in flat]},
        "hovertext": [
            f"{escaped(rows[y]['title'])}, {escaped(names[x])}: "
            + rate(round(share * rows[y]["n"] / 100), rows[y]["n"])
            for (y, x), share in zip(cells, flat, strict=True)
        ],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _named(said: Sequence[int], greys: Sequence[int], names: Sequence[str]) -> list[str]:
    """Return what is written above each level: a class in the middle of its run, with room."""
    starts = [place for place in range(len(said)) if not place or said[place] != said[place - 1]]
    runs = [list(range(*ends)) for ends in zip(starts, [*starts[1:], len(said)], strict=True)]
    written = [""] * len(said)
    for run in sorted(runs, key=len, reverse=True):
        middle, name = run[len(run) // 2], names[said[run[0]]]
        others = [(greys[place], other) for place, other in enumerate(written) if other]
        if all(
            abs(greys[middle] - at) > LETTER * (len(name) + len(other)) / 2 + LETTER
            for at, other in others
        ):
            written[middle] = name
    return written


def _framed(made: go.Figure, title: str, rows: Said) -> None:
    made.update_layout(
        title=title,
        height=AROUND_PX + ROW_PX * max(len(rows), 2),
        margin={"t": 60, "b": 56},
        showlegend=False,
    )
    made.update_yaxes(
        tickvals=list(range(len(rows))), range=[len(rows) - 0.45, -0.55], zeroline=False
    )


def _kind(one: Entry) -> str:
    return one["family"] if one["family"] in (REAL, YOURS) else ""


def _places(one: Entry, stretch: bool) -> Values:
    """Return where a family's images stand on the axis of confidence."""
    p = np.asarray(one["confidence"], np.float64)
    distance = np.asarray(one["one_minus_p"], np.float64)
    places: Values = log_odds(p, distance) if stretch else 100 * p
    return places


def _apart(n: int) -> Values:
    """Return how far each point of a row is moved up or down, so that they keep apart."""
    places = np.arange(1, n + 1, dtype=np.float64)
    moved: Values = SPREAD * ((places * STEP) % 1 - 0.5)
    return moved


def _hover(one: Entry, classes: Sequence[str]) -> list[str]:
    values = zip(one["number"], one["said"], one["confidence"], one["one_minus_p"], strict=True)
    return [
        f"{_name(one, number)}: {escaped(classes[said])}, {probability(p, d)}"
        for number, said, p, d in values
    ]


def _name(one: Entry, number: int) -> str:
    files = one.get("files")
    return escaped(files[number]) if files else f"{one['title']}, draw {number}"


def _reached(one: Entry, limit: Entry | None) -> str:
    n = f"n = {one['n']}"
    if limit and one["family"] != REAL:
        n = f"{tables.reach(one, limit)} of {one['n']} reach the line"
    return f"<b>{one['title']}</b><br>{n}"


def _sink(one: Entry, classes: Sequence[str]) -> str:
    name = escaped(classes[one["sink"]["index"]], 14)
    return f"<b>{one['title']}</b><br>{name}: {tables.sink(one)}<br>evenness {one['entropy']:.2f}"
