"""The table in which people grade: rows are added to it, and grades are read from it."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, NamedTuple

from runoff._labels.grades import Grades
from runoff._labels.headers import RETURNED
from runoff._labels.sheet import cell_name, no_formula
from runoff._labels.tables import read_csv
from runoff._util.stored import read_stored
from runoff._util.whole import write_whole
from runoff.errors import InvalidArgument, MalformedData
from runoff.live._judging.differences import GRADES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

COMMENT = "comment"
"""The column in which people may say more; it is kept, and nothing reads it."""

_COLUMNS = ("query_id", "query", "doc_id", "grade", "text")
_UNKNOWN = {"-", "?", "n/a", "na", "unsure", "unknown"}
_LONGEST = 32_000  # characters; a cell of Excel has 32,767


class Asking(NamedTuple):
    """A row that people are to grade, from 0 to 3."""

    query_id: str
    query: str
    doc_id: str
    text: str


def added(path: Path, rows: Iterable[Asking]) -> int:
    """Add rows to the table, and make it if it does not exist; return how many.

    Rows and further columns that are there stay as they are, and no row is added twice. A text that
    a spreadsheet would take for a formula gets a space before it, and one that is too long for a
    cell is cut and says so.

    Raises:
        InvalidArgument: the file lacks a column, or has another delimiter.
        OSError: it cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    known: set[tuple[str, str]] = set()
    header: Sequence[str] = (*_COLUMNS, COMMENT)
    there = path.exists()
    if there:
        header, held = rows_of(path)
        places = header.index("query_id"), header.index("doc_id")
        known = {(row[places[0]], row[places[1]]) for row in held}
        before = read_stored(path).decode("utf-8")  # with its byte order mark
        text.write(before if before.endswith("\n") else f"{before}\n")
    else:
        writer.writerow(header)
    many = 0
    for row in rows:
        if (row.query_id, row.doc_id) not in known:
            known.add((row.query_id, row.doc_id))
            cells = {**row._asdict(), "query": _plain(row.query), "text": _plain(row.text)}
            writer.writerow([cells.get(name, "") for name in header])
            many += 1
    if many or not there:
        write_whole(path, text.getvalue())
    return many


def rows_of(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the table, each as long as the header.

    Raises:
        InvalidArgument: it cannot be read, lacks a column, or has another delimiter.
    """
    try:
        said = io.StringIO(read_stored(path).decode("utf-8-sig"), newline="")
        held = [row for row in csv.reader(said) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidArgument("people", path, f"cannot be read as CSV in UTF-8: {error}") from error
    if not held or not {*_COLUMNS} <= {*held[0]}:
        remedy = (
            f"must have the columns {', '.join(_COLUMNS)}, separated by commas, so that rows can "
            "be added: save it as CSV with commas, or name a new file"
        )
        raise InvalidArgument("people", path, remedy)
    header = held[0]
    return header, [[*row, *[""] * (len(header) - len(row))][: len(header)] for row in held[1:]]


def returned(path: Path) -> dict[tuple[str, str], int | None]:
    """Return the grades in a table by query id and document id; None where people cannot say.

    Rows without a grade are left out.

    Raises:
        MalformedData: a row cannot be read, or has a grade that is not 0 to 3.
    """
    table = read_csv(path, delimiter=None, encoding=None, needed=RETURNED)
    role, grades = table.columns.role, Grades()
    found: dict[tuple[str, str], int | None] = {}
    for where, cells in table.rows:
        given = cells[role["grade"]] if cells else None
        if given is None:
            continue
        query_id, doc_id = (str(cell_name(where, cells[role[name]])) for name in RETURNED[:2])
        if isinstance(given, str) and given.strip().casefold() in _UNKNOWN:
            found[query_id, doc_id] = None
            continue
        grade = grades.read(where, given)
        if not 0 <= grade <= GRADES:
            remedy = f'must be a grade from 0 to {GRADES}, or "?" if you cannot say'
            raise MalformedData(where, given, remedy)
        found[query_id, doc_id] = grade
    return found


def _plain(text: str) -> str:
    """Return a text as a cell that spreadsheets take for a text, and keep whole."""
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]} [cut: {len(text) - _LONGEST:,} more characters]"
    return no_formula(text)
