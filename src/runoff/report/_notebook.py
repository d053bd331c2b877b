"""HTML for a notebook: self-contained, no scripts, every text escaped."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from runoff._util.messages import visible
from runoff.report._explain import headline, result_table, stage_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.types import Response

__all__ = ["STYLE", "framed", "response_html", "table_html"]

# text and lines use the current colour, so that they follow the notebook's theme;
# Jupyter aligns every table cell right with a rule that only !important overrides
STYLE = """
.runoff table {border-collapse: collapse; color: inherit; margin: .5em 0}
.runoff th, .runoff td {padding: .2em .7em; text-align: left !important; vertical-align: top}
.runoff td {font-variant-numeric: tabular-nums; white-space: nowrap}
.runoff td:last-child {white-space: normal}
.runoff th {border-bottom: 1px solid currentColor; font-weight: 600}
.runoff tr + tr td {border-top: 1px solid color-mix(in srgb, currentColor 15%, transparent)}
.runoff .head {white-space: pre-line}
.runoff .degraded {border-left: .25em solid #c60; padding-left: .6em}
.runoff summary {cursor: pointer; opacity: .7}
.runoff svg {max-width: 720px; width: 100%; font: 12px sans-serif}
.runoff svg text {fill: currentColor}
.runoff svg .grid {stroke: currentColor; opacity: .15}
.runoff svg .zero {stroke: currentColor; opacity: .6}
.runoff svg .mark {stroke: currentColor; opacity: .6; stroke-dasharray: 3 3}
.runoff svg .soft {fill: #4c8dd6; opacity: .25}
.runoff svg polyline {fill: none; stroke: #4c8dd6; stroke-width: 2}
.runoff svg .a:not(polyline) {fill: #4c8dd6}
.runoff svg .b {fill: #d9762b}
.runoff svg .whole {fill: #8a8f98}
"""


def response_html(response: Response) -> str:
    """Return an answer as a table of its results, with the stages folded below."""
    kind = "head" if response.outcome.complete else "head degraded"
    return framed(
        f'<div class="{kind}">{html.escape(headline(response))}</div>'
        f"{table_html(result_table(response))}"
        f"<details><summary>stages</summary>{table_html(stage_table(response))}</details>"
    )


def framed(body: str) -> str:
    """Return HTML with its style, which applies to nothing else, and without control characters."""
    return f'<div class="runoff"><style>{STYLE}</style>{visible(body)}</div>'


def table_html(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a table with the first row as headings; every cell is escaped."""
    head, *body = rows
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in body
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"
