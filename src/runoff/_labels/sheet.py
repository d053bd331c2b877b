"""The rows of a table as judgments: gaps, lists in one cell, and what became of each."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from runoff._labels.grades import Grades
from runoff._labels.judges import Judges
from runoff._util.messages import number_of
from runoff._util.text import text_key
from runoff.errors import InvalidArgument, MalformedData
from runoff.types import Document

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from runoff._labels.formats import Gathered
    from runoff._labels.headers import Columns
    from runoff._labels.tables import Table

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LIST = re.compile(r"\s*[,;\n]\s*")
_ANY_LIST = re.compile(r"[\s,;|/+&]+")
_STARS = 10  # the highest grade that a column of an unknown name may have
_ROUNDED = re.compile(r"\d[.,]\d+E\+\d+", re.IGNORECASE)  # what Excel makes of a long number

_MONTH = r"(?:jan|feb|m[aä]r|mrz|apr|ma[iy]|jun|jul|aug|sept?|o[ck]t|nov|de[cz])\.?"
_DATE = re.compile(
    rf"\d{{1,2}}[-./ ]+{_MONTH}(?:[-./ ]+\d{{2,4}})?|{_MONTH}[- ]\d{{2,4}}"
    r"|\d{1,2}([./])\d{1,2}\1\d{2,4}|\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?",
    re.IGNORECASE,
)  # what a spreadsheet makes of an id such as 3-24


class Sheet:
    """What is read of one table.

    Attributes:
        gathered: its queries, judgments and labels.
        answers: id to text, where answers are given as texts.
        notes: how it was read, as sentences.
    """

    def __init__(self, gathered: Gathered) -> None:
        self.gathered = gathered
        self.answers: dict[str, Document] = {}
        self.notes: list[str] = []


def read_sheet(
    table: Table,
    gathered: Gathered,
    *,
    grades: Mapping[str, int] | None,
    judges: str,
    documents: Container[str] | None,
) -> Sheet:
    """Read the judgments of a table.

    Args:
        table: the table.
        gathered: what they are added to.
        grades: the user's own words for grades.
        judges: `"majority"` or `"mean"`, of several judges of one document.
        documents: the ids that a list in one cell is split into; None refuses such a list.

    Raises:
        InvalidArgument: `grades` or `judges` has a value it cannot have.
        MalformedData: a row cannot be read.
    """
    return _Reader(table, gathered, Grades(grades), Judges(judges), documents).read()


def known_documents(given: object) -> tuple[dict[str, Document] | None, Container[str] | None]:
    """Return documents by id if texts were given too, and their ids.

    Args:
        given: documents, a mapping of ids to documents or texts, or ids; None for none.

    Raises:
        InvalidArgument: it is something else.
    """
    if given is None:
        return None, None
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidArgument("documents", given, "must be documents, ids, or map ids to texts")
    found: dict[str, Document] = {}
    ids: set[str] = set()
    for one in given.items() if isinstance(given, Mapping) else given:
        if isinstance(one, tuple):
            one = Document(one[0], one[1]) if isinstance(one[1], str) else one[1]  # noqa: PLW2901
        if isinstance(one, str):
            ids.add(one)
        elif isinstance(getattr(one, "doc_id", None), str):
            found[one.doc_id] = one
        else:
            raise InvalidArgument(
                "documents", one, "must be a document, an id, or an id and a text"
            )
    if found and ids:
        raise InvalidArgument("documents", given, "must be documents or ids, not both")
    return (found, found) if found else (None, ids)


class _Reader:
    """Reads one table from its first row to its last."""

    def __init__(
        self,
        table: Table,
        gathered: Gathered,
        grades: Grades,
        judges: Judges,
        documents: Container[str] | None,
    ) -> None:
        self._table = table
        self._columns: Columns = table.columns
        self._sheet = Sheet(gathered)
        self._grades = grades
        self._judges = judges
        self._documents = documents
        self._above: tuple[str, str | None, object] | None = None  # place, id and text of a query
        self._gap = False
        self._counts: Counter[str] = Counter()
        self._marks: dict[str, list[tuple[str, str, object]]] = {}
        self._apart: list[str] = []  # columns of the row, not of the query
        self._given: set[int] = set()
        self._none: dict[str, None] = {}  # what stands for no grade

    def read(self) -> Sheet:
        role = self._columns.role
        empty = 0
        for where, cells in self._table.rows:
            if all(cell is None for cell in cells):
                empty += 1
                self._gap = True
                continue
            # those at the end are usual
            self._counts["empty rows"] += empty
            empty = 0
            query_id = self._query(where, cells)
            self._judge(where, query_id, cells)
            for name, at in self._columns.labels.items():
                if cells[at] is not None:
                    self._marks.setdefault(name, []).append((where, query_id, cells[at]))
        self._label()
        for where, query_id, doc_id, grade in self._judges.settled():
            self._sheet.gathered.judge(where, query_id, doc_id, grade)
        self._sheet.notes = [*self._told(), *self._stars(), *self._judges.notes()]
        if "answer" in role:
            self._sheet.notes.append(
                "The answers are texts and not ids, so no result matches them yet: call "
                "match_by_text()."
            )
        return self._sheet

    def _query(self, where: str, cells: Sequence[object]) -> str:
        role = self._columns.role
        text = cells[role["query"]]
        given = None if "query_id" not in role else cell_name(where, cells[role["query_id"]])
        if text is None:
            if self._above is None or self._gap:
                remedy = (
                    "the query is empty, and an empty row stands above: fill it in"
                    if self._above is not None
                    else "the query is empty, and there is none above: fill it in"
                )
                raise MalformedData(where, list(cells), remedy)
            _, known, above = self._above
            if given is not None and given != known:
                remedy = f"the query is empty, but its id is not that of the row above, {known!r}"
                raise MalformedData(where, given, remedy)
            given, text = known, above
            self._counts["blank queries"] += 1
        elif not isinstance(text, str):
            text = str(text)  # such as a year
        self._above, self._gap = (where, given, text), False
        return self._sheet.gathered.query(where, given, text)

    def _judge(self, where: str, query_id: str, cells: Sequence[object]) -> None:
        role, columns = self._columns.role, self._columns
        graded = graded_in(where, columns, cells, self._grades)
        rated = "grade" in role or bool(columns.judges)
        cell = cells[role["answer"] if "answer" in role else role["doc_id"]]
        if cell is None:
            if rated and graded:
                raise MalformedData(where, list(cells), "is graded, but names no document")
            self._counts["no document"] += 1
            return
        if not graded:
            self._counts["no grade"] += 1
            places = [*columns.judges, *([role["grade"]] if "grade" in role else [])]
            self._none |= dict.fromkeys(repr(cells[at]) for at in places if cells[at] is not None)
            return
        for doc_id in self._ids(where, cell):
            for name, value in graded.items():
                grade = self._grades.read(where, value)
                self._given.add(grade)
                if name:
                    self._judges.add(where, query_id, doc_id, name, grade)
                else:
                    self._sheet.gathered.judge(where, query_id, doc_id, grade)

    def _ids(self, where: str, cell: object) -> list[str]:
        """Return the ids in a cell."""
        if "answer" in self._columns.role:
            text = cell if isinstance(cell, str) else str(cell)
            self._sheet.answers.setdefault(key := text_key(text), Document(key, text))
            return [key]
        known = self._documents
        doc_id = str(cell_name(where, cell))
        if known is not None and doc_id in known:
            return [doc_id]
        self._check_unspoilt(where, doc_id)
        if known is not None:
            several = [part for part in _ANY_LIST.split(doc_id) if part]
            for parts in (_listed(doc_id), several):
                if len(parts) > 1 and all(part in known for part in parts):
                    self._counts["lists"] += 1
                    return parts
        parts = _listed(doc_id)
        if len(parts) < 2:  # noqa: PLR2004 - no list
            return [doc_id]
        if known is not None:
            other = next(part for part in parts if part not in known)
            remedy = f"is neither an id nor a list of ids: there is no document {other!r}"
            raise MalformedData(where, doc_id, remedy)
        if all(len(part.split()) == 1 for part in parts):
            remedy = (
                "looks like several ids in one cell: pass your documents or their ids as "
                "documents= to split it, or give each id a row of its own"
            )
            raise MalformedData(where, doc_id, remedy)
        return [doc_id]

    def _check_unspoilt(self, where: str, doc_id: str) -> None:
        """Refuse what a spreadsheet made of an id, and count what it may have made of one."""
        remedy = ""
        if _ROUNDED.fullmatch(doc_id):
            remedy = "is a long number that a spreadsheet rounded: format the column as text"
        elif _DATE.fullmatch(doc_id):
            self._counts["dates"] += 1
            if self._documents is not None:
                remedy = "is not among the documents; a spreadsheet may have made a date of an id"
        if remedy:
            raise MalformedData(where, doc_id, remedy)

    def _label(self) -> None:
        """Add the labels of the queries.

        Raises:
            MalformedData: a column has grades, and none is known to have them.
        """
        rated = "grade" in self._columns.role or bool(self._columns.judges)
        for name, marks in self._marks.items():
            if not rated and self._could_be_grades(marks):
                remedy = (
                    "may contain grades, but its name does not say so: name it 'grade' (with "
                    "several judges 'grade Ann', 'grade Ben'); if every row is relevant, leave "
                    "the column out"
                )
                raise MalformedData(f"the header of {self._table.name}", name, remedy)
            first: dict[str, object] = {}
            differ = sum(first.setdefault(one, mark) != mark for _, one, mark in marks)
            if 2 * differ > len(marks) - len(first):  # of the rows that repeat a query
                self._apart.append(name)
                continue
            for where, query_id, mark in marks:
                self._sheet.gathered.label(where, query_id, name, mark)

    def _could_be_grades(self, marks: Sequence[tuple[str, str, object]]) -> bool:
        found = {self._grades.known(mark) for _, _, mark in marks}
        return all(one is not None and one <= _STARS for one in found) and any(
            one is not None and one <= 0 for one in found
        )

    def _stars(self) -> list[str]:
        """Return a note on grades such as 1 to 5, whose lowest may mean not relevant."""
        low, high = min(self._given, default=0), max(self._given, default=0)
        if low < 1 or len(self._given) < 3:  # noqa: PLR2004 - 1 and 2 are both relevant as a rule
            return []
        note = (
            f"The grades are {low} to {high}, so every judged document counts as relevant. If some "
            f"mean not relevant, pass grades={{'{low}': 0}} (--grade {low}=0)."
        )
        return [note]

    def _told(self) -> list[str]:
        counts = self._counts
        without = f" ({', '.join(self._none)})" if self._none else ""
        parts = [*self._table.told, *self._columns.told(), *self._grades.told()]
        for name, one, several, rest in (
            (
                "blank queries",
                "empty query cell stands",
                "empty query cells stand",
                " for the query above",
            ),
            (
                "no grade",
                f"row without a grade{without} is",
                f"rows without a grade{without} are",
                " not judged",
            ),
            ("no document", "row without a document is", "rows without a document are", " ignored"),
            ("lists", "cell with several ids is", "cells with several ids are", " split"),
            (
                "dates",
                "id looks like a date",
                "ids look like dates",
                ", which a spreadsheet may have made of other ids",
            ),
            ("empty rows", "empty row is", "empty rows are", " skipped"),
        ):
            if counts[name]:
                parts.append(f"{number_of(counts[name], one, several)}{rest}")
        if self._apart:
            names = ", ".join(map(repr, self._apart))
            parts.append(f"columns that differ within a query are not labels: {names}")
        return [f"Reading {self._table.name}: {'; '.join(parts)}."] if parts else []


def _listed(cell: str) -> list[str]:
    return [part for part in _LIST.split(cell) if part]


def graded_in(
    where: str, columns: Columns, cells: Sequence[object], grades: Grades
) -> dict[str, object]:
    """Return the grades of a row by judge; an empty name where there are no judges.

    Without a column of grades it is 1; where the cells are empty, or say "n/a", there is none.

    Raises:
        MalformedData: the row names no judge.
    """
    if columns.judges:
        judged = {name: cells[at] for at, name in columns.judges.items()}
        return {name: value for name, value in judged.items() if not grades.absent(value)}
    role = columns.role
    given = cells[role["grade"]] if "grade" in role else 1
    if grades.absent(given):
        return {}
    judge = None if "judge" not in role else cell_name(where, cells[role["judge"]])
    if "judge" in role and judge is None:
        raise MalformedData(where, list(cells), "names no judge, although other rows do")
    return {judge or "": given}


def no_formula(text: str) -> str:
    """Return a text for a cell; a space keeps a spreadsheet from taking it for a formula."""
    return f" {text}" if text.startswith(_FORMULA) else text


def cell_name(where: str, value: object) -> str | None:
    """Return an id or a name as text; None where the cell is empty.

    Raises:
        MalformedData: it is neither a text nor a whole number.
    """
    if value is None:
        return None
    if isinstance(value, dt.date | dt.time | dt.timedelta):
        remedy = "is a date, which a spreadsheet may have made of an id: format the column as text"
        raise MalformedData(where, str(value), remedy)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        remedy = "is a long number that a spreadsheet rounded: format the column as text"
        raise MalformedData(where, value, remedy)
    if not isinstance(value, str):
        raise MalformedData(where, value, "must be a name or a number")
    return value
