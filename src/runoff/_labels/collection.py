"""A test collection: queries with judgments, and optionally labels and documents."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from runoff._labels.formats import (
    check_queries,
    checked_judgments,
)
from runoff._labels.matching import matched
from runoff._labels.oddities import lasting, oddities, unlisted
from runoff._labels.readers import Readers
from runoff._labels.rejudged import rejudged
from runoff._labels.relevance import (
    Parents,
    as_documents,
    check_counting,
    resolved_parents,
)
from runoff._labels.sheet import known_documents
from runoff._util.arguments import check_list, check_mapping
from runoff._util.display import html_by
from runoff._util.messages import number_of
from runoff._util.text import snippet
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

    from runoff.types import Document

_REPR = 200  # characters


@dataclass(frozen=True, slots=True, repr=False)
class Collection(Readers):
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
        if self.documents is not None:
            check_mapping("documents", self.documents, "ids to documents")
        check_mapping("labels", self.labels, "query ids to labels by name")
        for given in self.labels.values():
            check_mapping("labels", given, "query ids to labels by name")
        check_list("notes", self.notes, "sentences")
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
            "relevant_from": int(self.relevant_from),
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

    _repr_html_ = html_by("collection_html")

    def __repr__(self) -> str:
        """Show the name and how much data there is."""
        judgments = sum(map(len, self.qrels.values()))
        parts = [
            repr(self.name),
            number_of(len(self.qrels), "query"),
            number_of(judgments, "judgment"),
        ]
        if self.documents is not None:
            parts.append(number_of(len(self.documents), "document"))
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
            notes=tuple(lasting(self)),
            relevance=relevance,
            relevant_from=self.relevant_from if relevant_from is None else relevant_from,
        )

    def match_by_text(self, documents: object, *, least: float = 0.8) -> Collection:
        """Return the judgments with the ids that their texts have among these documents.

        For answers that were given as texts, and for documents whose ids changed, such as chunks
        that were cut anew. A text is found in every document that has its words in a row, whatever
        their case, white space and punctuation, and in one that is a part of it; else in the
        document with most of its three-word sequences. `notes` have the share that was found, and
        examples of the rest, which is left out.

        Args:
            documents: what the system finds: documents, a mapping of ids to texts, or a recording
                with texts.
            least: the share of a text's three-word sequences that a document must have.

        Raises:
            InvalidArgument: the collection has no texts of judged documents, or none is found.
        """
        return matched(self, documents, least)

    def with_judgments(
        self,
        judgments: str | PathLike[str] | Mapping[str, Mapping[str, int]] | Collection,
        *,
        judges: str = "majority",
        grades: Mapping[str, int] | None = None,
    ) -> Collection:
        """Return this collection with further judgments; a new grade replaces an old one.

        Args:
            judgments: a table with the columns `query_id`, `doc_id` and `grade`, such as
                `Verdict.unjudged.to_csv` writes, whose rows without a grade are left out; or query
                id to document id to grade; or a collection.
            judges: `"majority"` or `"mean"`, of several judges of one document in a table.
            grades: further words in a table and their grades, such as `{"partly": 1}`.

        Raises:
            InvalidArgument: a query is not one of this collection, or a grade is invalid.
            MalformedData: a row cannot be read; the message names the line.
        """
        return rejudged(self, judgments, judges, grades)

    def slices(self, label: str) -> dict[str, str]:
        """Return query id to value of one label, for `verdict(slices=...)`.

        Raises:
            InvalidArgument: no query has this label.
        """
        found = {one: given[label] for one, given in self.labels.items() if label in given}
        if not found:
            known = self._label_names()
            why = f"must be one of {known}" if known else "the queries of this collection have none"
            raise InvalidArgument("label", label, why)
        return found

    def _label_names(self) -> list[str]:
        return sorted({name for given in self.labels.values() for name in given})
