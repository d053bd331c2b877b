"""Grades given on the page, kept in a table that `verdict` and `runoff evaluate` read."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from runoff._labels.sheet import no_formula
from runoff._util.stored import read_stored
from runoff.errors import InvalidArgument, MalformedData

if TYPE_CHECKING:
    from collections.abc import Mapping


GRADES = (0, 1, 2, 3)
_COLUMNS = ("query_id", "query", "doc_id", "grade")
_LIMIT = 100_000_000  # bytes of a file of labels


class Labels:
    """Grades by query and document, saved to a CSV file after each change.

    The file has the columns `query_id`, `query`, `doc_id` and `grade`: `Collection.from_csv`,
    `Collection.with_judgments` and `runoff evaluate --judgments` read it. It is written to a file
    beside it, which then takes its place, so that a killed process leaves the old one or the new.

    Args:
        path: the file; it need not exist. None keeps the grades in memory.

    Raises:
        InvalidArgument: the path is a folder, or its folder does not exist.
        MalformedData: the file is not one of these.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._lock = Lock()
        self._texts: dict[str, str] = {}
        self.qrels: dict[str, dict[str, int]] = {}
        self.version = 0
        if path is None:
            return
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise InvalidArgument("labels", str(path), "must be a file in an existing folder")
        if path.exists():
            self._read(path)

    def __len__(self) -> int:
        """Return the number of grades."""
        return sum(map(len, self.qrels.values()))

    @property
    def queries(self) -> Mapping[str, str]:
        """Query id to text, of the graded queries."""
        return self._texts

    def _read(self, path: Path) -> None:
        if path.stat().st_size > _LIMIT:
            raise MalformedData(path.name, path.stat().st_size, f"has over {_LIMIT:,} bytes")
        try:
            rows = list(csv.reader(io.StringIO(read_stored(path).decode(), newline="")))
        except (UnicodeDecodeError, csv.Error) as error:
            raise MalformedData(path.name, str(error), "must be a CSV file in UTF-8") from None
        if rows and tuple(rows[0]) != _COLUMNS:
            remedy = f"must have the columns {', '.join(_COLUMNS)}: name another file"
            raise MalformedData(f"{path.name} line 1", rows[0], remedy)
        for number, row in enumerate(rows[1:], 2):
            if not row:
                continue
            fit = len(row) == len(_COLUMNS) and row[3] in map(str, GRADES) and row[0] and row[2]
            if not fit:
                remedy = "must be query_id, query, doc_id and a grade from 0 to 3"
                raise MalformedData(f"{path.name} line {number}", row, remedy)
            self._texts[row[0]] = row[1]
            self.qrels.setdefault(row[0], {})[row[2]] = int(row[3])

    def put(self, query_id: str, query: str, doc_id: str, grade: int | None) -> None:
        """Set or remove a grade, and save.

        Args:
            query_id: the query.
            query: its text.
            doc_id: the document.
            grade: from 0, not relevant, to 3; None removes the grade.

        Raises:
            OSError: the file cannot be written; the grade is then as before.
        """
        with self._lock:
            old = {one: dict(grades) for one, grades in self.qrels.items()}
            graded = self.qrels.setdefault(query_id, {})
            if grade is None:
                graded.pop(doc_id, None)
            else:
                graded[doc_id] = grade
            if not graded:
                del self.qrels[query_id]
            self._texts[query_id] = query
            try:
                self._save()
            except OSError:
                self.qrels = old
                raise
            self.version += 1

    def _save(self) -> None:
        if self.path is None:
            return
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for query_id, grades in self.qrels.items():
            for doc_id, grade in grades.items():
                writer.writerow((query_id, no_formula(self._texts[query_id]), doc_id, grade))
        folder = self.path.absolute().parent
        handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", suffix=".partial", dir=folder)
        partial = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
                stream.write(text.getvalue())
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(self.path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
