"""A test collection: queries with judgments, and optionally labels and documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from runoff._util.stored import path_of
from runoff._util.text import snippet
from runoff.errors import InvalidArgument, MalformedData, MissingExtra
from runoff.evaluation._formats import (
    Gathered,
    check_queries,
    checked_grades,
    csv_rows,
    existing,
    json_objects,
    oddities,
    read_documents,
    read_qrels,
    read_queries,
    read_topics,
    unlisted,
)
from runoff.evaluation._rejudged import rejudged
from runoff.types import Document

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from os import PathLike

__all__ = ["Collection"]

_CELLS = {"query_id", "query", "doc_id", "grade"}
_REPR = 200  # characters
_FIELDS = {"query", "text", "query_id", "relevant"}


@dataclass(frozen=True, slots=True, repr=False)
class Collection:
    """Queries with the documents that are relevant to them.

    The data is copied and cannot be changed afterwards. Only judged queries are kept.

    Attributes:
        queries: query id to text; the judged queries, in the order given.
        qrels: query id to document id to grade; 0 and below mean judged as not relevant, and
            documents that are not listed were not judged.
        documents: document id to document; None without documents.
        labels: query id to label to value, such as `{"q1": {"language": "de"}}`; verdicts can be
            sliced by them.
        name: its name in reports.
        notes: what is odd about the data, as sentences.

    Raises:
        InvalidArgument: no query is judged, a judged or labelled query has no text, or an id or a
            grade is invalid.
    """

    queries: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, int]]
    documents: Mapping[str, Document] | None = field(default=None, repr=False)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    name: str = "collection"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the data, copy it, and note what is odd."""
        check_queries(self.queries)
        if not isinstance(self.qrels, Mapping):
            remedy = "must map query ids to document ids with grades"
            raise InvalidArgument("qrels", self.qrels, remedy)
        judged = {one: checked_grades(one, grades) for one, grades in self.qrels.items() if grades}
        if not judged:
            raise InvalidArgument("qrels", self.qrels, "needs at least one judgment")
        for argument, given in (("qrels", judged), ("labels", self.labels)):
            for query_id in given:
                if query_id not in self.queries:
                    raise InvalidArgument(
                        argument, query_id, "must be a query id with a text in `queries`"
                    )
        documents = None if self.documents is None else MappingProxyType(dict(self.documents))
        labels = {
            query_id: MappingProxyType({name: str(value) for name, value in given.items()})
            for query_id, given in self.labels.items()
            if query_id in judged
        }
        queries = {one: text for one, text in self.queries.items() if one in judged}
        qrels = {one: MappingProxyType(judged[one]) for one in queries}
        found = list(oddities(self.queries, qrels, documents))
        frozen = {
            "queries": MappingProxyType(queries),
            "qrels": MappingProxyType(qrels),
            "documents": documents,
            "labels": MappingProxyType(labels),
            "notes": (*self.notes, *(note for note in found if note not in self.notes)),
        }
        for name, value in frozen.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[type[Collection], tuple[object, ...]]:
        """Rebuild from plain dictionaries, since read-only views cannot be pickled."""
        documents = None if self.documents is None else dict(self.documents)
        return type(self), (
            dict(self.queries),
            {query_id: dict(grades) for query_id, grades in self.qrels.items()},
            documents,
            {query_id: dict(given) for query_id, given in self.labels.items()},
            self.name,
            self.notes,
        )

    def __repr__(self) -> str:
        """Show the name and how much data there is."""
        judgments = sum(map(len, self.qrels.values()))
        parts = [repr(self.name), f"{len(self.qrels)} queries", f"{judgments} judgments"]
        if self.documents is not None:
            parts.append(f"{len(self.documents)} documents")
        if names := self._label_names():
            parts.append(f"labels {', '.join(names)}")
        if self.notes:
            parts.append(f"{len(self.notes)} notes")
        return snippet(f"Collection({', '.join(parts)}", _REPR) + ")"

    def __len__(self) -> int:
        """Return how many judged queries there are."""
        return len(self.qrels)

    def unknown(self, doc_ids: Iterable[str] | None = None) -> list[str]:
        """Return the judged documents that are not among these ids, in order.

        Args:
            doc_ids: the ids that can be retrieved; None takes the collection's own documents.

        Raises:
            InvalidArgument: no ids are given, and the collection has no documents.
        """
        ids: Container[str] | None = self.documents if doc_ids is None else set(doc_ids)
        if ids is None:
            raise InvalidArgument("doc_ids", None, "must be given: the collection has no documents")
        return unlisted(self.qrels, ids)

    def with_judgments(
        self, judgments: str | PathLike[str] | Mapping[str, Mapping[str, int]] | Collection
    ) -> Collection:
        """Return this collection with further judgments; a new grade replaces an old one.

        Args:
            judgments: a table with the columns `query_id`, `doc_id` and `grade`, such as
                `Verdict.unjudged.to_csv` writes, whose rows without a grade are left out; or query
                id to document id to grade; or a collection.

        Raises:
            InvalidArgument: a query is not one of this collection, or a grade is invalid.
            MalformedData: a row cannot be read; the message names the line.
        """
        return rejudged(self, judgments)

    def slices(self, label: str) -> dict[str, str]:
        """Return query id to value of one label, for `verdict(slices=...)`.

        Raises:
            InvalidArgument: no query has this label.
        """
        found = {one: given[label] for one, given in self.labels.items() if label in given}
        if not found:
            raise InvalidArgument("label", label, f"must be one of {self._label_names()}")
        return found

    def _label_names(self) -> list[str]:
        return sorted({name for given in self.labels.values() for name in given})

    @classmethod
    def from_beir(
        cls, path: str | PathLike[str], *, split: str = "test", documents: bool = True
    ) -> Collection:
        """Read a folder in the layout of BEIR; each file may be compressed (`.gz`).

        Args:
            path: has `queries.jsonl`, `qrels/SPLIT.tsv` (or `qrels.SPLIT.tsv`, and `qrels.tsv` for
                the test split) and `corpus.jsonl`.
            split: whose judgments to read.
            documents: False leaves `corpus.jsonl` unread.

        Raises:
            InvalidArgument: a file is missing, or a judged query has no text.
            MalformedData: a line cannot be read.
        """
        folder, gathered = path_of("path", path), Gathered()
        named = [f"qrels/{split}.tsv", f"qrels.{split}.tsv"]
        if split == "test":
            named.append("qrels.tsv")
        read_qrels(existing(folder, *named), gathered)
        texts = read_queries(existing(folder, "queries.jsonl"))
        # the file has the queries of all splits
        gathered.queries = {one: text for one, text in texts.items() if one in gathered.qrels}
        corpus = read_documents(existing(folder, "corpus.jsonl")) if documents else None
        return _made(gathered, folder.resolve().name, corpus)

    @classmethod
    def from_trec(
        cls, qrels: str | PathLike[str], topics: str | PathLike[str], *, name: str | None = None
    ) -> Collection:
        """Read TREC qrels and topics; each file may be compressed.

        Args:
            qrels: `query 0 document grade` lines.
            topics: `query<tab>text` lines, or `<top>` blocks, whose title becomes the text.
            name: its name in reports; the qrels file's name by default.

        Raises:
            InvalidArgument: a judged query has no topic.
            MalformedData: a line cannot be read.
        """
        gathered = Gathered()
        read_qrels(path_of("qrels", qrels), gathered)
        read_topics(path_of("topics", topics), gathered)
        return _made(gathered, name or Path(qrels).name)

    @classmethod
    def from_csv(cls, path: str | PathLike[str], *, delimiter: str | None = None) -> Collection:
        """Read a table with one judgment in each row.

        Args:
            path: its header names `query` and `doc_id`, and optionally `query_id` (by default
                derived from the text) and `grade` (by default 1); every other column is a label.
            delimiter: a tab for `.tsv` files and a comma for others by default.

        Raises:
            MalformedData: a row cannot be read; the message names the line.
        """
        file = path_of("path", path)
        tabs = file.name.lower().removesuffix(".gz").endswith(".tsv")
        return _rows(csv_rows(file, delimiter or ("\t" if tabs else ",")), file.name)

    @classmethod
    def from_pandas(cls, frame: Any, *, name: str = "frame") -> Collection:  # noqa: ANN401 - no pandas here
        """Take a data frame with one judgment in each row and the columns of `from_csv`."""
        if not hasattr(frame, "to_dict") or not hasattr(frame, "notna"):
            raise InvalidArgument("frame", frame, "must be a data frame; for lists use from_pairs")
        # an empty cell is NaN, NaT or NA in a frame, and None here
        filled = frame.astype(object).where(frame.notna(), None)
        records: list[dict[str, Any]] = filled.to_dict("records")
        return _rows(((f"{name} row {at}", row) for at, row in enumerate(records)), name)

    @classmethod
    def from_jsonl(cls, path: str | PathLike[str]) -> Collection:
        """Read JSON lines with one query in each.

        An object has `query` (or `text`), `relevant` (document id to grade, or a list of ids) and
        optionally `query_id`; every other string, number or boolean is a label.

        Raises:
            MalformedData: a line cannot be read.
        """
        file, gathered = path_of("path", path), Gathered()
        for where, row in json_objects(file):
            text = row.get("query", row.get("text"))
            query_id = gathered.query(where, row.get("query_id"), text)
            _relevant(where, gathered, query_id, row.get("relevant"))
            for name, value in row.items():
                if name not in _FIELDS and isinstance(value, str | int | float):
                    gathered.label(where, query_id, name, value)
        return _made(gathered, file.name)

    @classmethod
    def from_pairs(
        cls,
        pairs: Iterable[tuple[str, Mapping[str, int] | Iterable[str]]]
        | Mapping[str, Mapping[str, int] | Iterable[str]],
        *,
        name: str = "pairs",
    ) -> Collection:
        """Take (query text, relevant document ids) pairs; grades may be given as a mapping.

        A mapping of texts to relevant ids works too. A query's id is derived from its text, so it
        is the same on every run.

        Raises:
            MalformedData: an item is not such a pair.
        """
        gathered = Gathered()
        given = pairs.items() if isinstance(pairs, Mapping) else pairs
        for at, pair in enumerate(given):
            where = f"{name}[{at}]"
            text, relevant = _parts(where, pair, 2, 2)
            _relevant(where, gathered, gathered.query(where, None, text), relevant)
        return _made(gathered, name)

    @classmethod
    def from_clicks(
        cls, events: Iterable[tuple[str, str] | tuple[str, str, int]], *, name: str = "clicks"
    ) -> Collection:
        """Take clicks, (query text, document id), or thumbs, (query text, document id, 1 or -1).

        The votes for a document are added up: above 0 it has grade 1, below 0 grade 0, and at 0 it
        counts as not judged. People click on what they are shown, mostly on the first results, so
        such judgments favour the system they were collected with; a note says so.

        Raises:
            MalformedData: an event is not such a tuple, or a vote is neither 1 nor -1 (True and
                False count as these).
        """
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
        note = "Judged by clicks or thumbs, so only documents that users were shown."
        return _made(gathered, name, None, note)

    @classmethod
    def from_ir_datasets(cls, name: str, *, documents: bool = False) -> Collection:
        """Load a data set of the `ir_datasets` package by its name, such as `"beir/scifact/test"`.

        That package downloads it if necessary.

        Raises:
            MissingExtra: ir_datasets is not installed.
            InvalidArgument: the name is unknown, or the data set has no judgments.
        """
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
        corpus = None
        if documents:
            corpus = {
                one.doc_id: Document(one.doc_id, one.default_text()) for one in dataset.docs_iter()
            }
        return _made(gathered, name, corpus)


def _made(
    gathered: Gathered, name: str, documents: dict[str, Document] | None = None, *notes: str
) -> Collection:
    if not gathered.qrels:
        raise InvalidArgument(name, gathered.qrels, "needs at least one judgment")
    every = (*notes, *gathered.notes())
    return Collection(gathered.queries, gathered.qrels, documents, gathered.labels, name, every)


def _rows(rows: Iterator[tuple[str, dict[str, Any]]], name: str) -> Collection:
    gathered = Gathered()
    for where, row in rows:
        absent = [one for one in ("query", "doc_id") if one not in row]
        if absent:
            remedy = f"must have the columns query and doc_id; missing: {', '.join(absent)}"
            if len(row) == 1:
                remedy += "; if another character separates the columns, pass delimiter="
            raise MalformedData(where, list(row), remedy)
        query_id = gathered.query(where, row.get("query_id"), row["query"])
        gathered.judge(where, query_id, row["doc_id"], row.get("grade", 1))
        for label, value in row.items():
            if label not in _CELLS:
                gathered.label(where, query_id, label, value)
    return _made(gathered, name)


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
