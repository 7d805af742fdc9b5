"""The report of a case for people: a timeline, a picture of the lineage, and every row in words.

One page without scripts or outside references, and a function of the rows alone: a verifier renders it
again and compares, so nobody can edit the page and leave the proofs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html import escape

from registry.audit.case import CaseRows
from registry.audit.forensics import describe, timeline, who_of
from registry.audit.impact import Link, components_of, links_of
from registry.audit.rows import Row

MAX_LINES = 2000
MAX_NODES = 200
MAX_MARKS = 1000
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ddd;padding:.3rem .5rem;"
    "text-align:left;vertical-align:top}th,td:nth-child(-n+3){white-space:nowrap}"
    "code,td{overflow-wrap:anywhere}code{font-size:.85em}"
    "svg{max-width:100%;height:auto;border:1px solid #ddd}h2{margin-top:2.5rem}"
    # On a telephone a row is a paragraph.
    "@media(max-width:45rem){table,tbody,tr,td{display:block}th{display:none}td{border:0;padding:0}"
    "tr{border-bottom:1px solid #ddd;padding:.5rem 0}}"
)
_BOX = (170, 36)  # of one version in the lineage, and the distances from one to the next
_PITCH = (220, 52)
_LONGEST_NAME = 24


def report_html(case: CaseRows) -> bytes:
    """The page."""
    rows = _named(case)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>TwinLedger case</title>',
        f"<style>{_STYLE}</style></head><body>",
        _head(case),
        "<h2>When</h2>",
        _time_picture(rows),
        "<h2>Lineage</h2>",
        _lineage_picture(_links(case), _names(case)),
        "<h2>What happened</h2>",
        _table(rows),
        "</body></html>\n",
    ]
    return "\n".join(parts).encode()


def _named(case: CaseRows) -> list[Row]:
    """The chain log knows a model by its id; people read the name, where the manifest is in the file."""
    names = _names(case)
    return [replace(row, model=names.get(row.version or "", row.model)) for row in case.rows]


def _names(case: CaseRows) -> dict[str, str]:
    return {version: manifest.model for version, manifest in case.manifests.items()}


def _when(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _head(case: CaseRows) -> str:
    header = case.header
    asked = ", ".join(f"{name} {value}" for name, value in header.asked.to_json().items()) or "everything"
    logs = "".join(
        f"<li>{escape(part.name)}: <code>{escape(part.origin)}</code>, "
        f"{'the whole log' if part.is_whole else 'a selection'}</li>"
        for part in header.logs
    )
    people = sorted({who_of(row) for row in case.rows})
    return (
        f"<h1>Evidence</h1><p>Made {_when(header.created)}. Asked for: {escape(asked)}. "
        f"{_some(len(case.rows), 'event')}, {_some(len(people), 'actor')}, "
        f"{_some(len(case.manifests), 'manifest')}, chain {header.chain_id}.</p><ul>{logs}</ul>"
        "<p>This page is a rendering. What it rests on is in this file's proofs: run "
        "<code>twinledger audit verify case.zip --trust trust.json</code>.</p>"
    )


def _some(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _table(rows: Sequence[Row]) -> str:
    lines = [
        f"<tr><td>{_when(moment.time)}</td><td><code>{escape(moment.name)}</code></td>"
        f"<td>{escape(moment.kind)}</td><td><code>{escape(moment.who)}</code></td>"
        f"<td>{escape(moment.text)}</td></tr>"
        for moment in timeline(rows[:MAX_LINES])
    ]
    more = len(rows) - MAX_LINES
    rest = f"<p>And {more} more, in the files under entries/.</p>" if more > 0 else ""
    head = "<tr><th>Time</th><th>Event</th><th>Kind</th><th>Who</th><th>What</th></tr>"
    return f"<table>{head}{''.join(lines)}</table>{rest}"


def _time_picture(rows: Sequence[Row]) -> str:
    """A lane for each kind, a mark for each event."""
    if not rows:
        return "<p>No events.</p>"
    kinds = sorted({row.kind for row in rows})
    first, last = rows[0].time, rows[-1].time
    span = max(last - first, 1)
    marks = []
    for row in rows[:MAX_MARKS]:
        x = 200 + (row.time - first) * 780 // span
        y = 24 + 22 * kinds.index(row.kind)
        title = escape(f"{_when(row.time)} {describe(row)}")
        marks.append(f'<circle cx="{x}" cy="{y}" r="4" fill="#0b5fa5"><title>{title}</title></circle>')
    lanes = [
        f'<text x="8" y="{28 + 22 * i}" font-size="12">{escape(kind)}</text>'
        f'<line x1="200" x2="980" y1="{24 + 22 * i}" y2="{24 + 22 * i}" stroke="#ddd"/>'
        for i, kind in enumerate(kinds)
    ]
    height = 50 + 22 * len(kinds)
    ends = (
        f'<text x="200" y="{height - 6}" font-size="11">{_when(first)}</text>'
        f'<text x="980" y="{height - 6}" font-size="11" text-anchor="end">{_when(last)}</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="1000" viewBox="0 0 1000 {height}" role="img" '
        f'aria-label="timeline">{"".join(lanes)}{"".join(marks)}{ends}</svg>'
    )


def _links(case: CaseRows) -> list[Link]:
    links = links_of(case.rows)
    for version, manifest in case.manifests.items():
        links += components_of(version, manifest)
    return sorted(dict.fromkeys(links), key=lambda link: (link.child, link.parent, link.role))


def _depths(links: Sequence[Link]) -> dict[str, int]:
    """The longest way from a version without parents, so that arrows point to the right."""
    depth: dict[str, int] = {}
    for link in links:
        depth.setdefault(link.parent, 0)
        depth.setdefault(link.child, 0)
    for _ in range(len(depth)):
        moved = False
        for link in links:
            if depth[link.child] <= depth[link.parent] < len(depth):
                depth[link.child] = depth[link.parent] + 1
                moved = True
        if not moved:
            break
    return depth


def _lineage_picture(links: Sequence[Link], names: Mapping[str, str]) -> str:
    shown = list(links[:MAX_NODES])
    if not shown:
        return "<p>No version here was made from another.</p>"
    depth = _depths(shown)
    columns: dict[int, list[str]] = {}
    for version in sorted(depth):
        columns.setdefault(depth[version], []).append(version)
    places = {
        version: (20 + _PITCH[0] * column, 14 + _PITCH[1] * line)
        for column, held in enumerate(columns[key] for key in sorted(columns))
        for line, version in enumerate(held)
    }
    width = _PITCH[0] * len(columns)
    height = _PITCH[1] * max(len(held) for held in columns.values()) + 30
    arrows = [_arrow(places[link.parent], places[link.child], link.role) for link in shown]
    boxes = [_box(version, names.get(version, ""), *places[version]) for version in sorted(places)]
    more = f"<p>And {len(links) - len(shown)} more links.</p>" if len(links) > len(shown) else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="lineage">{_TIP}{"".join(arrows)}{"".join(boxes)}</svg>{more}'
        "<p>From left to right: what was made from what; dashed lines are components.</p>"
    )


_TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0 0L8 4L0 8z" fill="#777"/></marker></defs>'
)


def _arrow(start: tuple[int, int], end: tuple[int, int], role: str) -> str:
    """A line to the next column; one that goes farther sags, or the boxes between would hide it."""
    dash = ' stroke-dasharray="5 4"' if role == "component" else ""
    x1, x2 = start[0] + _BOX[0], end[0]
    y1, y2 = start[1] + _BOX[1] // 2, end[1] + _BOX[1] // 2
    sag = 46 if x2 - x1 > _PITCH[0] else 0
    path = f"M{x1} {y1}C{x1 + 40} {y1 + sag} {x2 - 40} {y2 + sag} {x2} {y2}"
    return f'<path d="{path}" fill="none" stroke="#777" stroke-width="1.5" marker-end="url(#tip)"{dash}/>'


def _box(version: str, name: str, x: int, y: int) -> str:
    middle = x + _BOX[0] // 2
    short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    return (
        f'<g><rect x="{x}" y="{y}" width="{_BOX[0]}" height="{_BOX[1]}" rx="5" fill="#eef5fb" '
        f'stroke="#0b5fa5"/><text x="{middle}" y="{y + 16}" font-size="12" text-anchor="middle">'
        f'{escape(short)}</text><text x="{middle}" y="{y + 29}" font-size="10" text-anchor="middle" '
        f'fill="#555">{escape(version[:18])}…</text><title>{escape(version)}</title></g>'
    )
