"""HTML for a notebook: self-contained, no scripts, every text escaped."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runoff._util.messages import is_default, number_of, short_repr, visible
from runoff._util.text import snippet
from runoff._util.without_secrets import without_secrets
from runoff.report._account import result_rows, stage_rows
from runoff.report._response import fate_rows, of_response

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runoff.live import Answer
    from runoff.report._account import Account
    from runoff.trace import Trace
    from runoff.types import Response

_NARROW = 40  # characters of a cell that is not wrapped
_SHORT = 60  # characters of a text before it is unfolded
_LONG = 5000  # and after
_OTHERS = 20  # documents listed that were not returned: notebooks are committed with their views
_FATES = 50  # candidates listed of a trace

# text and lines use the current colour, so that they follow the notebook's theme;
# Jupyter aligns every table cell right with a rule that only !important overrides
STYLE = """
.runoff table {border-collapse: collapse; color: inherit; margin: .5em 0}
.runoff th, .runoff td {padding: .2em .7em; text-align: left !important; vertical-align: top}
.runoff td {font-variant-numeric: tabular-nums; white-space: nowrap}
.runoff td:last-child, .runoff td.long {white-space: normal}
.runoff th {border-bottom: 1px solid currentColor; font-weight: 600}
.runoff tr + tr td {border-top: 1px solid color-mix(in srgb, currentColor 15%, transparent)}
.runoff .wide {overflow-x: auto}
.runoff td.long, .runoff td:has(details) {min-width: 14em; overflow-wrap: anywhere}
.runoff .head {white-space: pre-line}
.runoff .lines {white-space: pre-wrap}
.runoff .columns {white-space: pre; font-family: monospace}
.runoff .text {white-space: pre-wrap; overflow-wrap: anywhere; max-width: 44em; max-height: 20em;
  overflow-y: auto; margin: .3em 0}
.runoff .degraded {border-left: .25em solid #c60; padding-left: .6em}
.runoff summary {cursor: pointer}
.runoff > details > summary {opacity: .75}
.runoff {overflow-x: auto}
.runoff svg {max-width: 720px; min-width: 480px; width: 100%; font: 12px sans-serif}
.runoff svg text {fill: currentColor}
.runoff svg .grid {stroke: currentColor; opacity: .15}
.runoff svg .zero {stroke: currentColor; opacity: .6}
.runoff svg .mark {stroke: currentColor; opacity: .6; stroke-dasharray: 3 3}
.runoff svg .soft {fill: #4c8dd6; opacity: .25}
.runoff svg polyline {fill: none; stroke: #4c8dd6; stroke-width: 2}
.runoff svg .a:not(polyline) {fill: #4c8dd6}
.runoff svg .b {fill: #d9762b}
.runoff svg .whole {fill: #8a8f98}
.runoff svg .bar {stroke: #4c8dd6; stroke-width: 3}
.runoff svg .full {fill: #4c8dd6; stroke: #4c8dd6; stroke-width: 2}
.runoff svg .hollow {fill: none; stroke: #4c8dd6; stroke-width: 2}
"""


def response_html(response: Response) -> str:
    """Return an answer as a table of its results, with the stages folded below."""
    return account_html(of_response(response))


def account_html(account: Account) -> str:
    """Return an answer as a table of its results, with what else is known folded below."""
    kind = "head" if account.complete else "head degraded"
    parts = [f'<div class="{kind}">{html.escape(account.headline)}</div>']
    if account.results:
        parts.append(table_html(result_rows(account), [one.text for one in account.results]))
    if account.stages:
        parts.append(folded_html("stages", account.stages))
    if others := account.others:
        rows: list[tuple[str, ...]] = [("fused", "document", "what became of it", "text")]
        rows += [
            (
                "-" if one.fusion_rank is None else str(one.fusion_rank),
                snippet(one.doc_id, 60),
                one.fate or "-",
                snippet(one.text, _SHORT),
            )
            for one in others[:_OTHERS]
        ]
        title = f"{len(others)} not shown"
        if len(others) > _OTHERS:
            title += f", the first {_OTHERS} of them here"
        parts.append(folded_html(title, rows))
    return framed("".join(parts))


def trace_html(trace: Trace) -> str:
    """Return the stages of a search, and what became of every candidate folded below."""
    rows = fate_rows(trace, _FATES)
    title = f"what became of {number_of(len(trace.fates), 'candidate')}"
    if len(trace.fates) > _FATES:
        title += f", the first {_FATES} here"
    return framed(table_html(stage_rows(trace.stages)) + folded_html(title, rows))


def configured_html(part: object) -> str:
    """Return what a part is made of and what differs from its defaults; the rest is folded.

    A class of an adapter says it by `_settings`, name to value as a text and whether that is the
    default; a dataclass is read by its fields.
    """
    own = getattr(part, "_settings", None)
    return settings_html(type(part).__name__, own() if callable(own) else dict(_fields(part)))


def settings_html(title: str, found: Mapping[str, tuple[str, bool]]) -> str:
    """Return options that differ from their defaults; the rest is folded.

    Args:
        title: whose they are.
        found: name to value as a text, and whether that is the default.
    """
    shown = [(name, text) for name, (text, usual) in found.items() if not usual]
    rest = [(name, text) for name, (text, usual) in found.items() if usual]
    head = f'<div class="head"><strong>{html.escape(title)}</strong></div>'
    table = table_html([("setting", "value"), *shown]) if shown else ""
    return framed(head + table + folded_html("defaults", [("setting", "value"), *rest]))


def repr_html(part: object) -> str:
    """Return what a part's `repr` says."""
    return framed(lines_html(repr(part)))


def said_html(result: object) -> str:
    """Return a result's text with its lines."""
    return framed(lines_html(str(result)))


def columns_html(result: object) -> str:
    """Return a result's text with its lines, whose columns stay below each other."""
    return framed(f'<div class="columns">{html.escape(str(result))}</div>')


def answer_html(answer: Answer) -> str:
    """Return the results that a user of an experiment is shown."""
    found = [one.candidate.document for one in answer.results]
    rows = [
        (str(at), snippet(one.doc_id, 60), snippet(one.text, _SHORT))
        for at, one in enumerate(found, 1)
    ]
    head = f'<div class="head">{html.escape(repr(answer))}</div>'
    table = table_html([("#", "document", "text"), *rows], [one.text for one in found])
    return framed(head + table if rows else head)


def folded_html(title: str, rows: Sequence[Sequence[str]], full: Sequence[str] = ()) -> str:
    """Return a table that unfolds; empty where it has headings alone."""
    if len(rows) == 1:
        return ""
    return f"<details><summary>{html.escape(title)}</summary>{table_html(rows, full)}</details>"


def lines_html(text: str) -> str:
    """Return a text with its lines and its indents."""
    return f'<div class="lines">{html.escape(text)}</div>'


def framed(body: str) -> str:
    """Return HTML with its style, which applies to nothing else, and without control characters."""
    return f'<div class="runoff"><style>{STYLE}</style>{visible(body)}</div>'


def table_html(rows: Sequence[Sequence[str]], full: Sequence[str] = ()) -> str:
    """Return rows as a table with the first row as headings; every cell is escaped.

    Args:
        rows: the headings first.
        full: for each row after them, the whole text whose start is its last cell.
    """
    head, *body = rows
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = []
    for at, row in enumerate(body):
        made = [
            f"<td{' class=long' * (len(cell) > _NARROW)}>{html.escape(cell)}</td>" for cell in row
        ]
        if full:
            kind = " class=long" * (len(row[-1]) > _NARROW)
            made[-1] = f"<td{kind}>{_unfolding(row[-1], full[at])}</td>"
        lines.append(f"<tr>{''.join(made)}</tr>")
    table = f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _unfolding(start: str, text: str) -> str:
    """Return the start of a text, which unfolds where there is more of it."""
    if len(text) <= _SHORT:
        return html.escape(start)
    more = len(text) - _LONG
    rest = f" [{number_of(more, 'character')} more]" if more > 0 else ""
    whole = html.escape(text[:_LONG] + rest)
    return (
        f'<details><summary>{html.escape(start)}</summary><div class="text">{whole}</div></details>'
    )


def _fields(part: object) -> Iterator[tuple[str, tuple[str, bool]]]:
    """Yield name, value as a text, and whether it is of little interest; the parts one by one."""
    for place, one in enumerate(dataclasses.fields(part)):  # type: ignore[arg-type] # it is one
        if one.name.startswith("_"):
            continue
        value = getattr(part, one.name)
        if isinstance(value, Mapping) and value and one.name != "headers":
            for name, inner in value.items():
                yield f"{one.name}: {name}", (_text(inner), False)
        elif isinstance(value, tuple) and value:
            for at, inner in enumerate(value, 1):
                yield f"{one.name}: {at}", (_text(inner), False)
        else:
            usual = is_default(value, one) and place > 0 and one.name != "reranker"
            yield one.name, (_text(value), usual)


def _text(value: object) -> str:
    return without_secrets(value if isinstance(value, str) else short_repr(value))
