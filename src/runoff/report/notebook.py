"""An answer as HTML for a notebook: self-contained, without scripts, every text escaped."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from runoff.report.explain import headline, result_table, stage_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.types import Response

__all__ = ["response_html"]

# colours follow the notebook's own theme: only opacity and the current colour are used
_STYLE = """
.runoff table {border-collapse: collapse; color: inherit; margin: .5em 0}
.runoff th, .runoff td {padding: .2em .7em; text-align: left; vertical-align: top}
.runoff td {font-variant-numeric: tabular-nums; white-space: nowrap}
.runoff td:last-child {white-space: normal}
.runoff th {border-bottom: 1px solid currentColor; font-weight: 600}
.runoff tr + tr td {border-top: 1px solid color-mix(in srgb, currentColor 15%, transparent)}
.runoff .head {white-space: pre-line}
.runoff .degraded {border-left: .25em solid #c60; padding-left: .6em}
.runoff summary {cursor: pointer; opacity: .7}
"""


def response_html(response: Response) -> str:
    """Return the results as a table, with the stages folded away below it."""
    kind = "head" if response.outcome.complete else "head degraded"
    return (
        f'<div class="runoff"><style>{_STYLE}</style>'
        f'<div class="{kind}">{html.escape(headline(response))}</div>'
        f"{_table(result_table(response))}"
        f"<details><summary>stages</summary>{_table(stage_table(response))}</details></div>"
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in body
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"
