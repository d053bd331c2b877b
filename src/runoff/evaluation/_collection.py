"""A test collection: queries with judgments, and optionally labels and documents."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from runoff._util.stored import path_of
from runoff._util.text import snippet
from runoff.errors import InvalidArgument
from runoff.evaluation._formats import (
    Gathered,
    check_queries,
    checked_judgments,
    oddities,
    read_qrels,
    read_topics,
    unlisted,
)
from runoff.evaluation._labels.reading import (
    beir,
    ir_dataset,
    json_lines,
    pairs_of,
    table_of,
    votes_of,
)
from runoff.evaluation._labels.relevance import (
    Parents,
    as_documents,
    check_counting,
    resolved_parents,
)
from runoff.evaluation._labels.sheet import known_documents
from runoff.evaluation._labels.tables import framed, read_csv, read_xlsx
from runoff.evaluation._rejudged import rejudged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

    from runoff.types import Document

__all__ = ["Collection"]

_REPR = 200  # characters


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
        notes: how the data was read and what is odd about it, as sentences.
        parents: chunk id to the id of its document, where documents are judged and chunks are
            found; see `counting`.
        relevance: `"each"`, `"any"` or `"all"`; see `counting`.
        relevant_from: the lowest grade that measures without grades, such as `R@100`, count.
        caveat: why nothing can be proven by these judgments; empty if it can.

    Raises:
        InvalidArgument: no query is judged, a judged or labelled query has no text, or an id, a
            grade or one of the last four is invalid.
    """

    queries: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, int]]
    documents: Mapping[str, Document] | None = field(default=None, repr=False)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    name: str = "collection"
    notes: tuple[str, ...] = ()
    parents: Parents | None = field(default=None, repr=False)
    relevance: str = "each"
    relevant_from: int = 1
    caveat: str = ""

    def __post_init__(self) -> None:
        """Check the data, copy it, and note what is odd."""
        check_queries(self.queries)
        check_counting(self.parents, self.relevance, self.relevant_from)
        judged = checked_judgments(self.queries, self.qrels, self.labels)
        documents = None if self.documents is None else MappingProxyType(dict(self.documents))
        labels = {
            query_id: MappingProxyType({name: str(value) for name, value in given.items()})
            for query_id, given in self.labels.items()
            if query_id in judged
        }
        queries = {one: text for one, text in self.queries.items() if one in judged}
        qrels = {one: MappingProxyType(judged[one]) for one in queries}
        known = None if documents is None else as_documents(self.parents, documents)
        found = list(oddities(self.queries, qrels, known))
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
            self.parents,
            self.relevance,
            self.relevant_from,
            self.caveat,
        )

    def __repr__(self) -> str:
        """Show the name and how much data there is."""
        judgments = sum(map(len, self.qrels.values()))
        parts = [repr(self.name), f"{len(self.qrels)} queries", f"{judgments} judgments"]
        if self.documents is not None:
            parts.append(f"{len(self.documents)} documents")
        if self.relevance != "each":
            parts.append(f"{self.relevance} of the relevant documents")
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
            doc_ids: the ids that can be retrieved, of chunks where those are found; None takes the
                collection's own documents.

        Raises:
            InvalidArgument: no ids are given, and the collection has no documents.
        """
        ids = self.documents if doc_ids is None else doc_ids
        if ids is None:
            raise InvalidArgument("doc_ids", None, "must be given: the collection has no documents")
        return unlisted(self.qrels, as_documents(self.parents, ids))

    def counting(
        self,
        *,
        parent_of: str | Parents | None = None,
        relevance: str = "each",
        relevant_from: int | None = None,
        documents: object = None,
    ) -> Collection:
        """Return the same judgments, with another rule of what they count.

        Args:
            parent_of: where documents are judged and chunks are found: maps chunk ids to document
                ids, by a mapping, a function, or the name of a metadata field of the chunks. The
                first chunk of a document holds its place, and its others take none.
            relevance: `"each"` relevant document counts. `"any"` of them is enough: they count as
                one, with the highest of their grades, at the rank of the first. `"all"` are
                needed: they count as one at the rank of the last, less those before it, if all are
                within the measure's cutoff; so a perfect answer has 1, and `R@10` is the share of
                queries with all of them among the first 10.
            relevant_from: the lowest grade that counts as relevant, where grades do not count by
                themselves; None leaves it.
            documents: the chunks, where `parent_of` names a metadata field of theirs; None takes
                the collection's.

        Raises:
            InvalidArgument: an argument has a value it cannot have.
        """
        given, _ = known_documents(documents)
        return replace(
            self,
            parents=resolved_parents(parent_of, self.documents if given is None else given),
            relevance=relevance,
            relevant_from=self.relevant_from if relevant_from is None else relevant_from,
        )

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
        folder = path_of("path", path)
        return _made(beir(folder, split, documents=documents), folder.resolve().name)

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
    def from_csv(
        cls,
        path: str | PathLike[str],
        *,
        delimiter: str | None = None,
        encoding: str | None = None,
        documents: object = None,
        judges: str = "majority",
        grades: Mapping[str, int] | None = None,
    ) -> Collection:
        """Read a table with one judgment in each row; `notes` tell how it was read.

        The header has `query`, `doc_id` (or `answer`, the text of an answer, see `match_by_text`)
        and optionally `query_id` (by default derived from the text), `grade` (by default 1) and
        `judge`, in any case and in their usual spellings and translations; every other column is a
        label. Several columns such as `grade Ann` and `grade Ben` are several judges. Grades are
        whole numbers or words such as yes and no; a row without a grade is not judged. An empty
        query is the one above.

        Args:
            path: a CSV file; it may be compressed.
            delimiter: by default the one with which the header makes sense.
            encoding: by default by the file's byte order mark, UTF-8 or Windows-1252.
            documents: your documents or their ids; a cell with several of these ids is split.
                Without them such a cell is refused.
            judges: what several judges of one document count as: `"majority"` (of two grades that
                as many gave, the lower) or `"mean"` (rounded, halves down).
            grades: the grades of words that are not known here, such as `{"partly": 1}`.

        Raises:
            InvalidArgument: an argument has a value it cannot have.
            MalformedData: the header lacks a column, or a row cannot be read.
            MissingExtra: several judges graded, and krippendorff is not installed.
        """
        file = path_of("path", path)
        table = read_csv(file, delimiter=delimiter, encoding=encoding)
        return _made(table_of(table, documents=documents, judges=judges, grades=grades), file.name)

    @classmethod
    def from_xlsx(
        cls,
        path: str | PathLike[str],
        *,
        sheet: str | None = None,
        documents: object = None,
        judges: str = "majority",
        grades: Mapping[str, int] | None = None,
    ) -> Collection:
        """Read a sheet of an Excel file with one judgment in each row, as `from_csv` reads a table.

        Args:
            path: an `.xlsx` file.
            sheet: its name; by default the one sheet with the columns needed.
            documents: as `from_csv` takes them.
            judges: as `from_csv` takes it.
            grades: as `from_csv` takes them.

        Raises:
            InvalidArgument: an argument has a value it cannot have, or several sheets would do.
            MalformedData: the header lacks a column, or a row cannot be read.
            MissingExtra: openpyxl is not installed.
        """
        file = path_of("path", path)
        table = read_xlsx(file, sheet=sheet)
        return _made(table_of(table, documents=documents, judges=judges, grades=grades), file.name)

    @classmethod
    def from_pandas(
        cls,
        frame: Any,  # noqa: ANN401 - no pandas here
        *,
        name: str = "frame",
        documents: object = None,
        judges: str = "majority",
        grades: Mapping[str, int] | None = None,
    ) -> Collection:
        """Take a data frame with one judgment in each row, as `from_csv` reads a table.

        Raises:
            InvalidArgument: it is no data frame, or an argument has a value it cannot have.
            MalformedData: a column is missing, or a row cannot be read.
        """
        if not hasattr(frame, "itertuples") or not hasattr(frame, "notna"):
            raise InvalidArgument("frame", frame, "must be a data frame; for lists use from_pairs")
        # an empty cell is NaN, NaT or NA in a frame, and None here
        filled = frame.astype(object).where(frame.notna(), None)
        rows = filled.itertuples(index=False, name=None)
        table = framed(name, list(frame.columns), rows)
        return _made(table_of(table, documents=documents, judges=judges, grades=grades), name)

    @classmethod
    def from_jsonl(cls, path: str | PathLike[str]) -> Collection:
        """Read JSON lines with one query in each.

        An object has `query` (or `text`), `relevant` (document id to grade, or a list of ids) and
        optionally `query_id`; every other string, number or boolean is a label.

        Raises:
            MalformedData: a line cannot be read.
        """
        file = path_of("path", path)
        return _made(json_lines(file), file.name)

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
        return _made(pairs_of(pairs, name), name)

    @classmethod
    def from_clicks(
        cls, events: Iterable[tuple[str, str] | tuple[str, str, int]], *, name: str = "clicks"
    ) -> Collection:
        """Take clicks, (query text, document id), or thumbs, (query text, document id, 1 or -1).

        The votes for a document are added up: above 0 it has grade 1, below 0 grade 0, and at 0 it
        counts as not judged. People click on what they are shown, mostly on the first results, so
        such judgments favour the system they were collected with: no verdict on them is proven.

        Raises:
            MalformedData: an event is not such a tuple, or a vote is neither 1 nor -1 (True and
                False count as these).
        """
        return _made(votes_of(events, name), name)

    @classmethod
    def from_ir_datasets(cls, name: str, *, documents: bool = False) -> Collection:
        """Load a data set of the `ir_datasets` package by its name, such as `"beir/scifact/test"`.

        That package downloads it if necessary.

        Raises:
            MissingExtra: ir_datasets is not installed.
            InvalidArgument: the name is unknown, or the data set has no judgments.
        """
        return _made(ir_dataset(name, documents=documents), name)


def _made(gathered: Gathered, name: str) -> Collection:
    if not gathered.qrels:
        raise InvalidArgument(name, gathered.qrels, "needs at least one judgment")
    return Collection(
        gathered.queries,
        gathered.qrels,
        gathered.documents,
        gathered.labels,
        name,
        gathered.notes(),
        caveat=gathered.caveat,
        relevant_from=gathered.relevant_from,
    )
