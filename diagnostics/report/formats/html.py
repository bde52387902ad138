"""One self-contained HTML file of what is on the screen: no network, no scripts."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from diagnostics.report.formats import Sections, report_format
from diagnostics.report.render import Picture
from diagnostics.report.table import Bar, Card, Cell, Row, Table

STYLE = Path(__file__).with_name("page.css")
BOX = 256
ICONS = {"trust": "✓", "distrust": "✕", "cannot_tell": "?", "waiting": "…"}


@report_format("HTML", ending=".html", mime="text/html")
def page(title: str, facts: Mapping[str, str], sections: Sections) -> str:
    """Everything on this page as one HTML file that opens without a network.

    Args:
        title: Stands at the top.
        facts: What was looked at and how, name by name; the time is added.
        sections: Rows and tables by the section's heading, in the order of the screen.

    Returns:
        A whole page.
    """
    dated = {**facts, "Made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"}
    items = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in dated.items()
    )
    body = "".join(_section(heading, rows) for heading, rows in sections.items() if rows)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE.read_text('utf-8')}</style>"
        f"<h1>{escape(title)}</h1><dl>{items}</dl>{body}</html>"
    )


def _section(heading: str, rows: Sequence[Row | Table]) -> str:
    drawn = "".join(_table(row) if isinstance(row, Table) else _row(row) for row in rows)
    return f"<section><h2>{escape(heading)}</h2>{drawn}</section>"


def _row(row: Row) -> str:
    above = _text("h3", row.title) + "".join(_text("p", text) for text in row.sentences)
    return f'{above}<div class="row">{"".join(map(_cell, row.cells))}</div>' if row.cells else above


def _table(table: Table) -> str:
    names = list(table.rows[0]) if table.rows else []
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(row.get(name, str()))}</td>' for name in names)}</tr>"
        for row in table.rows
    )
    drawn = (
        f"{_text('p', table.caption)}"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
    if table.is_folded:
        return f"<details><summary>{escape(table.title)}</summary>{drawn}</details>"
    return _text("h3", table.title) + drawn


def _cell(cell: Cell) -> str:
    parts = [
        _text("strong", cell.hover or cell.title),
        _text("div", cell.answer, "answer"),
        _text("div", cell.confidence, "answer"),
        _card(cell.card) if cell.card else "",
        "".join(_bar(bar) for bar in cell.bars),
        _text("div", cell.empty, "empty"),
        f'<div class="pictures">{"".join(map(_picture, cell.pictures))}</div>',
        *(_text("p", note) for note in (*cell.notes, *cell.details)),
        *(_text("p", warning, "warning") for warning in cell.warnings),
    ]
    return f'<div class="cell">{"".join(parts)}</div>'


def _card(card: Card) -> str:
    word = f'<b class="word"><i>{ICONS[card.kind]}</i> {escape(card.word)}</b>'
    return (
        f'<div class="card {card.kind}">{word}{_text("p", card.sentence)}'
        f"{_text('p', card.advice)}</div>"
    )


def _text(tag: str, text: str, kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f"<{tag}{name}>{escape(text)}</{tag}>" if text else ""


def _bar(bar: Bar) -> str:
    share = max(0.0, min(bar.share, 1.0))
    return (
        f'<div class="bar" title="{escape(bar.title)}"><span>{escape(bar.name)}</span>'
        f'<span>{escape(bar.text)}</span><i style="width:{100 * share:.2f}%"></i></div>'
    )


def _picture(picture: Picture) -> str:
    """Enlarge by a whole number only, without smoothing; shrink to the box."""
    height, width = picture.pixels.shape[:2]
    shown = width * max(1, BOX // max(height, width))
    source = base64.b64encode(picture.png).decode()
    caption = " · ".join(part for part in (picture.caption, f"{width} × {height} px") if part)
    return (
        f'<figure><span><img src="data:image/png;base64,{source}" alt="{escape(picture.alt)}" '
        f'style="width:{min(shown, BOX)}px">{_outline(picture)}</span>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _outline(picture: Picture) -> str:
    """Draw a line around a part of a picture, in percent of its sides."""
    if picture.outline is None:
        return ""
    height, width = picture.pixels.shape[:2]
    left, top, right, bottom = picture.outline
    sides = {
        "left": left / width,
        "top": top / height,
        "width": (right - left) / width,
        "height": (bottom - top) / height,
    }
    style = ";".join(f"{name}:{100 * share:.4f}%" for name, share in sides.items())
    return f'<i class="outline" style="{style}"></i>'
