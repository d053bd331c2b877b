"""Queries, judgments and documents: read from files line by line, and checked.

Every error about a file names the file and the line.
"""

from __future__ import annotations

import gzip
import operator
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runoff._labels.grades import MOST, whole_grade
from runoff._util.messages import number_of, short_repr
from runoff._util.stored import parse_json
from runoff._util.text import text_key
from runoff.errors import InvalidArgument, MalformedData
from runoff.types import Document

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path

_QRELS_BEIR, _QRELS_TREC = 3, 4
_HEADERS = {"score", "grade", "relevance", "rel", "label"}  # of the last column
_NUMBER = re.compile(r"<num>\s*(?:Number:)?\s*([^\s<]+)", re.IGNORECASE)
_TITLE = re.compile(r"<title>\s*(?:Topic:)?\s*([^<]*)", re.IGNORECASE)


def existing(folder: Path, *names: str) -> Path:
    """Return the first of a folder's files that exists, plain or with `.gz` appended.

    Raises:
        InvalidArgument: none exists; the message lists the names.
    """
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    raise InvalidArgument("path", str(folder), f"must contain {' or '.join(names)}, plain or .gz")


def numbered_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each line with its place, such as `"qrels.tsv line 7"`, and without its line end.

    Compressed files are recognised by their first bytes. Blank lines are skipped.

    Raises:
        MalformedData: a line is not UTF-8, or the gzip file is damaged.
        OSError: the file cannot be opened.
    """
    for number, line in _lines(path):
        text = line.rstrip("\r\n")
        if text.strip():
            yield f"{path.name} line {number}", text


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = gzip.GzipFile(fileobj=raw) if packed else raw
        try:
            for number, line in enumerate(stream, 1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            bad = error.object[error.start : error.start + 1]
            raise MalformedData(
                f"{path.name} line {number}", bad, "is not UTF-8: save the file as UTF-8"
            ) from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            where = f"{path.name} after line {number}"
            raise MalformedData(where, str(error), "the gzip file is damaged") from None


def json_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place of each line and its JSON object.

    Raises:
        MalformedData: a line is not a JSON object.
    """
    for where, line in numbered_lines(path):
        try:
            value = parse_json(line)
        except ValueError as error:
            raise MalformedData(where, line, f"is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise MalformedData(where, value, "must be a JSON object")
        yield where, value


@dataclass(slots=True)
class Gathered:
    """Queries, judgments and labels while they are read, each with the place it was read from.

    Repeated judgments are counted; contradictions are errors that name both places.
    """

    queries: dict[str, str] = field(default_factory=dict)
    qrels: dict[str, dict[str, int]] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    documents: dict[str, Document] | None = None
    told: list[str] = field(default_factory=list)
    caveat: str = ""
    relevant_from: int = 1
    repeated: int = 0
    _places: dict[tuple[str, ...], str] = field(default_factory=dict)

    def query(self, where: str, query_id: object, text: object) -> str:
        """Add a query and return its id, which is derived from the text if it has none."""
        if not isinstance(text, str) or not text.strip():
            raise MalformedData(where, text, "the query's text must be a non-empty string")
        known = text_key(text) if query_id is None else _id(where, "query id", query_id)
        self._once(where, (known,), self.queries.get(known), text, "the query's text")
        self.queries[known] = text
        return known

    def judge(self, where: str, query_id: object, doc_id: object, grade: object) -> None:
        """Add a judgment."""
        query, doc = _id(where, "query id", query_id), _id(where, "document id", doc_id)
        value, judged = _grade(where, grade), self.qrels.setdefault(query, {})
        if doc in judged:
            self.repeated += 1
        remedy = ": keep one of them; if several people judged, add a column `judge` to the table"
        self._once(where, (query, doc), judged.get(doc), value, f"the grade of {doc!r}", remedy)
        judged[doc] = value

    def label(self, where: str, query_id: str, name: str, value: object) -> None:
        """Add a label of a query; an empty one is ignored."""
        if value is None or value == "":
            return
        given = self.labels.setdefault(query_id, {})
        remedy = (
            ": a query has one value of a label, so leave out columns that differ within a query"
        )
        what = f"the label {name!r}"
        self._once(where, (query_id, "", name), given.get(name), str(value), what, remedy)
        given[name] = str(value)

    def notes(self) -> tuple[str, ...]:
        """Return how the data was read and what was repeated, as sentences."""
        repeated = (
            [f"{number_of(self.repeated, 'judgment is', 'judgments are')} repeated."]
            if self.repeated
            else []
        )
        return (*self.told, *repeated)

    def _once(
        self, where: str, key: tuple[str, ...], old: object, new: object, what: str, do: str = ""
    ) -> None:
        first = self._places.setdefault(key, where)
        if old is not None and old != new:
            remedy = f"{what} was {short_repr(old)} in {first} (query {key[0]!r}){do}"
            raise MalformedData(where, new, remedy)


def _id(where: str, what: str, value: object) -> str:
    # JSON and pandas give numbers where the ids are numbers
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise MalformedData(where, value, f"the {what} must be a non-empty string")
    return value


def _grade(where: str, value: object) -> int:
    grade = whole_grade(value)
    if grade is None:
        remedy = f"the grade must be a whole number from -{MOST:,} to {MOST:,}"
        raise MalformedData(where, value, remedy)
    return grade


def read_queries(path: Path) -> dict[str, str]:
    """Return the text of every query of a BEIR file, JSON lines with `_id` and `text`."""
    gathered = Gathered()
    for where, row in json_objects(path):
        _expect(where, row, "_id", "text")
        gathered.query(where, row["_id"], row["text"])
    return gathered.queries


def read_documents(path: Path) -> dict[str, Document]:
    """Return the documents of a BEIR corpus, JSON lines with `_id`, `text` and perhaps `title`.

    A title is put before the text and into the metadata.

    Raises:
        MalformedData: a line lacks a field, or an id has two texts.
    """
    found: dict[str, Document] = {}
    places: dict[str, str] = {}
    for where, document in _documents(path):
        doc_id = document.doc_id
        first = places.setdefault(doc_id, where)
        if found.setdefault(doc_id, document) != document:
            raise MalformedData(where, doc_id, f"has a different text in {first}")
    return found


def read_texts(path: Path, ids: Container[str]) -> dict[str, str]:
    """Return the texts of some documents of a BEIR corpus by id.

    Raises:
        MalformedData: a line lacks a field.
    """
    return {one.doc_id: one.text for _, one in _documents(path) if one.doc_id in ids}


def _documents(path: Path) -> Iterator[tuple[str, Document]]:
    """Yield the place of each document, and the document."""
    for where, row in json_objects(path):
        _expect(where, row, "_id", "text")
        doc_id, title = _id(where, "document id", row["_id"]), row.get("title") or ""
        if not isinstance(row["text"], str) or not isinstance(title, str):
            raise MalformedData(where, row, "title and text must be strings")
        text = f"{title} {row['text']}".strip()
        yield where, Document(doc_id, text, {"title": title} if title else {})


def _expect(where: str, row: Mapping[str, object], *names: str) -> None:
    absent = [name for name in names if name not in row]
    if absent:
        remedy = f"must have the fields {', '.join(names)}; missing: {', '.join(absent)}"
        raise MalformedData(where, sorted(row), remedy)


def read_qrels(path: Path, gathered: Gathered) -> None:
    """Add the judgments of a qrels file: BEIR's three columns with tabs, or TREC's four.

    The first line may be a header, whose last column is "score", "grade", "relevance", "rel" or
    "label".

    Raises:
        MalformedData: a line has another number of columns, a grade is not a whole number, or a
            document has two grades for one query.
    """
    for at, (where, line) in enumerate(numbered_lines(path)):
        cells = line.split("\t") if "\t" in line else line.split()
        if len(cells) == _QRELS_TREC:
            cells.pop(1)
        if len(cells) != _QRELS_BEIR:
            remedy = (
                "must have 3 columns (query, document, grade) or TREC's 4 (query, 0, ...); "
                "questions alone are for `runoff advise --no-judgments`"
            )
            raise MalformedData(where, line, remedy)
        if at == 0 and cells[2].strip().lower() in _HEADERS:
            continue
        gathered.judge(where, cells[0].strip(), cells[1].strip(), cells[2])


def read_topics(path: Path, gathered: Gathered) -> None:
    """Add the queries of a topics file: `id<tab>text` lines, or TREC's `<top>` blocks.

    Number and title of a block become id and text.

    Raises:
        MalformedData: a line has no tab, a block lacks number or title, or an id has two texts.
    """
    block: list[str] = []
    start = ""
    for where, line in numbered_lines(path):
        if block or line.lstrip().lower().startswith("<top>"):
            start = start or where
            block.append(line)
            if "</top>" in line.lower():
                _topic(start, " ".join(block), gathered)
                block, start = [], ""
            continue
        query_id, tab, text = line.partition("\t")
        if not tab:
            raise MalformedData(where, line, "must be an id, a tab and the query's text")
        gathered.query(where, query_id.strip(), text)
    if block:
        raise MalformedData(start, block[0], "the <top> has no </top>")


def _topic(where: str, text: str, gathered: Gathered) -> None:
    number, title = _NUMBER.search(text), _TITLE.search(text)
    if number is None or title is None:
        raise MalformedData(where, text, "the <top> must have a <num> and a <title>")
    gathered.query(where, number[1], title[1].strip())


def check_queries(queries: Mapping[str, str]) -> None:
    """Raise unless queries map ids to texts.

    Raises:
        InvalidArgument: an id or a text is not a non-empty string.
    """
    if not isinstance(queries, Mapping):
        raise InvalidArgument("queries", queries, "must map query ids to texts")
    for query_id, text in queries.items():
        if not isinstance(query_id, str) or not query_id:
            raise InvalidArgument("queries", query_id, "query ids must be non-empty strings")
        if not isinstance(text, str) or not text.strip():
            raise InvalidArgument(
                "queries", text, f"must be a non-empty string (query {query_id!r})"
            )


def checked_judgments(
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    labels: Mapping[str, Mapping[str, str]],
) -> dict[str, dict[str, int]]:
    """Return the judgments of the judged queries, with their grades as plain numbers.

    Raises:
        InvalidArgument: there is none, a judged or labelled query has no text, or an id or a grade
            is invalid.
    """
    if not isinstance(qrels, Mapping):
        raise InvalidArgument("qrels", qrels, "must map query ids to document ids with grades")
    judged = {one: _checked_grades(one, grades) for one, grades in qrels.items() if grades}
    if not judged:
        raise InvalidArgument("qrels", qrels, "needs at least one judgment")
    for argument, given in (("qrels", judged), ("labels", labels)):
        for query_id in given:
            if query_id not in queries:
                remedy = "must be a query id with a text in `queries`"
                raise InvalidArgument(argument, query_id, remedy)
    return judged


def _checked_grades(query_id: str, judged: Mapping[str, int]) -> dict[str, int]:
    """Return the grades of one query as plain numbers.

    Raises:
        InvalidArgument: an id is not a non-empty string, or a grade is not a whole number within
            a million.
    """
    if not isinstance(judged, Mapping):
        raise InvalidArgument("qrels", judged, f"must map ids to grades (query {query_id!r})")
    found: dict[str, int] = {}
    for doc_id, grade in judged.items():
        if not isinstance(doc_id, str) or not doc_id:
            remedy = f"document ids must be non-empty strings (query {query_id!r})"
            raise InvalidArgument("qrels", doc_id, remedy)
        try:
            found[doc_id] = operator.index(grade)
        except TypeError:
            remedy = f"must be a whole number (query {query_id!r}, document {doc_id!r})"
            raise InvalidArgument("qrels", grade, remedy) from None
        # trec_eval counts every grade up to the highest, and overflows at some point
        if abs(found[doc_id]) > MOST:
            remedy = f"must be from -{MOST:,} to {MOST:,} (query {query_id!r}, document {doc_id!r})"
            raise InvalidArgument("qrels", grade, remedy)
    return found
