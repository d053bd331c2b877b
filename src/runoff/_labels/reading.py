"""Queries and judgments from what Python holds, and from JSON lines, BEIR folders and data sets."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

from runoff._labels.clicks import judge_by_clicks
from runoff._labels.formats import (
    Gathered,
    existing,
    json_objects,
    read_documents,
    read_qrels,
    read_queries,
)
from runoff._labels.grades import Grades, whole_grade
from runoff._labels.headers import IMPRESSIONS
from runoff._labels.sheet import cell_name, known_documents, read_sheet
from runoff._labels.tables import read_csv, read_xlsx
from runoff._util.stored import path_of
from runoff.errors import InvalidArgument, MalformedData, MissingExtra
from runoff.types import Document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from runoff._labels.clicks import Impression
    from runoff._labels.tables import Table

_FIELDS = {"query", "text", "query_id", "relevant"}
_CLICKS_ALONE = (
    "Judged by clicks or thumbs, so only documents that users were shown, and mostly the first of "
    "them: nothing can be proven. With positions, from_impressions() allows for that."
)


def beir(folder: Path, split: str, *, documents: bool) -> Gathered:
    """Read a folder in the layout of BEIR; see `Collection.from_beir`."""
    gathered = Gathered()
    named = [f"qrels/{split}.tsv", f"qrels.{split}.tsv"]
    if split == "test":
        named.append("qrels.tsv")
    read_qrels(existing(folder, *named), gathered)
    texts = read_queries(existing(folder, "queries.jsonl"))
    # the file has the queries of all splits
    gathered.queries = {one: text for one, text in texts.items() if one in gathered.qrels}
    if documents:
        gathered.documents = read_documents(existing(folder, "corpus.jsonl"))
    return gathered


def table_of(
    table: Table, *, documents: object, judges: str, grades: Mapping[str, int] | None
) -> Gathered:
    """Read the judgments of a table; see `Collection.from_csv`."""
    gathered = Gathered()
    gathered.documents, ids = known_documents(documents)
    sheet = read_sheet(table, gathered, grades=grades, judges=judges, documents=ids)
    gathered.told = sheet.notes
    if sheet.answers:
        gathered.documents = sheet.answers
    return gathered


def json_lines(path: Path) -> Gathered:
    """Read JSON lines; see `Collection.from_jsonl`."""
    gathered = Gathered()
    for where, row in json_objects(path):
        text = row.get("query", row.get("text"))
        query_id = gathered.query(where, row.get("query_id"), text)
        _relevant(where, gathered, query_id, row.get("relevant"))
        for name, value in row.items():
            if name not in _FIELDS and isinstance(value, str | int | float):
                gathered.label(where, query_id, name, value)
    return gathered


def pairs_of(pairs: Iterable[Any] | Mapping[str, Any], name: str) -> Gathered:
    """Take pairs of a query and its documents; see `Collection.from_pairs`."""
    gathered = Gathered()
    given = pairs.items() if isinstance(pairs, Mapping) else pairs
    for at, pair in enumerate(given):
        where = f"{name}[{at}]"
        text, relevant = _parts(where, pair, 2, 2)
        _relevant(where, gathered, gathered.query(where, None, text), relevant)
    return gathered


def votes_of(events: Iterable[Any], name: str) -> Gathered:
    """Take clicks or thumbs; see `Collection.from_clicks`."""
    gathered, votes = Gathered(), dict[tuple[str, str], int]()
    for at, event in enumerate(events):
        where = f"{name}[{at}]"
        text, doc_id, vote = (*_parts(where, event, 2, 3), 1)[:3]
        if isinstance(vote, bool):
            vote = 1 if vote else -1
        if vote not in {1, -1}:
            raise MalformedData(where, vote, "a vote must be 1 (up) or -1 (down)")
        key = gathered.query(where, None, text), doc_id
        votes[key] = votes.get(key, 0) + vote
    for (query_id, doc_id), total in votes.items():
        if total:
            gathered.judge(name, query_id, doc_id, int(total > 0))
    gathered.told = [_CLICKS_ALONE]
    gathered.caveat = "clicks without the positions at which the documents were shown"
    return gathered


def impressions_of(given: Any, propensity: object, clip: float) -> tuple[Gathered, str]:  # noqa: ANN401 - as a user passes it
    """Take impressions and clicks; see `Collection.from_impressions`."""
    gathered = Gathered()
    if isinstance(given, str | PathLike):
        path = path_of("impressions", given)
        read = read_xlsx if path.suffix.lower() == ".xlsx" else read_csv
        name, rows = path.name, _logged(read(path, needed=IMPRESSIONS), gathered)
    else:
        name, rows = "impressions", _listed(given, gathered)
    judge_by_clicks(gathered, rows, propensity=propensity, clip=clip)
    return gathered, name


def _listed(given: Iterable[Any], gathered: Gathered) -> Iterator[Impression]:
    for at, one in enumerate(given):
        where = f"impressions[{at}]"
        text, doc_id, *numbers = _parts(where, one, 4, 5)
        query_id = gathered.query(where, None, text)
        if not isinstance(doc_id, str) or not doc_id:
            raise MalformedData(where, doc_id, "the document id must be a non-empty string")
        position, clicked, shown = (*(_number(where, value) for value in numbers), 1)[:3]
        yield where, query_id, doc_id, position, clicked, shown


def _logged(table: Table, gathered: Gathered) -> Iterator[Impression]:
    role, yes = table.columns.role, Grades()
    for where, cells in table.rows:
        if all(cell is None for cell in cells):
            continue
        empty = [name for name in role if cells[role[name]] is None]
        if empty:
            raise MalformedData(where, list(cells), f"lacks {', '.join(empty)}")
        given = None if "query_id" not in role else cell_name(where, cells[role["query_id"]])
        query_id = gathered.query(where, given, str(cells[role["query"]]))
        numbers = {
            name: yes.read(where, cells[role[name]])
            for name in ("position", "clicked", "shown")
            if name in role
        }
        doc_id = str(cell_name(where, cells[role["doc_id"]]))
        position, clicked = numbers["position"], numbers["clicked"]
        yield where, query_id, doc_id, position, clicked, numbers.get("shown", 1)


def _number(where: str, value: object) -> int:
    found = int(value) if isinstance(value, bool) else whole_grade(value)
    if found is None:
        remedy = "position, clicked and shown must be whole numbers, and clicked may be True"
        raise MalformedData(where, value, remedy)
    return found


def ir_dataset(name: str, *, documents: bool) -> Gathered:
    """Load a data set of the package `ir_datasets`; see `Collection.from_ir_datasets`."""
    try:
        import ir_datasets  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingExtra("ir_datasets", "ir-datasets") from None
    try:
        dataset = ir_datasets.load(name)
    except KeyError:
        raise InvalidArgument(
            "name", name, "must be the name of a data set of ir_datasets"
        ) from None
    if not dataset.has_queries() or not dataset.has_qrels():
        raise InvalidArgument("name", name, "must have queries and judgments")
    gathered = Gathered()
    for at, query in enumerate(dataset.queries_iter()):
        gathered.query(f"{name} query {at}", query.query_id, query.default_text())
    for at, one in enumerate(dataset.qrels_iter()):
        gathered.judge(f"{name} qrel {at}", one.query_id, one.doc_id, one.relevance)
    if documents:
        gathered.documents = {
            one.doc_id: Document(one.doc_id, one.default_text()) for one in dataset.docs_iter()
        }
    return gathered


def _parts(where: str, given: object, least: int, most: int) -> tuple[Any, ...]:
    if not isinstance(given, tuple | list) or not least <= len(given) <= most:
        many = f"{least}" if least == most else f"{least} or {most}"
        raise MalformedData(where, given, f"must be a tuple of {many}")
    return tuple(given)


def _relevant(where: str, gathered: Gathered, query_id: str, relevant: object) -> None:
    if isinstance(relevant, str) or not hasattr(relevant, "__iter__"):
        raise MalformedData(
            where, relevant, "`relevant` must be a list of ids, or map ids to grades"
        )
    try:
        grades = relevant if isinstance(relevant, Mapping) else dict.fromkeys(relevant, 1)
    except TypeError:  # a list among the ids
        raise MalformedData(where, relevant, "the document ids must be strings") from None
    for doc_id, grade in grades.items():
        gathered.judge(where, query_id, doc_id, grade)
