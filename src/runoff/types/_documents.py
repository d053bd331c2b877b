"""What the first stage works with: documents, queries, hits and candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any

from runoff._util.messages import fields_repr
from runoff._util.text import text_key
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from runoff.filters import Filter

__all__ = ["Candidate", "Document", "Hit", "Placement", "Query"]


@dataclass(frozen=True, slots=True, repr=False)
class Document:
    """One retrievable text.

    Attributes:
        doc_id: its id, a non-empty string.
        text: the text that is searched and reranked; may be empty.
        metadata: what filters test; it is kept as given and never changed.
        own_id: False where the id was made up because the document had none of its own; such
            documents are merged across sources by their text.
        image: True for a document whose content is an image; with no text it keeps its fused place
            and is never sent to a reranker.

    Raises:
        InvalidArgument: the id or the text is not a string, the id is empty, or the metadata is not
            a mapping.
    """

    doc_id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)
    own_id: bool = True
    image: bool = False

    __repr__ = fields_repr

    def __post_init__(self) -> None:
        """Check the id, the text and the metadata."""
        if not isinstance(self.doc_id, str) or not self.doc_id:
            raise InvalidArgument("doc_id", self.doc_id, "must be a non-empty string")
        if not isinstance(self.text, str):
            raise InvalidArgument("text", self.text, f"must be a string (id {self.doc_id!r})")
        if not isinstance(self.metadata, Mapping):
            remedy = f"must map names to values (id {self.doc_id!r})"
            raise InvalidArgument("metadata", self.metadata, remedy)

    @classmethod
    def without_id(cls, text: str, metadata: Mapping[str, Any] | None = None) -> Document:
        """Make a document that has no id of its own; its text identifies it."""
        return cls(text_key(text), text, metadata or {}, own_id=False)


@dataclass(frozen=True, slots=True, repr=False)
class Query:
    """A question, with its filters and, for dense sources, its vector.

    Attributes:
        text: the question as typed; BM25 and rerankers read this.
        filters: which documents may be returned; every source honours them exactly or raises.
        embedding: a ready vector for dense sources, shape (d,).
        embedding_texts: texts that dense sources embed in place of `text` (HyDE); their vectors are
            averaged.

    Raises:
        InvalidArgument: `text` is not a string, or it is blank and there is neither `embedding` nor
            `embedding_texts`; `filters` is not a filter; `embedding_texts` is not a tuple of
            strings.
    """

    text: str
    filters: Filter | None = None
    embedding: tuple[float, ...] | None = None
    embedding_texts: tuple[str, ...] = ()

    __repr__ = fields_repr

    def __post_init__(self) -> None:
        """Check the fields, and refuse a query without a question."""
        if not isinstance(self.text, str):
            raise InvalidArgument("query", self.text, "must be a string or a Query")
        if not self.has_question():
            raise InvalidArgument(
                "query",
                self.text,
                "must not be blank, unless embedding or embedding_texts is given",
            )
        if self.filters is not None:
            from runoff.filters import And  # noqa: PLC0415 - keeps `import runoff` quick

            And(self.filters)  # refuses anything but a filter
        texts = self.embedding_texts
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise InvalidArgument("embedding_texts", texts, "must be a tuple of strings")

    def has_question(self) -> bool:
        """Whether there is anything to search by: a text, or what dense sources need."""
        return bool(self.text.strip() or self.embedding is not None or self.embedding_texts)


@dataclass(frozen=True, slots=True, repr=False)
class Hit:
    """One document from one source.

    Attributes:
        document: the document found.
        score: the source's own score, higher is better; NaN from a source that only ranks.
        score_range: the lowest and highest score this source can give, as far as it knows them;
            None for an unknown end.
        key: what identifies the document across sources; the pipeline sets it, and it is the
            document's id until then.

    Raises:
        InvalidArgument: the score is not a number.
    """

    document: Document
    score: float
    score_range: tuple[float | None, float | None] = (None, None)
    key: str = ""

    __repr__ = fields_repr

    def __post_init__(self) -> None:
        """Convert the score to a `float`, and use the document's id as the key if none is given."""
        if type(self.score) is not float:
            if not isinstance(self.score, Real):
                remedy = f"must be a number (id {self.document.doc_id!r})"
                raise InvalidArgument("score", self.score, remedy)
            object.__setattr__(self, "score", float(self.score))
        if not self.key:
            object.__setattr__(self, "key", self.document.doc_id)

    @property
    def doc_id(self) -> str:
        """The document's id."""
        return self.document.doc_id


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one source placed a candidate: its rank (from 1) and the source's own score, or NaN."""

    source: str
    rank: int
    score: float


@dataclass(frozen=True, slots=True, repr=False)
class Candidate:
    """One document after fusion, not yet reranked.

    Attributes:
        document: what was found; the copy of the first-declared source that found it.
        key: what identifies it in this search.
        fusion_score: the score that fusion gave it; only its order means anything.
        fusion_rank: its place after fusion, from 1.
        placements: one for each source that found it, in the order the sources were declared.
        grouped: the candidates it stands for, in fused order; they are neither read nor returned.
    """

    document: Document
    key: str
    fusion_score: float
    fusion_rank: int
    placements: tuple[Placement, ...] = ()
    grouped: tuple[Candidate, ...] = ()

    __repr__ = fields_repr
