"""The page on which people grade: one file that loads nothing and hands the table back.

It shows a question and a document without rank, origin or id, in random order within blocks of 20
rows, so that early rows are graded first. Grades are kept in the browser until the table is saved.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import random
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runoff import __version__
from runoff._util.messages import visible
from runoff._util.stored import path_of
from runoff._util.whole import write_whole
from runoff.errors import InvalidArgument
from runoff.live._judging.sheet import COMMENT, returned, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

_BLOCK = 20
_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src '{script}'; \
style-src '{style}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Grade documents: {title}</title>
"""


def write_label_page(table: str | PathLike[str], path: str | PathLike[str]) -> int:
    """Write the page on which people grade a table; return how many rows wait for a grade.

    Args:
        table: the CSV file that `judge(..., people=)` writes.
        path: the HTML file; an existing one is replaced.

    Raises:
        InvalidArgument: the table is not there, or lacks a column.
        MalformedData: the table has a grade that is not 0 to 3.
        OSError: the page cannot be written.
    """
    source, target = path_of("people", table), path_of("page", path)
    if target.resolve() == source.resolve():
        raise InvalidArgument("page", path, "is the table itself: name another file")
    if not source.is_file():
        raise InvalidArgument("people", table, "must be a table that judge has written")
    page, waiting = label_page(source)
    write_whole(target, page)
    return waiting


def label_page(table: Path) -> tuple[str, int]:
    """Return the page for a table, and how many rows wait for a grade.

    Raises:
        InvalidArgument: the table lacks a column.
        MalformedData: the table has a grade that is not 0 to 3.
    """
    header, rows = rows_of(table)
    place = {name: header.index(name) for name in ("query_id", "query", "doc_id", "grade", "text")}
    shown = [at for at, row in enumerate(rows) if row[place["text"]].strip()]
    given = returned(table)
    for row in rows:
        key = row[place["query_id"]].strip(), row[place["doc_id"]].strip()
        if key in given:
            row[place["grade"]] = "?" if given[key] is None else str(given[key])
    # rows are only ever added, so the first one tells tables apart
    first = "\0".join(rows[0][place[name]] for name in ("query_id", "doc_id")) if rows else ""
    study = hashlib.sha256(first.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    data = {
        "file": Path(table).name,
        "study": study,
        "header": header,
        "comment": header.index(COMMENT) if COMMENT in header else None,
        "place": place,
        "rows": rows,
        "order": _shuffled(shown, study),
    }
    page = _assembled(visible(Path(table).name), data)
    return page, sum(rows[at][place["grade"]].strip() == "" for at in shown)


def _shuffled(rows: Sequence[int], seed: str) -> list[int]:
    """Return rows in random order, each within its block."""
    chance, found = random.Random(seed), []  # noqa: S311 - no secret
    for at in range(0, len(rows), _BLOCK):
        block = list(rows[at : at + _BLOCK])
        chance.shuffle(block)
        found += block
    return found


def _assembled(title: str, data: dict[str, Any]) -> str:
    folder = resources.files("runoff.report._label")
    script, style, body = (
        folder.joinpath(name).read_text(encoding="utf-8")
        for name in ("label.js", "label.css", "label.html")
    )
    # no "<" can then end the element, and no other is an HTML character
    plain = json.dumps(data).replace("<", "\\u003c")
    page = io.StringIO()
    page.write(_HEAD.format(script=_digest(script), style=_digest(style), title=html.escape(title)))
    page.write(f"<style>{style}</style>\n</head>\n{body}")
    page.write(f"<footer>runoff {html.escape(__version__)}</footer>\n")
    page.write(f'<script type="application/json" id="data">{plain}</script>\n')
    page.write(f"<script>{script}</script>\n</body>\n</html>\n")
    return page.getvalue()


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
